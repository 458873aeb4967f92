/** In which order messages are offered to the app. */

export interface Ranked {
  readonly priority: number;
  readonly createdAt: number;
  readonly id: string;
}

/** The important first, then the old, then any order that stays. */
export function inOrder<Message extends Ranked>(messages: readonly Message[]): Message[] {
  return [...messages].sort(
    (one, other) =>
      other.priority - one.priority ||
      one.createdAt - other.createdAt ||
      Buffer.compare(Buffer.from(one.id), Buffer.from(other.id)),
  );
}
