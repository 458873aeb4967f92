/** In-app messages: what is known of each, what the app is given, and what it reports. */

import { isObject, textIn } from "./json.ts";
import type { Json, JsonObject } from "./json.ts";

/** A message that names no end is dropped after this: nobody waits for it any more. */
const LIFE_MS_DEFAULT = 30 * 24 * 60 * 60 * 1_000;

/** As the gateway sent it, as far as it can be understood. */
export interface Message {
  readonly id: string;
  readonly priority: number;
  /** By the gateway's clock, as `expiresAt`. */
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly display: JsonObject;
  readonly content: JsonObject;
  /** Null: it may come up at once. */
  readonly trigger: JsonObject | null;
}

/** A message and what became of it on this device. */
export interface Held {
  readonly message: Message;
  /** It may be offered; `event`: the properties of the event that set it off. */
  readonly isReady: boolean;
  readonly event: JsonObject | null;
  /** When it was handed to the app, by the device's clock. */
  readonly handedMs: readonly number[];
  readonly isRead: boolean;
  readonly isRemoved: boolean;
}

/** What the app does with a message: take care of it, be asked again later, never be asked again. */
export type DisplayDecision = "SHOW" | "DEFER" | "DISCARD";

export type MessageCallback = (message: Message, show: Show) => DisplayDecision | void;

/** What one page of messages says. */
export interface Page {
  readonly cursor: string | null;
  readonly messages: readonly Message[];
  readonly withdrawn: readonly string[];
  readonly isComplete: boolean;
}

export function pageIn(body: JsonObject, nowMs: number): Page {
  const messages = listIn(body["messages"]).flatMap((item) => messageIn(item, nowMs) ?? []);
  const withdrawn = listIn(body["withdrawn"]).filter((id) => typeof id === "string");
  const cursor = textIn(body["cursor"]) ?? null;
  return { cursor, messages, withdrawn, isComplete: body["reset"] === true };
}

/** Reads a message; null when it has no id, so that nobody could report on it. */
function messageIn(value: Json, nowMs: number): Message | null {
  const given = objectOr(value);
  const id = textIn(given["id"]);
  if (!id) {
    return null;
  }
  const createdAt = wholeIn(given["created_at"]) ?? nowMs;
  const trigger = given["trigger"] ?? null;
  return {
    id,
    priority: wholeIn(given["priority"]) ?? 0,
    createdAt,
    expiresAt: wholeIn(given["expires_at"]) ?? createdAt + LIFE_MS_DEFAULT,
    display: objectOr(given["display"]),
    content: objectOr(given["content"]),
    // One that cannot be understood never fires.
    trigger: trigger === null ? null : objectOr(trigger),
  };
}

export function isInline(message: Message): boolean {
  return message.content["layout"] === "inline";
}

/** What the app reports about one message it was given. */
export class Show {
  readonly messageId: string;
  private readonly report: (name: string, props: JsonObject) => void;
  private readonly asksIsCurrent: () => boolean;
  private readonly once = new Set<string>();

  constructor(
    messageId: string,
    report: (name: string, props: JsonObject) => void,
    isCurrent: () => boolean,
  ) {
    this.messageId = messageId;
    this.report = report;
    this.asksIsCurrent = isCurrent;
  }

  /** False when the message must not be on the screen any more. */
  get isCurrent(): boolean {
    return this.asksIsCurrent();
  }

  /** The person can see it. Counts once. */
  shown(): void {
    this.reportOnce("message_shown", {});
  }

  /** The person chose a button. */
  clicked(button: string): void {
    this.report("message_clicked", { message_id: this.messageId, button });
  }

  /** The person answered the survey: question → answer. Counts once. */
  answered(answers: JsonObject): void {
    this.reportOnce("survey_answered", { answers });
  }

  /** It is gone from the screen. Counts once. */
  dismissed(reason = "closed"): void {
    this.reportOnce("message_dismissed", { reason });
  }

  /** It could not be rendered. Counts once. */
  failed(reason = "failed"): void {
    this.reportOnce("message_failed", { reason });
  }

  private reportOnce(name: string, props: JsonObject): void {
    if (!this.once.has(name)) {
      this.once.add(name);
      this.report(name, { message_id: this.messageId, ...props });
    }
  }
}

function listIn(value: Json | undefined): Json[] {
  return Array.isArray(value) ? value : [];
}

function objectOr(value: Json | undefined): JsonObject {
  return isObject(value) ? value : {};
}

function wholeIn(value: Json | undefined): number | null {
  return typeof value === "number" && Number.isInteger(value) ? value : null;
}
