// Sends what infra/check/clients says, by the guide's TypeScript client: each line of stdin has ids to send at the same time.
import { createInterface } from "node:readline";
import { NotAccepted, Source } from "./source.ts";

const { API_URL = "", AUTH_ID = "", SECRET = "" } = process.env;
const source = new Source(API_URL, AUTH_ID, SECRET);

async function send(id: string): Promise<void> {
  const began = performance.now();
  const told = await source.send("order placed", "two apples", id).then(
    (accepted) => ({ accepted: accepted.status === "accepted" }),
    (error) => {
      const { status, code, maybeStored } = error instanceof NotAccepted ? error : {};
      return { error: error.constructor.name, status, code, maybeStored };
    },
  );
  console.log(JSON.stringify({ ...told, id, ms: Math.round(performance.now() - began) }));
}

for await (const line of createInterface({ input: process.stdin })) await Promise.all(line.split(" ").map(send));
