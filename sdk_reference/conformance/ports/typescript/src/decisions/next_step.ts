/** The next request of the upload lane. */

export type Step =
  "wait" | "register" | "send_batch" | "make_operation" | "make_batch" | "refresh_config";

/** Everything the next step depends on. Times are monotonic. */
export interface Situation {
  readonly nowMs: number;
  readonly retryAtMs: number;
  /** False with consent required and nothing granted, and after an opt-out. */
  readonly mayContact: boolean;
  /** The gateway knows this device, whether or not its token still does. */
  readonly isRegistered: boolean;
  readonly hasToken: boolean;
  /** A consent operation stands in the queue, wherever. */
  readonly hasConsentOperation: boolean;
  readonly hasOpenBatch: boolean;
  /** What stands first in the queue. */
  readonly head: "event" | "identity" | "operation" | null;
  readonly headIsDue: boolean;
  readonly isIdentityRefused: boolean;
  readonly configIsStale: boolean;
}

/**
 * Everything in the order of the calls, one request at a time.
 *
 * Without leave to contact the gateway there is one thing left to say, to a gateway that knows this
 * device: that it is not to be contacted. `make_operation` then means the consent operation, wherever
 * it stands; otherwise the head of the queue.
 */
export function nextStep(now: Situation): Step {
  if (now.nowMs < now.retryAtMs) {
    return "wait";
  }
  if (!now.mayContact) {
    const hasLastWord = now.hasConsentOperation && now.isRegistered;
    return !hasLastWord ? "wait" : now.hasToken ? "make_operation" : "register";
  }
  if (!now.hasToken) {
    return "register";
  }
  if (now.hasOpenBatch) {
    return "send_batch";
  }
  if (now.head === "identity" && now.isIdentityRefused) {
    return "wait";
  }
  if (now.head === "identity" || now.head === "operation") {
    return "make_operation";
  }
  if (now.head === "event" && now.headIsDue) {
    return "make_batch";
  }
  return now.configIsStale ? "refresh_config" : "wait";
}
