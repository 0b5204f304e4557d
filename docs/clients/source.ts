// A source of events: logs in, refreshes in time, sends each event once. Node 18 or later, no packages.
import { randomUUID } from "node:crypto";

const GIVE_UP_MS = 500;
const REFRESH_BEFORE_MS = 15_000;

interface Session {
  accessToken: string;
  accessTokenExpireDateTime: string;
  refreshToken: string;
}

interface Accepted {
  id: string;
  status: "accepted";
  traceId: string;
}

/** What the service said when it was not a 2xx: `code` is stable, `detail` says whether anything was stored. */
export class Refused extends Error {
  constructor(readonly status: number, readonly code: string, detail: string) {
    super(detail);
  }
}

export class Source {
  private session?: Session;

  constructor(private readonly apiUrl: string, private readonly authId: string, private readonly secret: string) {}

  /** Sends one event. A 202 means that it is safe. */
  async send(name: string, body: string, id: string = randomUUID()): Promise<Accepted> {
    const event = { id, name, body, timestamp: new Date().toISOString() };
    return this.post<Accepted>("/events", event, GIVE_UP_MS, await this.accessToken());
  }

  private async accessToken(): Promise<string> {
    const ends = this.session ? Date.parse(this.session.accessTokenExpireDateTime) : 0;
    if (!this.session) {
      this.session = await this.logIn();
    } else if (ends - Date.now() < REFRESH_BEFORE_MS) {
      const refreshToken = this.session.refreshToken;
      // Expired or spent: begin a session anew.
      this.session = await this.post<Session>("/user-sessions/refresh", { refreshToken }).catch(() => this.logIn());
    }
    return this.session.accessToken;
  }

  private logIn(): Promise<Session> {
    return this.post<Session>("/user-sessions", { authId: this.authId, secret: this.secret });
  }

  private async post<T>(path: string, body: unknown, timeoutMs = 5_000, token?: string): Promise<T> {
    const headers: Record<string, string> = { "content-type": "application/json" };
    if (token) headers.authorization = `Bearer ${token}`;
    const signal = AbortSignal.timeout(timeoutMs);
    const answer = await fetch(this.apiUrl + path, { method: "POST", headers, body: JSON.stringify(body), signal });
    const said: any = await answer.json();
    if (!answer.ok) throw new Refused(answer.status, said.code, said.detail);
    return said as T;
  }
}

const { API_URL, AUTH_ID, SECRET } = process.env;
if (API_URL && AUTH_ID && SECRET) {
  const source = new Source(API_URL, AUTH_ID, SECRET);
  console.log(JSON.stringify(await source.send("order placed", "two apples")));
}
