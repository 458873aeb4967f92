/** What an answer means. Only the gateway's own word ever costs an event. */

import { isObject, objectIn, textIn } from "../json.ts";
import type { JsonObject } from "../json.ts";
import type { Answer } from "../transport.ts";
import { retryAfterMs } from "./backoff.ts";

/** For answers that only a person can change (a wrong key, a wrong address, a refused device). */
export const SLOW_RETRY_MS = 300_000;
const TRANSIENT: ReadonlySet<number> = new Set([408, 409, 425, 429]);

/** Event id → code. */
export type Rejected = Readonly<Record<string, string>>;

export type Outcome =
  /** It is on the gateway's disk, but for the events rejected. */
  | { readonly kind: "accepted"; readonly rejected: Rejected; readonly body: JsonObject }
  /** Nothing is lost and nothing is known: the same again, later. */
  | { readonly kind: "retry"; readonly reason: string; readonly floorMs: number }
  /** Fewer events at once. */
  | { readonly kind: "too_large"; readonly code: string }
  /** The token does not do. */
  | { readonly kind: "unauthorized"; readonly code: string }
  /** The gateway will never take this, and does not say which part is wrong. */
  | { readonly kind: "refused"; readonly code: string }
  /** Nothing was accepted; these events never will be. */
  | { readonly kind: "partly_refused"; readonly rejected: Rejected }
  /** Something on the way does not take compressed bodies. */
  | { readonly kind: "uncompressed"; readonly code: string };

/** `answer` null: none came, and `error` is what the transport said about it. */
export function outcomeOf(answer: Answer | null, error = ""): Outcome {
  if (answer === null) {
    return { kind: "retry", reason: error || "network_error", floorMs: 0 };
  }
  if (answer.headers["x-zuruf"] === undefined) {
    // A captive portal or a proxy answered, whatever it says.
    return { kind: "retry", reason: "foreign_answer", floorMs: 0 };
  }
  const { status } = answer;
  const body = objectIn(answer.body);
  const code = textIn(body["code"]) || `http_${status}`;
  const rejected = rejections(body);
  if (status >= 200 && status <= 299) {
    // Also when the body cannot be read: the status alone says that it is on disk.
    return { kind: "accepted", rejected, body };
  }
  if (status === 401) {
    return { kind: "unauthorized", code };
  }
  if (status === 413) {
    return { kind: "too_large", code: "too_large" };
  }
  if (status === 415 && code === "unsupported_encoding") {
    return { kind: "uncompressed", code };
  }
  if (status === 400 || status === 422) {
    const isPartly = Object.keys(rejected).length > 0;
    return isPartly ? { kind: "partly_refused", rejected } : { kind: "refused", code };
  }
  if (TRANSIENT.has(status) || status >= 500) {
    return { kind: "retry", reason: code, floorMs: retryAfterMs(answer.headers["retry-after"]) };
  }
  return { kind: "retry", reason: code, floorMs: SLOW_RETRY_MS };
}

function rejections(body: JsonObject): Rejected {
  const found = Array.isArray(body["rejected"]) ? body["rejected"] : [];
  const pairs = found.flatMap((item) => {
    const id = isObject(item) ? textIn(item["id"]) : undefined;
    return isObject(item) && id !== undefined ? [[id, textIn(item["code"]) || "rejected"]] : [];
  });
  return Object.fromEntries(pairs);
}
