/** The adapter of the conformance kit: one JSON object per line in, one per line out. */

import { createInterface } from "node:readline";

import { VECTORS, decide } from "./adapter/decide.ts";
import { NumberedTransport, RequestNumbers } from "./adapter/numbered_transport.ts";
import { Refused } from "./adapter/refused.ts";
import { OPERATIONS, Stage } from "./adapter/stage.ts";
import { objectIn } from "./src/json.ts";
import type { Json, JsonObject } from "./src/json.ts";
import { HttpTransport } from "./src/transport.ts";

const HELLO = {
  name: "zuruf-typescript",
  version: "0.1.0",
  language: `TypeScript on Node ${process.versions.node}`,
  spec: "1.0",
  capabilities: [
    "batch",
    "consent",
    "gzip",
    "in_app",
    "inbox",
    "long_poll",
    "persistence",
    "push",
    "remote_config",
    "sse",
    "triggers",
    "virtual_clock",
  ],
  vectors: VECTORS,
};

const numbers = new RequestNumbers();
let stage: Stage | null = null;

async function resultOf(request: JsonObject): Promise<unknown> {
  switch (request["op"]) {
    case "hello":
      return HELLO;
    case "decide":
      return decided(request);
    case "start":
      stage?.stop();
      stage = new Stage(request, transportTo, () => numbers.inFlight());
      return {};
    case "stop":
      stage?.stop();
      return {};
  }
  if (!OPERATIONS.has(String(request["op"]))) {
    throw new Refused("unknown_operation", String(request["op"]));
  }
  if (stage === null) {
    throw new Refused("no_client", "nothing was started");
  }
  return stage.resultOf(request);
}

function decided(request: JsonObject): unknown {
  const vector = String(request["vector"]);
  if (!VECTORS.includes(vector)) {
    throw new Refused("unknown_vector", vector);
  }
  return decide(vector, request["given"] ?? null, request["input"] ?? null);
}

function transportTo(endpoint: string): NumberedTransport {
  // The runner cuts connections at will: one that was kept alive could be cut between two requests.
  return new NumberedTransport(new HttpTransport(endpoint, false), numbers);
}

async function answerTo(line: string): Promise<unknown> {
  const request = objectIn(line);
  const id: Json = request["id"] ?? null;
  try {
    return { id, result: (await resultOf(request)) ?? null };
  } catch (error) {
    if (error instanceof Refused) {
      return { id, error: { code: error.code, message: error.message } };
    }
    const code = request["op"] === "call" ? "raised" : "failed";
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { id, error: { code, message } };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await answerTo(line))}\n`);
}
// Requests that are still held must not keep the process alive.
process.exit(0);
