/** Who this device is at the gateway: registration, its token, logins, and what else is told of it. */

import { mayContact } from "./decisions/consent_gate.ts";
import * as identities from "./decisions/identity_machine.ts";
import type { Identity, Registration } from "./decisions/identity_machine.ts";
import { SLOW_RETRY_MS, outcomeOf } from "./decisions/status_classification.ts";
import type { Outcome } from "./decisions/status_classification.ts";
import { isRenewalDue } from "./decisions/token_life.ts";
import type { TokenLife } from "./decisions/token_life.ts";
import { isObject, textIn } from "./json.ts";
import type { JsonObject } from "./json.ts";
import type { Exchange, Lane } from "./lane.ts";
import type { Row } from "./queue.ts";
import type { Request } from "./transport.ts";
import type { Work } from "./work.ts";

/** After an early renewal of the token that did not work: there is time. */
const RENEWAL_RETRY_MS = 60 * 60 * 1_000;
const TOKEN_LIFE = "token_life";

export class Account {
  /** The gateway did not believe the login at the head of the queue. */
  isLoginRefused = false;
  /** Told when another token or another person is in force. */
  changed: (before: Identity) => void = () => {};
  /** Told of a configuration that came with a registration. */
  configured: (config: JsonObject) => void = () => {};
  private readonly work: Work;
  private readonly lane: Lane;
  private mustRenew = false;
  private hasRenewed = false;
  private renewalTriedMs = -Infinity;

  constructor(work: Work, lane: Lane) {
    this.work = work;
    this.lane = lane;
  }

  /** There is a token that may do. */
  get hasToken(): boolean {
    return this.work.identity.token !== null && !this.mustRenew;
  }

  // The token

  async register(): Promise<void> {
    const exchange = await this.sendRegistration();
    this.registered(exchange, outcomeOf(exchange.answer));
  }

  /** Tells whether to have a new token now, so that an app in daily use never meets a 401. */
  mayRenewEarly(): boolean {
    const life = this.work.kept(TOKEN_LIFE) as unknown as TokenLife | null;
    const isDue = life !== null && isRenewalDue(life, this.work.gatewayMs());
    const nowMs = this.work.clock.monotonicMs();
    const isRested =
      nowMs - this.renewalTriedMs >= RENEWAL_RETRY_MS && nowMs >= this.lane.retryAtMs;
    return isDue && isRested && this.lane.isWarm && mayContact(this.work.consent);
  }

  async renewEarly(): Promise<void> {
    this.renewalTriedMs = this.work.clock.monotonicMs();
    const exchange = await this.sendRegistration();
    const outcome = outcomeOf(exchange.answer);
    if (outcome.kind === "accepted") {
      this.registered(exchange, outcome);
    }
    // Otherwise the old token is still good.
  }

  /** The token is good: should it ever be refused, renewing it may help again. */
  tokenWorked(): void {
    this.hasRenewed = false;
  }

  /** Follows a refusal of the token, if it is still the one in use. */
  tokenRefused(token: string | null, code: string): void {
    if (token !== this.work.identity.token) {
      return;
    }
    if (this.hasRenewed) {
      this.hasRenewed = false;
      this.lane.fail(code, SLOW_RETRY_MS);
    } else {
      this.hasRenewed = true;
      this.mustRenew = true;
    }
  }

  private sendRegistration(): Promise<Exchange> {
    const { config, identity, consent, sdk } = this.work;
    const body = {
      install_id: identity.installId,
      platform: config.platform,
      form_factor: config.formFactor,
      device: config.device,
      sdk,
      ...(Object.keys(consent.purposes).length > 0 ? { consent: consent.purposes } : {}),
    };
    const headers = {
      Authorization: `Bearer ${config.publishableKey}`,
      ...(identity.token === null ? {} : { "X-Device-Token": identity.token }),
    };
    return this.lane.send("POST", "/v1/devices", JSON.stringify(body), headers);
  }

  private registered(exchange: Exchange, outcome: Outcome): void {
    const told = outcome.kind === "accepted" ? registrationIn(outcome.body) : null;
    if (outcome.kind === "accepted" && told !== null) {
      this.take(told, outcome.body);
    } else if (
      outcome.kind === "unauthorized" &&
      exchange.token !== null &&
      outcome.code.startsWith("token_")
    ) {
      this.forgetDevice(outcome.code);
    } else {
      this.lane.stumble(exchange, outcome);
    }
  }

  private take(told: Registration, body: JsonObject): void {
    const before = this.work.identity;
    const after = identities.registered(before, told);
    this.work.keepIdentity(after);
    this.learnLife(body);
    const who = identities.logsInAgain(before, after);
    if (who !== null) {
      this.work.queue.putFirst(this.work.operation("identify", who, { user_id: who }));
    }
    if (isObject(body["config"])) {
      this.configured(body["config"]);
    }
    this.mustRenew = false;
    this.lane.succeed();
    this.changed(before);
  }

