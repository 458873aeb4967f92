/** HTTP, as the client needs it: a request, and the answer in pieces or as a whole. */

import * as http from "node:http";
import * as https from "node:https";

export interface Request {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array<ArrayBuffer>;
  /** How long the whole answer may take, in real time; nobody waits for the end of a stream. */
  readonly timeoutMs: number;
}

export interface Head {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface Answer extends Head {
  readonly body: string;
}

/** An answer whose body is still coming. Iterating throws when the connection breaks. */
export interface OpenAnswer extends Head {
  readonly pieces: AsyncIterable<Uint8Array>;
}

export interface Transport {
  /** Gives the head of the answer. Rejects when none comes, or when `cancelled` says so. */
  open(request: Request, cancelled: AbortSignal): Promise<OpenAnswer>;
}

/** Gives the whole answer, or null: no answer, or half of one, or not in time. */
export async function answerOf(
  transport: Transport,
  request: Request,
  cancelled: AbortSignal,
): Promise<Answer | null> {
  const ended = AbortSignal.any([cancelled, AbortSignal.timeout(request.timeoutMs)]);
  const answer = await opened(transport, request, ended);
  return answer === null ? null : wholeOf(answer);
}

/** Gives the head of the answer, or null: no answer. */
export async function opened(
  transport: Transport,
  request: Request,
  cancelled: AbortSignal,
): Promise<OpenAnswer | null> {
  try {
    return await transport.open(request, cancelled);
  } catch {
    // Every reason means the same to the caller: nothing is known about what the gateway did.
    return null;
  }
}

/** Gives the rest of the answer, too, or null: the connection broke before its end. */
export async function wholeOf({ status, headers, pieces }: OpenAnswer): Promise<Answer | null> {
  const all: Uint8Array[] = [];
  try {
    for await (const piece of pieces) {
      all.push(piece);
    }
  } catch {
    return null;
  }
  return { status, headers, body: Buffer.concat(all).toString("utf8") };
}

/** Gives the next piece of a stream; null at its end, however it came. */
export async function nextOf(pieces: AsyncIterator<Uint8Array>): Promise<Uint8Array | null> {
  try {
    const { done, value } = await pieces.next();
    return done === true ? null : value;
  } catch {
    return null;
  }
}

/** Reads no further. */
export async function leave(pieces: AsyncIterator<Uint8Array>): Promise<void> {
  try {
    await pieces.return?.();
  } catch {
    // It had broken already, perhaps because we broke it: either way it is over.
  }
}

export class HttpTransport implements Transport {
  private readonly endpoint: string;
  private readonly keepsAlive: boolean;

  /** `keepsAlive`: use a connection for more than one request. */
  constructor(endpoint: string, keepsAlive = true) {
    this.endpoint = endpoint.replace(/\/+$/, "");
    this.keepsAlive = keepsAlive;
  }

  open(request: Request, cancelled: AbortSignal): Promise<OpenAnswer> {
    const url = new URL(this.endpoint + request.path);
    const send = url.protocol === "https:" ? https.request : http.request;
    const { method, body } = request;
    // Without an agent of its own, each request has a connection of its own.
    const agent = this.keepsAlive ? {} : ({ agent: false } as const);
    const length = body === undefined ? {} : { "Content-Length": String(body.length) };
    return new Promise((resolve, reject) => {
      const headers = { ...request.headers, ...length };
      const outgoing = send(url, { method, headers, ...agent });
      outgoing.on("error", reject);
      // Without a reason: the connection would be told it as well, and nobody listens there. Request
      // and answer still end with an error of their own.
      const end = (): void => void outgoing.destroy();
      cancelled.addEventListener("abort", end, { once: true });
      outgoing.once("close", () => cancelled.removeEventListener("abort", end));
      outgoing.once("response", (incoming) => {
        // Whoever iterates is told of it, too; this one is for the time before.
        incoming.on("error", reject);
        resolve({
          status: incoming.statusCode ?? 0,
          headers: headersOf(incoming),
          pieces: incoming,
        });
      });
      outgoing.end(body);
    });
  }
}

function headersOf(incoming: http.IncomingMessage): Record<string, string> {
  const entries = Object.entries(incoming.headers);
  return Object.fromEntries(entries.map(([name, value]) => [name, String(value)]));
}
