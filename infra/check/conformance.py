"""Starts events-proxy with events of every kind in its journal, and runs schemathesis against the listeners that are named.

conformance.py EVENTS-PROXY NAME…    as infra/check/http calls it
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

from served import Served, ask, eventually, served, taken

HERE = pathlib.Path(__file__).resolve().parent
SECONDS = int(os.environ.get("CHECK_SECONDS", "60"))
SEED = "20260131"
SETTINGS = {"AUTH_ACCESS_TOKEN_EXPIRES_IN_SEC": "86400", "AUTH_REFRESH_TOKEN_EXPIRES_IN_SEC": "86400"}
# An event for each way it can end, by the state that the journal tells then. The first is the one that the documents have as their example.
EVENTS = {"order-1": "delivered", "refused": "dead", "unheard": "parked"}


def answer(event: str) -> str:
    """A target that refuses one event, does not understand another, and takes all others."""
    if event == "refused":
        return json.dumps({"errors": [{"message": "no", "extensions": {"code": "BAD_USER_INPUT"}}]})
    return "what?" if event == "unheard" else taken(event)


def prepare(here: Served) -> dict[str, tuple[str, str]]:
    """Fills the journal; for each listener its document and a token."""
    source = here.log_in()
    signed_in = ask(f"{here.private}/operator/sessions", json.loads((here.data / "operator.json").read_text()))["token"]
    for number, event in enumerate(EVENTS):
        body = {"id": event, "name": "order placed", "body": "two apples", "timestamp": 1769860800000 + number}
        ask(f"{here.public}/api/events", body, source)
    for event, state in EVENTS.items():
        eventually(f"{event} is {state}", lambda: ask(f"{here.public}/api/events/{event}", token=source)["state"] == state)
    return {"public": (f"{here.public}/api-docs/openapi.json", source), "operator": (f"{here.private}/operator/openapi.json", signed_in)}


def check(name: str, document: str, token: str) -> bool:
    """Runs schemathesis against a document; says whether all answers were as it says."""
    print(f"check/http: {name} is asked for {SECONDS} s", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", HERE / "schemathesis.toml", "run", document]
    command += ["--header", f"Authorization: Bearer {token}", "--seed", SEED, "--max-time", str(SECONDS), "--no-color"]
    with tempfile.TemporaryDirectory() as directory:
        return subprocess.run(command, cwd=directory, check=False).returncode == 0


def main(proxy: str, names: list[str]) -> int:
    """Checks these listeners."""
    with served(proxy, SETTINGS, answer) as here:
        listeners = prepare(here)
        failed = [name for name in names if not check(name, *listeners[name])]
    print(f"{len(names) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
