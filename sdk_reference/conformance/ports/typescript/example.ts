/** A first program: `node example.ts <endpoint> <publishable key>`, with a gateway running there. */

import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { Zuruf } from "./src/client.ts";

const [endpoint = "http://127.0.0.1:8080", publishableKey = ""] = process.argv.slice(2);
const storageDir = mkdtempSync(join(tmpdir(), "zuruf-"));
const client = new Zuruf({ endpoint, publishableKey, storageDir });

client.onMessage((message, show) => {
  console.log(`[${message.content["layout"]}] ${message.content["title"]}`);
  show.shown();
  show.dismissed();
});
client.start();
client.identify("u_42", { plan: "pro" });
client.track("purchase", { amount: 120, currency: "EUR" });
console.log(await client.flush(10_000));
console.log("Waiting for messages; Ctrl+C ends.");
process.once("SIGINT", () => client.close());
