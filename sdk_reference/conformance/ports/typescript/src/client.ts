/** The client as an app sees it. */

import { SystemClock } from "./clock.ts";
import { isPurpose, mayPush, opted, said, statusOf } from "./decisions/consent_gate.ts";
import type { Changed } from "./decisions/consent_gate.ts";
import { placed } from "./decisions/identity_machine.ts";
import type { Call } from "./decisions/identity_machine.ts";
import { valueOf } from "./decisions/remote_config.ts";
import { isObject, member, objectIn, textIn } from "./json.ts";
import type { Json, JsonObject } from "./json.ts";
import type { MessageCallback } from "./messages.ts";
import { Presenter } from "./presenter.ts";
import type { InboxMessage } from "./presenter.ts";
import { Receiver } from "./receiver.ts";
import { Recorder } from "./recorder.ts";
import { HttpTransport } from "./transport.ts";
import { Uploader } from "./uploader.ts";
import type { FlushResult } from "./uploader.ts";
import { DEFAULTS, Work } from "./work.ts";
import type { Config, Ports, Publish } from "./work.ts";

const USER_ID_CHARACTERS_MAX = 256;
const PUSH_TOKEN_CHARACTERS_MAX = 4_096;
const PUSH_PROVIDERS: ReadonlySet<string> = new Set(["fcm", "apns", "hms", "web"]);

/** What an app has to say; all else has a default. */
export type Options = Partial<Config> & Pick<Config, "endpoint" | "publishableKey" | "storageDir">;

export type PushHandling = "OPENED" | "SYNC" | "IGNORED";

/** No call waits for the network, and none throws but what the file system throws. */
export class Zuruf {
  private readonly config: Config;
  private readonly ports: Ports;
  private readonly publish: Publish;
  private callback: MessageCallback | null = null;
  private parts: Parts;

  /** Opens the files; throws what the file system throws. */
  constructor(options: Options, ports: Partial<Ports> = {}, publish: Publish = () => {}) {
    this.config = { ...DEFAULTS, ...options };
    this.ports = {
      clock: new SystemClock(),
      transport: new HttpTransport(options.endpoint),
      chance: Math.random,
      ...ports,
    };
    this.publish = publish;
    this.parts = new Parts(this.config, this.ports, publish);
  }

  start(): void {
    this.parts.start(this.callback);
  }

  /** Ends everything; what was not sent goes out at the next start. */
  close(): void {
    this.parts.close();
  }

  // What happens in the app

  track(name: unknown, props?: unknown): string {
    return this.parts.recorder.event("track", name, props);
  }

  screen(name: unknown, props?: unknown): string {
    return this.parts.recorder.event("screen", name, props);
  }

  deepLink(url: unknown): string {
    return this.parts.recorder.event("track", "deep_link_opened", { url });
  }

  // Who does it

  identify(userId: unknown, properties?: unknown, proof?: string): void {
    const { work, recorder } = this.parts;
    const isId = typeof userId === "string" && userId !== "" && userId.isWellFormed();
    if (!isId || [...userId].length > USER_ID_CHARACTERS_MAX) {
      work.queue.countDrop("invalid_event");
      return;
    }
    this.changePerson("identify", userId, proof);
    if (isObject(properties) && Object.keys(properties).length > 0) {
      recorder.event("identify", "identify", properties);
    }
  }

  reset(): void {
    this.changePerson("reset", null);
  }

  alias(otherId: unknown): string {
    return this.parts.recorder.event("alias", "alias", { alias: otherId });
  }

  group(groupType: unknown, groupId: unknown, properties: unknown = {}): string {
    const others = isObject(properties) ? properties : {};
    return this.parts.recorder.event("group", groupType, { ...others, group_id: groupId });
  }

  setUserProperties(properties: unknown): string {
    return this.parts.recorder.event("profile", "set", properties);
  }

  setOnce(properties: unknown): string {
    return this.parts.recorder.event("profile", "set_once", properties);
  }

  increment(name: string, by: unknown = 1): string {
    return this.parts.recorder.event("profile", "increment", { [name]: by });
  }

  unset(...names: string[]): string {
    const props = Object.fromEntries(names.map((name) => [name, null]));
    return this.parts.recorder.event("profile", "unset", props);
  }

