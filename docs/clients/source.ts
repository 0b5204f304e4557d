// A source of events: one session for all sends, refreshed ahead of its end, and each event is sent once.
// Node 22.18 or later, no packages. It reads API_URL, AUTH_ID and SECRET: `node source.ts`.
import { randomUUID } from "node:crypto";
import { realpathSync } from "node:fs";

const EVENT_MS = 500; // the service answers within 400
const REFRESH_MS = 2_000;
const LOG_IN_MS = 3_000;
const REFRESH_AHEAD_MS = 15_000;
const AGAIN_AFTER_MS = 5_000; // while nobody gets a session

interface Session {
  accessToken: string;
  accessTokenExpireDateTime: string;
  refreshToken?: string;
}

export interface Accepted {
  id: string;
  status: "accepted";
  traceId: string;
}

/** Why an event is not known to be safe. If `maybeStored`, it may be: look it up, or send it again with the same id. */
export class NotAccepted extends Error {
  override name = "NotAccepted";
  status: number; // 0 where there was no answer
  code: string; // the service's stable word; empty where something else answered
  maybeStored: boolean;

  constructor(status: number, code: string, detail: string, maybeStored: boolean) {
    super(`${status} ${code}: ${detail}; ${maybeStored ? "the event may be stored" : "the event is not stored"}`);
    this.status = status;
    this.code = code;
    this.maybeStored = maybeStored;
  }
}

export class Source {
  #apiUrl: string;
  #credentials: { authId: string; secret: string };
  #session?: Session;
  #opening?: Promise<Session>;
  #renewFrom = 0;

  constructor(apiUrl: string, authId: string, secret: string) {
    this.#apiUrl = apiUrl;
    this.#credentials = { authId, secret };
  }

  /** Sends one event. Returns only if it is safe; throws NotAccepted else. */
  async send(name: string, body: string, id: string = randomUUID()): Promise<Accepted> {
    const event = { id, name, body, timestamp: new Date().toISOString() };
    const session = await this.#open();
    try {
      return await this.#post<Accepted>("/events", event, EVENT_MS, session.accessToken);
    } catch (refused) {
      if (!(refused instanceof NotAccepted) || refused.status !== 401) throw refused;
    }
    // The token is no good any more. Nothing was stored, and the same id makes the one repetition harmless.
    if (this.#session === session) this.#session = undefined;
    return this.#post<Accepted>("/events", event, EVENT_MS, (await this.#open()).accessToken);
  }

  /** The session that all sends share; whoever comes while it is being opened waits for the same answer. */
  async #open(): Promise<Session> {
    const ends = Date.parse(this.#session?.accessTokenExpireDateTime ?? "");
    if (this.#session && (ends - Date.now() > REFRESH_AHEAD_MS || performance.now() < this.#renewFrom)) return this.#session;
    this.#opening ??= this.#renew().finally(() => (this.#opening = undefined));
    return this.#opening;
  }

  /** Opens the next session. Where nobody gets one the old token is kept: the service takes it a while longer then. */
  async #renew(): Promise<Session> {
    const old = this.#session;
    const refreshToken = old?.refreshToken;
    delete old?.refreshToken; // it is good once, whatever becomes of the answer
    let next: Session | undefined;
    if (refreshToken) next = await this.#post<Session>("/user-sessions/refresh", { refreshToken }, REFRESH_MS).catch(() => undefined);
    try {
      next ??= await this.#post<Session>("/user-sessions", this.#credentials, LOG_IN_MS);
    } catch (failed) {
      next = this.#session; // unless it was refused meanwhile
      if (!next) throw failed;
      this.#renewFrom = performance.now() + AGAIN_AFTER_MS;
    }
    return (this.#session = next);
  }

  async #post<T>(path: string, body: Record<string, string>, withinMs: number, token?: string): Promise<T> {
    const headers: Record<string, string> = { "content-type": "application/json" };
    if (token) headers.authorization = `Bearer ${token}`;
    let status = 0;
    let said: any;
    let detail = "something else than the service answered";
    try {
      const signal = AbortSignal.timeout(withinMs); // for the answer's body, too
      const request = { method: "POST", headers, body: JSON.stringify(body), signal, redirect: "manual" } as const;
      const answer = await fetch(this.#apiUrl + path, request);
      status = answer.status;
      said = JSON.parse(await answer.text());
    } catch (failed: any) {
      if (!(failed instanceof SyntaxError)) detail = String(failed.cause ?? failed);
    }
    const event = path === "/events";
    const good = status >= 200 && status < 300;
    const ours = event ? said?.status === "accepted" && said.id === body.id : typeof said?.accessToken === "string";
    if (good && ours) return said;
    // Behind a gateway's answer, or none, the service may have taken the event; not so where the request was refused.
    const code = good ? "" : String(said?.code ?? "");
    const refused = (status >= 400 && status < 500) || code === "overloaded";
    throw new NotAccepted(status, code, code ? said.detail : detail, event && !refused);
  }
}

if (realpathSync(process.argv[1] ?? ".") === import.meta.filename) {
  const { API_URL = "", AUTH_ID = "", SECRET = "" } = process.env;
  console.log(JSON.stringify(await new Source(API_URL, AUTH_ID, SECRET).send("order placed", "two apples")));
}
