"""Starts events-proxy with events of every kind in its journal, and runs schemathesis against the listeners that are named.

conformance.py EVENTS-PROXY NAME…    as infra/check/http calls it
"""

import contextlib
import http.server
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
SECONDS = int(os.environ.get("CHECK_SECONDS", "60"))
SEED = "20260131"
# Nothing here measures how much is let through, nor how fast: quotas and the deadline would only keep requests from what is checked, on a busy
# machine. That they answer 429 and 503 as documented is tested in crates/ingest/tests/it.
OPEN = {
    "AUTH_ACCESS_TOKEN_EXPIRES_IN_SEC": "86400",
    "AUTH_REFRESH_TOKEN_EXPIRES_IN_SEC": "86400",
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
# An event for each way it can end, by the state that the journal tells then. The first is the one that the documents have as their example.
EVENTS = {"order-1": "delivered", "refused": "dead", "unheard": "parked"}


class Target(http.server.BaseHTTPRequestHandler):
    """A target that refuses one event, does not understand another, and takes all others."""

    def do_POST(self) -> None:
        event = json.loads(self.rfile.read(int(self.headers["content-length"])))["variables"]["input"]["id"]
        answer = json.dumps({"data": {"processEvent": {"id": event}}})
        if event == "refused":
            answer = json.dumps({"errors": [{"message": "no", "extensions": {"code": "BAD_USER_INPUT"}}]})
        elif event == "unheard":
            answer = "what?"
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *_args: object) -> None:
        """Says nothing."""


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
    sys.exit(f"check/http: after 60 s still not: {what}")


def prepare(public: str, private: str, data: pathlib.Path) -> dict[str, tuple[str, str]]:
    """Fills the journal; for each listener its document and a token."""
    credentials, operator = (data / "credentials.json", data / "operator.json")
    eventually("the process is ready", lambda: ask(f"{private}/health/ready")["ready"])
    source = eventually("the source is let in", lambda: ask(f"{public}/api/user-sessions", json.loads(credentials.read_text())))["accessToken"]
    signed_in = ask(f"{private}/operator/sessions", json.loads(operator.read_text()))["token"]
    for number, event in enumerate(EVENTS):
        ask(f"{public}/api/events", {"id": event, "name": "order placed", "body": "two apples", "timestamp": 1769860800000 + number}, source)
    for event, state in EVENTS.items():
        eventually(f"{event} is {state}", lambda: ask(f"{public}/api/events/{event}", token=source)["state"] == state)
    return {"public": (f"{public}/api-docs/openapi.json", source), "operator": (f"{private}/operator/openapi.json", signed_in)}


def check(name: str, document: str, token: str) -> bool:
    """Runs schemathesis against a document; says whether all answers were as it says."""
    print(f"check/http: {name} is asked for {SECONDS} s", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", HERE / "schemathesis.toml", "run", document]
    command += ["--header", f"Authorization: Bearer {token}", "--seed", SEED, "--max-time", str(SECONDS), "--no-color"]
    with tempfile.TemporaryDirectory() as directory:
        return subprocess.run(command, cwd=directory, check=False).returncode == 0


def main(proxy: str, names: list[str]) -> int:
    """Checks these listeners."""
    target = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Target)
    threading.Thread(target=target.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as directory:
        data, (port, admin_port) = pathlib.Path(directory), (free_port(), free_port())
        settings = OPEN | {"PORT": str(port), "ADMIN_PORT": str(admin_port), "DATA_DIR": directory}
        settings["TARGET_SERVICE_GRAPHQL_URL"] = f"http://127.0.0.1:{target.server_address[1]}/graphql"
        process = subprocess.Popen([proxy, "--no-source", "--no-target", "--log"], env=settings)
        try:
            listeners = prepare(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{admin_port}", data)
            failed = [name for name in names if not check(name, *listeners[name])]
            if process.poll() is not None:
                sys.exit(f"check/http: events-proxy ended with {process.returncode}")
        finally:
            process.terminate()
            process.wait(timeout=30)
    print(f"{len(names) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
