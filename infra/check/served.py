"""Starts events-proxy for a check: with settings and a directory of its own, on loopback, and with a target that says what the check wants."""

import contextlib
import http.server
import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time
import typing
import urllib.error
import urllib.request

# Nothing here measures how much is let through, nor how fast: quotas and the deadline would only keep requests from what is checked, on a busy
# machine. That they answer 429 and 503 as documented is tested in crates/ingest/tests/it.
OPEN = {
    "AUTH_REQUESTS_PER_MINUTE": "1000000",
    "AUTH_FAILURES_MAX": "1000",
    "ACCEPT_TIMEOUT_MS": "5000",
    "RATE_LIMIT_REQUESTS_PER_INTERVAL": "10000000",
    "LOOK_UP_RATE_LIMIT_REQUESTS_PER_INTERVAL": "10000000",
    "TARGET_SERVICE_RATE_LIMIT_REQUESTS_PER_INTERVAL": "500",
    "TARGET_SERVICE_RATE_LIMIT_INTERVAL_MS": "1000",
    "TARGET_SERVICE_REQUEST_RETRIES": "0",
    "LOG_FILTER": "error",
}


class Served(typing.NamedTuple):
    """A process that is ready: its process, the URLs of its listeners, its directory of data."""

    process: subprocess.Popen
    public: str
    private: str
    data: pathlib.Path

    def credentials(self) -> dict:
        """What the demo's account logs in with."""
        return json.loads((self.data / "credentials.json").read_text())

    def log_in(self) -> str:
        """An access token of the demo's account."""
        told = eventually("the source is let in", lambda: ask(f"{self.public}/api/user-sessions", self.credentials()))
        return told["accessToken"]


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def ask(url: str, body: object = None, token: str | None = None) -> dict:
    """The JSON that a URL answers; a body is posted."""
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=5) as answer:
        return json.load(answer)


def eventually(what: str, holds) -> object:
    """Waits until something is told; a refusal or a listener that is not there yet is as good as nothing."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with contextlib.suppress(urllib.error.URLError, OSError):
            if found := holds():
                return found
        time.sleep(0.1)
    sys.exit(f"check: after 60 s still not: {what}")


def target(answer: typing.Callable[[str], str]) -> int:
    """Serves a target that answers a call by its event's id; tells its port."""

    class Target(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            event = json.loads(self.rfile.read(int(self.headers["content-length"])))["variables"]["input"]["id"]
            text = answer(event).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_args: object) -> None:
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Target)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def taken(event: str) -> str:
    """How a target says that it took an event."""
    return json.dumps({"data": {"processEvent": {"id": event}}})


@contextlib.contextmanager
def served(proxy: str, settings: dict[str, str], answer: typing.Callable[[str], str] = taken) -> typing.Iterator[Served]:
    """Runs events-proxy until the block ends; it is ready when the block begins."""
    with tempfile.TemporaryDirectory() as directory:
        port, admin_port = free_port(), free_port()
        own = {"PORT": str(port), "ADMIN_PORT": str(admin_port), "DATA_DIR": directory}
        own["TARGET_SERVICE_GRAPHQL_URL"] = f"http://127.0.0.1:{target(answer)}/graphql"
        process = subprocess.Popen([proxy, "--no-source", "--no-target", "--log"], env=OPEN | settings | own)
        here = Served(process, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{admin_port}", pathlib.Path(directory))
        try:
            eventually("the process is ready", lambda: ask(f"{here.private}/health/ready")["ready"])
            yield here
            if process.poll() is not None:
                sys.exit(f"check: events-proxy ended with {process.returncode}")
        finally:
            process.terminate()
            process.wait(timeout=30)
