/** One client under test, with a clock, an app that notes what it is told, and hands to move both. */

import { setImmediate } from "node:timers/promises";

import { Zuruf } from "../src/client.ts";
import type { Options } from "../src/client.ts";
import { isObject, member, textIn } from "../src/json.ts";
import type { Json, JsonObject } from "../src/json.ts";
import type { DisplayDecision, Message, Show } from "../src/messages.ts";
import type { Transport } from "../src/transport.ts";
import type { FlushResult } from "../src/uploader.ts";
import { Refused } from "./refused.ts";
import { VirtualClock } from "./virtual_clock.ts";

/** What `subscribe` would tell: topic → name of its value in a callback. */
const TOPICS: Readonly<Record<string, string>> = {
  session_changed: "session_id",
  identity_changed: "user_id",
  delivered: "event_ids",
  dropped: "reasons",
  stream_state: "state",
  config_changed: "values",
  inbox_changed: "messages",
  message_ended: "message_id",
};
const FLUSH_MS = 10_000;
const SHUTDOWN_MS = 2_000;

/** What a client under test is asked for. */
export const OPERATIONS: ReadonlySet<string> = new Set([
  "call",
  "settle",
  "advance",
  "set_wall",
  "callbacks",
  "will_decide",
  "show",
  "state",
]);

type Method = (client: Zuruf, args: Json[], named: JsonObject, stage: Stage) => Json | void;

/** The public surface, as `call` names it. */
const METHODS: Readonly<Record<string, Method>> = {
  track: (client, [name, props], named) => client.track(name, props ?? named["props"]),
  screen: (client, [name, props], named) => client.screen(name, props ?? named["props"]),
  deep_link: (client, [url]) => client.deepLink(url),
  identify: (client, [userId, properties], named) =>
    client.identify(userId, properties ?? named["properties"], textIn(named["proof"])),
  reset: (client) => client.reset(),
  alias: (client, [otherId]) => client.alias(otherId),
  group: (client, [type, id, properties], named) =>
    client.group(type, id, properties ?? named["properties"]),
  set_user_properties: (client, [properties]) => client.setUserProperties(properties),
  set_once: (client, [properties]) => client.setOnce(properties),
  increment: (client, [name, by], named) => client.increment(String(name), by ?? named["by"]),
  unset: (client, names) => client.unset(...names.map(String)),
  opt_out: (client) => client.optOut(),
  opt_in: (client) => client.optIn(),
  delete_local_data: (client) => client.deleteLocalData(),
  "consent.grant": (client, purposes) => client.grant(...purposes.map(String)),
  "consent.revoke": (client, purposes) => client.revoke(...purposes.map(String)),
  "consent.status": (client) => client.consentStatus,
  "push.register": (client, [token, provider], named) =>
    client.registerPush(token, textIn(provider ?? named["provider"])),
  "push.unregister": (client) => client.unregisterPush(),
  "push.handle": (client, [payload]) => client.handlePush(payload),
  "in_app.pause": (client, [name]) => client.pause(String(name)),
  "in_app.resume": (client, [name]) => client.resume(String(name)),
  "inbox.messages": (client) => inboxOf(client),
  "inbox.unread": (client) => unreadOf(client),
  "inbox.mark_read": (client, [id]) => client.markRead(String(id)),
  "inbox.remove": (client, [id]) => client.remove(String(id)),
  "remote_config.get": (client, [key, instead], named) =>
    client.remoteValue(String(key), instead ?? named["default"] ?? null),
  "remote_config.all": (client) => client.remoteConfig(),
  on_background: (client) => client.background(),
  on_foreground: (client) => client.foreground(),
  flush: (client, [ms], _, stage) => stage.noteEnd("flushed", client.flush(Number(ms ?? FLUSH_MS))),
  shutdown: (client, [ms], _, stage) =>
    stage.noteEnd("shut_down", client.shutdown(Number(ms ?? SHUTDOWN_MS))),
};

export class Stage {
  private readonly clock: VirtualClock;
  private readonly client: Zuruf;
  private readonly inFlight: () => JsonObject;
  private readonly shows = new Map<string, Show>();
  private readonly dropped: Record<string, number> = {};
  private told: JsonObject[] = [];
  private decisions: string[] = [];