  // What they allow

  grant(...purposes: string[]): void {
    this.changeConsent(said(this.parts.work.consent, purposes.filter(isPurpose), true));
  }

  revoke(...purposes: string[]): void {
    this.changeConsent(said(this.parts.work.consent, purposes.filter(isPurpose), false));
  }

  optOut(): void {
    this.changeConsent(opted(this.parts.work.consent, true));
  }

  optIn(): void {
    this.changeConsent(opted(this.parts.work.consent, false));
  }

  get isOptedOut(): boolean {
    return this.parts.work.consent.isOptedOut;
  }

  get consentStatus(): Record<string, boolean> {
    return statusOf(this.parts.work.consent);
  }

  /** Forgets everything: from here on this is a new device. */
  deleteLocalData(): void {
    this.parts.close();
    this.parts.work.journal.clear();
    this.parts = new Parts(this.config, this.ports, this.publish);
    this.start();
  }

  // Messages

  /** Has messages shown; say it before `start`. */
  onMessage(callback: MessageCallback): void {
    this.callback = callback;
  }

  pause(name: string): void {
    this.parts.presenter.pause(name);
  }

  resume(name: string): void {
    this.parts.presenter.resume(name);
  }

  inbox(): InboxMessage[] {
    return this.parts.presenter.inbox();
  }

  markRead(messageId: string): void {
    this.parts.presenter.markRead(messageId);
  }

  remove(messageId: string): void {
    this.parts.presenter.remove(messageId);
  }

  registerPush(token: unknown, provider = "fcm"): void {
    const { work, uploader } = this.parts;
    const isToken = typeof token === "string" && token !== "" && PUSH_PROVIDERS.has(provider);
    if (!isToken || [...token].length > PUSH_TOKEN_CHARACTERS_MAX || !mayPush(work.consent)) {
      return;
    }
    const before = work.kept("push");
    if (isObject(before) && before["token"] === token && before["provider"] === provider) {
      return;
    }
    const wanted = { token, provider };
    uploader.append(work.operation("push", "", wanted), work.push(wanted));
  }

  unregisterPush(): void {
    const { work, uploader } = this.parts;
    if (work.kept("push") !== null) {
      uploader.append(work.operation("push", "", null), work.push(null));
    }
  }

  /** Says what a push was: one that was opened, one that says "fetch", or somebody else's. */
  handlePush(payload: unknown): PushHandling {
    const told = isObject(payload) ? payload["zuruf"] : undefined;
    const ours = typeof told === "string" ? objectIn(told) : isObject(told) ? told : {};
    if (ours["sync"] === true) {
      this.parts.receiver.sync();
      return "SYNC";
    }
    const messageId = textIn(ours["message_id"]);
    if (messageId === undefined) {
      return "IGNORED";
    }
    const journeyId = textIn(ours["journey_id"]);
    const journey = journeyId === undefined ? {} : { journey_id: journeyId };
    this.parts.recorder.event("message", "push_opened", { message_id: messageId, ...journey });
    return "OPENED";
  }

  // What the gateway sets

  remoteConfig(): JsonObject {
    return this.parts.work.remoteValues();
  }

  remoteValue(key: string, instead: Json = null): Json {
    const { settings, identity } = this.parts.work;
    return valueOf(settings.values, identity.installId, key, instead);
  }

  // The app's life

  background(): void {
    this.parts.recorder.isInBackground = true;
    this.parts.presenter.isInBackground = true;
    this.parts.receiver.background();
    this.parts.uploader.hurry();
  }

  foreground(): void {
    this.parts.recorder.isInBackground = false;
    this.parts.presenter.isInBackground = false;
    this.parts.receiver.foreground();
    this.parts.presenter.look();
  }

  /** Sends what there is; resolves when that is done, or after the timeout. */
  flush(timeoutMs: number): Promise<FlushResult> {
    return new Promise((done) => this.parts.uploader.flush(timeoutMs, done));
  }

  /** Sends what it can and ends. */
  async shutdown(timeoutMs: number): Promise<FlushResult> {
    const result = await this.flush(timeoutMs);
    this.close();
    return result;
  }