  private forgetDevice(code: string): void {
    this.work.keepIdentity(identities.withoutToken(this.work.identity, code));
    if (code === "token_superseded" && this.work.queue.operations.length === 0) {
      this.work.journal.commit(this.work.want(null));
    }
  }

  private learnLife({ expires_at: expiresMs }: JsonObject): void {
    const isTime = typeof expiresMs === "number" && expiresMs > 0;
    const life = isTime ? { issuedMs: this.work.gatewayMs(), expiresMs } : null;
    this.work.keep(TOKEN_LIFE, life);
  }

  // Operations

  async make(row: Row): Promise<void> {
    const { method, path } = routeOf(row);
    const exchange = await this.lane.send(method, path, row.body);
    const outcome = outcomeOf(exchange.answer);
    const isProof = outcome.kind === "unauthorized" && outcome.code.startsWith("proof_");
    if (outcome.kind === "unauthorized" && !(isProof && isIdentity(row))) {
      this.tokenRefused(exchange.token, outcome.code);
    } else if (isIdentity(row)) {
      this.identityAnswered(exchange, row, outcome);
    } else if (outcome.kind === "accepted" || outcome.kind === "refused" || isUnknown(exchange)) {
      this.work.queue.remove(row);
      this.lane.succeed();
    } else {
      this.lane.stumble(exchange, outcome);
    }
  }

  /** Drops the login that was refused, and the events of whoever that was. */
  giveUpLogin(): void {
    const { queue } = this.work;
    const [refused, next] = queue.operations;
    if (refused !== undefined) {
      const end = next?.position ?? Infinity;
      const theirs = queue.events.filter((row) => row.position < end);
      queue.drop(theirs, "identity_refused");
      queue.remove(refused);
    }
    this.isLoginRefused = false;
  }

  private identityAnswered(exchange: Exchange, row: Row, outcome: Outcome): void {
    const told = outcome.kind === "accepted" ? profileIn(outcome.body) : null;
    const isRefused = outcome.kind === "unauthorized" || outcome.kind === "refused";
    if (outcome.kind === "accepted" && told !== null) {
      this.learnLife(outcome.body);
      this.changeTo(row, told);
    } else if (isRefused && row.kind !== "reset") {
      this.refuse(row);
    } else {
      this.lane.stumble(exchange, outcome);
    }
  }

  private changeTo(row: Row, told: Pick<Registration, "profileId" | "token">): void {
    const before = this.work.identity;
    const userId = row.kind === "reset" ? null : row.name;
    this.work.keepIdentity(identities.changedTo(before, told, userId));
    this.work.queue.remove(row);
    this.hasRenewed = false;
    this.lane.succeed();
    this.work.publish("identity_changed", userId);
    this.changed(before);
  }

  /**
   * Stops before events of somebody who could not prove who they are: they must not be counted for
   * anybody else. A login with a good proof sends them; any other login or logout drops them.
   */
  private refuse(row: Row): void {
    const [now, next] = this.work.queue.operations;
    if (now?.id === row.id && now.body !== row.body) {
      // A better proof has come meanwhile.
      return;
    }
    this.isLoginRefused = true;
    if (next !== undefined && isIdentity(next)) {
      this.giveUpLogin();
    }
  }
}

export function isIdentity(row: Row): boolean {
  return row.kind === "identify" || row.kind === "switch" || row.kind === "reset";
}

/** An older gateway does not know the route: nothing may wait for it for ever. */
function isUnknown({ answer }: Exchange): boolean {
  const isTheirs = answer?.headers["x-zuruf"] !== undefined;
  return isTheirs && (answer.status === 404 || answer.status === 405);
}

function routeOf(row: Row): Pick<Request, "method" | "path"> {
  switch (row.kind) {
    case "consent":
      return { method: "PUT", path: "/v1/consent" };
    case "push":
      return { method: row.body === "" ? "DELETE" : "PUT", path: "/v1/push-token" };
    case "reset":
      return { method: "DELETE", path: "/v1/identity" };
    default:
      return { method: "POST", path: "/v1/identity" };
  }
}

function profileIn(body: JsonObject): Pick<Registration, "profileId" | "token"> | null {
  const [profileId, token] = [textIn(body["profile_id"]), textIn(body["token"])];
  return profileId && token ? { profileId, token } : null;
}

function registrationIn(body: JsonObject): Registration | null {
  const [deviceId, told] = [textIn(body["device_id"]), profileIn(body)];
  return deviceId && told !== null ? { deviceId, ...told } : null;
}