  constructor(
    request: JsonObject,
    transportTo: (endpoint: string) => Transport,
    inFlight: () => JsonObject,
  ) {
    const config = (request["config"] ?? {}) as JsonObject;
    const chance = Number(request["chance"]);
    this.inFlight = inFlight;
    this.clock = new VirtualClock(Number(request["wall_ms"]));
    const transport = transportTo(String(config["endpoint"]));
    const ports = { clock: this.clock, transport, chance: () => chance };
    this.client = new Zuruf(optionsIn(config), ports, (topic, value) => this.note(topic, value));
    if (config["in_app"] === true) {
      this.client.onMessage((message, show) => this.show(message, show));
    }
    this.client.start();
  }

  stop(): void {
    this.client.close();
  }

  async resultOf(request: JsonObject): Promise<Json> {
    switch (request["op"]) {
      case "call":
        return this.call(request);
      case "settle":
        return this.settled();
      case "advance":
        await this.clock.advance(Number(request["ms"]), settle);
        return this.settled();
      case "set_wall":
        this.clock.setWall(Number(request["wall_ms"]));
        return this.settled();
      case "callbacks":
        return this.told.splice(0);
      case "will_decide":
        this.decisions = request["decisions"] as string[];
        return {};
      case "show":
        return this.report(request);
      case "state":
        return this.state();
      default:
        throw new Refused("unknown_operation", String(request["op"]));
    }
  }

  // What the app does

  private show(message: Message, show: Show): DisplayDecision {
    const { layout = "modal", title = "", body = "" } = message.content;
    this.told.push({ kind: "message", message_id: message.id, layout, title, body });
    this.shows.set(message.id, show);
    const decision = this.decisions.shift() ?? "SHOW";
    if (decision === "RAISE") {
      throw new Error("the app's callback fails");
    }
    return decision as DisplayDecision;
  }

  private note(topic: string, value: Json): void {
    const name = member(TOPICS, topic);
    if (topic === "dropped" && isObject(value)) {
      for (const [reason, quantity] of Object.entries(value)) {
        this.dropped[reason] = (member(this.dropped, reason) ?? 0) + Number(quantity);
      }
    }
    if (name !== undefined) {
      this.told.push({ kind: topic, [name]: value });
    }
  }

  private report(request: JsonObject): Json {
    const show = this.shows.get(String(request["message_id"]));
    const value = request["value"] ?? undefined;
    switch (request["report"]) {
      case "is_current":
        return show?.isCurrent ?? false;
      case "shown":
        show?.shown();
        break;
      case "clicked":
        show?.clicked(String(value));
        break;
      case "answered":
        show?.answered((request["value"] ?? {}) as JsonObject);
        break;
      case "dismissed":
        show?.dismissed(value === undefined ? undefined : String(value));
        break;
      case "failed":
        show?.failed(value === undefined ? undefined : String(value));
        break;
    }
    return {};
  }

  private call(request: JsonObject): Json {
    const method = member(METHODS, String(request["method"]));
    if (method === undefined) {
      throw new Refused("unknown_method", String(request["method"]));
    }
    const args = (request["args"] ?? []) as Json[];
    const named = (request["named"] ?? {}) as JsonObject;
    return method(this.client, args, named, this) ?? null;
  }

  /** Begins something that waits for the network, and notes what comes of it. */
  noteEnd(kind: string, ending: Promise<FlushResult>): void {
    void ending.then((result) => this.told.push({ kind, ...result }));
  }

  // How it stands

  private async settled(): Promise<JsonObject> {
    await settle();
    return { next_ms: this.clock.nextMs(), in_flight: this.inFlight() };
  }

  private state(): JsonObject {
    const { last_error: _, ...state } = this.client.diagnostics();
    return {
      ...state,
      dropped: this.dropped,
      consent: this.client.consentStatus,
      is_opted_out: this.client.isOptedOut,
      inbox_unread: unreadOf(this.client),
      remote_config: this.client.remoteConfig(),
    };
  }
}

function inboxOf(client: Zuruf): JsonObject[] {
  return client.inbox().map(({ message, isRead }) => ({
    message_id: message.id,
    title: message.content["title"] ?? "",
    is_read: isRead,
  }));
}

function unreadOf(client: Zuruf): number {
  return client.inbox().filter((one) => !one.isRead).length;
}

/** Lets everything run that can run now: what an answer sets off is done before the next turn. */
async function settle(): Promise<void> {
  await setImmediate();
}

function optionsIn(config: JsonObject): Options {
  const { in_app: _, network: __, ...known } = config;
  const entries = Object.entries(known).map(([name, value]) => [
    name.replace(/_([a-z])/g, (_match, letter: string) => letter.toUpperCase()),
    value,
  ]);
  return Object.fromEntries(entries) as Options;
}
