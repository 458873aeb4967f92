/** What the adapter answers with when it cannot do as it is told. */
export class Refused extends Error {
  /** For the runner; the message is for people. */
  readonly code: string;

  constructor(code: string, detail: string) {
    super(detail);
    this.code = code;
  }
}
