"""Sends what infra/check/clients says, by the guide's Python client: each line of stdin has ids to send at the same time."""

import json
import os
import sys
import threading
import time

from source import NotAccepted, Source


def send(source: Source, event: str) -> None:
    """Sends an event, and tells how it ended."""
    began = time.monotonic()
    try:
        told = {"accepted": source.send("order placed", "two apples", event)["status"] == "accepted"}
    except NotAccepted as error:
        told = {"error": type(error).__name__, "status": error.status, "code": error.code, "maybeStored": error.maybe_stored}
    except Exception as error:
        told = {"error": type(error).__name__}
    line = json.dumps(told | {"id": event, "ms": round((time.monotonic() - began) * 1000)})
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


source = Source(os.environ["API_URL"], os.environ["AUTH_ID"], os.environ["SECRET"])
for line in sys.stdin:
    threads = [threading.Thread(target=send, args=(source, event)) for event in line.split()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