  diagnostics(): JsonObject {
    const { work, uploader, receiver, recorder } = this.parts;
    return {
      queue_events: work.queue.eventCount,
      sent_events: uploader.sentEvents,
      stream_state: receiver.word,
      device_id: work.identity.deviceId,
      profile_id: work.identity.profileId,
      user_id: work.wanted,
      session_id: recorder.session?.id ?? null,
      last_error: uploader.lane.lastError,
    };
  }

  private changePerson(call: Call, userId: string | null, proof?: string): void {
    const { work, uploader, recorder, presenter, receiver } = this.parts;
    const logins = work.queue.operations.filter((row) => row.name !== "");
    const waiting = {
      wanted: work.wanted,
      logins: logins.map((row) => row.name),
      isRefused: uploader.account.isLoginRefused,
    };
    const what = placed(waiting, work.identity.userId, call, userId, proof !== undefined);
    const body: Json = userId === null ? null : { user_id: userId, ...(proof && { proof }) };
    if (what.givesUpRefused) {
      uploader.account.giveUpLogin();
    }
    if (what.isAnotherPerson) {
      work.person += 1;
      recorder.endSession();
      presenter.isolate();
    }
    const login = logins.findLast((row) => row.name === userId);
    if (what.action === "replace" && login !== undefined) {
      work.queue.replaceBody(login, JSON.stringify(body));
      uploader.account.isLoginRefused = false;
      uploader.look();
    } else if (what.action === "append" && what.operation !== null) {
      uploader.append(work.operation(what.operation, userId ?? "", body), work.want(userId));
    }
    if (what.isAnotherPerson) {
      this.tellConsentAgain();
    }
    receiver.look();
  }

  /** The answers are the device's: whoever comes next has not said anything else. */
  private tellConsentAgain(): void {
    const { work, uploader } = this.parts;
    for (const at of new Set(Object.values(work.saidMs))) {
      const told = Object.entries(work.consent.purposes).filter(
        ([purpose]) => member(work.saidMs, purpose) === at,
      );
      if (told.length > 0 && !work.consent.isOptedOut) {
        const body = { consent: Object.fromEntries(told), at };
        uploader.append(work.operation("consent", "", body));
      }
    }
  }

  private changeConsent(change: Changed): void {
    const { work, uploader, receiver, presenter } = this.parts;
    const couldPush = mayPush(work.consent);
    const allowed = work.allow(change.consent, change.tells);
    const tells = { consent: { ...change.tells }, at: work.clock.wallMs() };
    if (Object.keys(tells.consent).length === 0) {
      work.journal.commit(allowed);
      uploader.purge();
    } else {
      const row = work.queue.append(work.operation("consent", "", tells), allowed);
      // Before the next request: what is denied now must not be part of it.
      uploader.purge();
      uploader.added(row);
    }
    if (couldPush && !mayPush(change.consent)) {
      this.unregisterPush();
    }
    uploader.look();
    receiver.look();
    presenter.look();
  }
}

/** Everything behind the surface, wired. */
class Parts {
  readonly work: Work;
  readonly recorder: Recorder;
  readonly uploader: Uploader;
  readonly presenter: Presenter;
  readonly receiver: Receiver;
  private readonly ended = new AbortController();

  constructor(config: Config, ports: Ports, publish: Publish) {
    this.work = new Work(config, ports, publish);
    this.recorder = new Recorder(this.work);
    this.uploader = new Uploader(this.work, this.ended.signal);
    this.presenter = new Presenter(this.work, this.recorder);
    this.receiver = new Receiver(this.work, this.presenter, this.uploader);
    this.uploader.lane.cameBack = () => this.receiver.online();
    this.recorder.queued = (row) => this.uploader.added(row);
    this.recorder.recorded = (type, name, props) => this.presenter.happened(type, name, props);
    this.uploader.account.changed = (before) =>
      this.receiver.restart(before.profileId !== this.work.identity.profileId);
  }

  start(callback: MessageCallback | null): void {
    this.presenter.callback = callback;
    this.uploader.purge();
    this.uploader.look();
    this.receiver.look();
    this.presenter.look();
  }

  close(): void {
    this.recorder.close();
    this.receiver.close();
    this.presenter.close();
    this.ended.abort();
    this.uploader.close();
  }
}
