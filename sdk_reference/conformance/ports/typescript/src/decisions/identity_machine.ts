/** Who the gateway takes this device for, and what a login or logout changes. */

/** The device's registration and the person on it; `userId` is null for somebody anonymous. */
export interface Identity {
  readonly installId: string;
  readonly deviceId: string | null;
  readonly profileId: string | null;
  readonly token: string | null;
  readonly userId: string | null;
}

export interface Registration {
  readonly deviceId: string;
  readonly profileId: string;
  readonly token: string;
}

/** A new device is nobody yet, whoever was on the old one. */
export function registered(before: Identity, answer: Registration): Identity {
  const userId = before.deviceId === answer.deviceId ? before.userId : null;
  return { ...before, ...answer, userId };
}

export function changedTo(
  before: Identity,
  answer: Pick<Registration, "profileId" | "token">,
  userId: string | null,
): Identity {
  return { ...before, profileId: answer.profileId, token: answer.token, userId };
}

/**
 * Gives a token up that even a registration does not renew: only a new device is left.
 *
 * A token that was superseded without us comes from an old copy of our file (a restored backup). Who
 * was on the device then must not be logged in again: it would undo a logout.
 */
export function withoutToken(before: Identity, code: string): Identity {
  return { ...before, token: null, userId: code === "token_superseded" ? null : before.userId };
}

/** Tells whether messages have to be fetched from the beginning: the inbox is another one. */
export function clearsCursor(before: Identity, after: Identity): boolean {
  return before.profileId !== after.profileId;
}

/** Gives who has to be logged in before anything else: a new device, the same person on it. */
export function logsInAgain(before: Identity, after: Identity): string | null {
  return after.userId === null ? before.userId : null;
}

export type Call = "identify" | "reset";

/** What was asked for and not yet confirmed. */
export interface Waiting {
  /** Who is on the device after all operations that wait. */
  readonly wanted: string | null;
  /** The user ids of the logins among them. */
  readonly logins: readonly string[];
  /** The gateway refused the first operation: this person could not prove who they are. */
  readonly isRefused: boolean;
}

/**
 * `ignore`: it changes nothing. `replace`: a better proof for the login that waits. `append`: put the
 * operation at the end; with `givesUpRefused`, drop the refused login and all events behind it first.
 */
export interface Placement {
  readonly action: "ignore" | "replace" | "append";
  readonly operation: "identify" | "switch" | "reset" | null;
  readonly givesUpRefused: boolean;
  /** Nothing of the person before may reach the app from here on. */
  readonly isAnotherPerson: boolean;
}

/** Decides what a login or logout means. `confirmed` is who the gateway has on the device. */
export function placed(
  waiting: Waiting,
  confirmed: string | null,
  call: Call,
  userId: string | null,
  hasProof: boolean,
): Placement {
  if (call === "identify" && userId === waiting.wanted) {
    const retries = hasProof || waiting.isRefused;
    const waits = userId !== null && waiting.logins.includes(userId);
    const action = retries && waits ? "replace" : "ignore";
    return { action, operation: null, givesUpRefused: false, isAnotherPerson: false };
  }
  const wanted = waiting.isRefused ? confirmed : waiting.wanted;
  const login = wanted === null ? "identify" : "switch";
  const operation = call === "identify" ? login : "reset";
  const isAnotherPerson = operation !== "identify";
  return { action: "append", operation, givesUpRefused: waiting.isRefused, isAnotherPerson };
}
