"""A relay between clients and events-proxy that notes each call, and spoils what it is told to."""

import http.client
import http.server
import json
import re
import threading
import time
import typing

NAMES = {"/api/user-sessions": "log-in", "/api/user-sessions/refresh": "refresh", "/api/events": "event"}
# A call that the service itself answers later than this is none to judge a client by, whose deadline is 500 ms.
LATE_SECONDS = 0.2
# What gateways say; theirs may hold what the service's answers hold.
PAGE = (
    b"<html><head><title>502 Bad Gateway</title></head><body><center>nginx</center>"
    b'<script>page = {"id":"x","status":"accepted","accessToken":"x","code":"overloaded"}</script></body></html>'
)


class Call(typing.NamedTuple):
    """A call as it came."""

    name: str
    body: dict
    token: str

    def __str__(self) -> str:
        return f"event {self.body['id']}" if self.name == "event" else self.name


class Relay(http.server.ThreadingHTTPServer):
    """Passes calls on. A rule is for the next call of its name, and used up by it:

    old: the answer's access token ends soon                spoil: its token is no good from now on
    slow: answered after a while                            slower: after twice as long
    silent: passed on, and not answered                     drip: passed on, and answered by a byte now and then
    bad-gateway: a page with status 502, not passed on      page: a page with status 200, not passed on
    redirect: leads elsewhere, not passed on; whatever comes there is noted
    other-status: JSON with status 200 that has the event's id, and is not the service's; not passed on
    other-id: the same, of another event, whose id is long
    """

    request_queue_size = 64

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.port, self.lock, self.over = port, threading.Lock(), threading.Event()
        self.begin([])
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """What clients are told."""
        return f"http://127.0.0.1:{self.server_address[1]}/api"

    def begin(self, rules: list[tuple[str, str]]) -> None:
        """Forgets what was, and takes rules; what was kept silent is let go."""
        self.over.set()
        self.over = threading.Event()
        self.rules, self.calls, self.spoilt, self.late = list(rules), [], set(), False

    def spoil(self) -> None:
        """Lets no token be good that was seen until now, as where the key is changed at once."""
        self.spoilt = {call.token for call in self.calls if call.token}

    def rule(self, call: Call) -> str:
        """Notes a call, and takes its rule."""
        with self.lock:
            self.calls.append(call)
            found = next((rule for rule in self.rules if rule[0] == call.name), None)
            if found:
                self.rules.remove(found)
            return found[1] if found else ""


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""

    server: Relay
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self.server.rule(Call("elsewhere", {}, self.headers.get("authorization", "")))
        self.answer(200, "text/html", PAGE)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        over, token = self.server.over, self.headers.get("authorization", "")
        call = Call(NAMES.get(self.path, "elsewhere"), json.loads(body), token)
        rule = self.server.rule(call)
        if rule in ("bad-gateway", "page"):
            return self.answer(502 if rule == "bad-gateway" else 200, "text/html", PAGE)
        if rule == "redirect":
            # By another name, and so another host to clients.
            elsewhere = f"http://localhost:{self.server.server_address[1]}/elsewhere"
            return self.answer(302, f"text/html\r\nlocation: {elsewhere}", PAGE)
        if rule in ("other-status", "other-id"):
            event = {"id": call.body.get("id", "x"), "status": "received", "code": "overloaded"}
            said = event if rule == "other-status" else event | {"id": "x" * 100_000, "status": "accepted"}
            return self.answer(200, "application/json", json.dumps(said, separators=(",", ":")).encode())
        if rule == "spoil":
            self.server.spoilt.add(token)
        status, kind, text = self.passed_on(body, token + "x" if token in self.server.spoilt else token)
        if rule == "silent":
            over.wait(30)
            self.close_connection = True
            return None
        time.sleep({"slow": 0.1, "slower": 0.2}.get(rule, 0))
        if rule == "old":
            soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 5))
            text = re.sub(rb'("accessTokenExpireDateTime":")[^"]*', rb"\g<1>" + soon.encode(), text)
        return self.answer(status, kind, text, over if rule == "drip" else None)

    def passed_on(self, body: bytes, token: str) -> tuple[int, str, bytes]:
        """What the service answers."""
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        connection.request("POST", self.path, body, {"content-type": self.headers["content-type"], "authorization": token})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        self.server.late |= time.monotonic() - began > LATE_SECONDS
        return answer.status, answer.headers["content-type"], text

    def answer(self, status: int, kind: str, text: bytes, dripping_until: threading.Event | None = None) -> None:
        """Answers; where it drips, a byte each 100 ms."""
        head = f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}\r\ncontent-type: {kind}\r\ncontent-length: {len(text)}\r\n\r\n"
        try:
            if dripping_until:
                self.wfile.write(head.encode())
                for byte in text[:-1]:
                    self.wfile.write(bytes([byte]))
                    if dripping_until.wait(0.1):
                        break
                self.close_connection = True
            else:
                self.wfile.write(head.encode() + text)
        except OSError:
            self.close_connection = True  # the client has given up

    def log_message(self, *_args: object) -> None:
        """Says nothing."""
