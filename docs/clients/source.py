"""A source of events: logs in, refreshes in time, sends each event once. Python 3.9, standard library only."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
import uuid
from datetime import datetime, timezone

GIVE_UP_SECONDS = 0.5
REFRESH_BEFORE_SECONDS = 15


class Source:
    def __init__(self, api_url: str, auth_id: str, secret: str) -> None:
        self.api_url, self.auth_id, self.secret = api_url, auth_id, secret
        self.session: dict = {}

    def send(self, name: str, body: str, event_id: str | None = None) -> dict:
        """Sends one event. A 202 means that it is safe; anything else raises and says what the service said."""
        event = {
            "id": event_id or str(uuid.uuid4()),
            "name": name,
            "body": body,
            "timestamp": datetime.now(timezone.utc).isoformat(),
        }
        return self._post("/events", event, self._access_token(), GIVE_UP_SECONDS)

    def _access_token(self) -> str:
        if not self.session:
            self.session = self._post("/user-sessions", {"authId": self.auth_id, "secret": self.secret})
        elif self._seconds_left() < REFRESH_BEFORE_SECONDS:
            try:
                self.session = self._post("/user-sessions/refresh", {"refreshToken": self.session["refreshToken"]})
            except urllib.error.HTTPError:
                # Expired or spent: begin a session anew.
                self.session = self._post("/user-sessions", {"authId": self.auth_id, "secret": self.secret})
        return self.session["accessToken"]

    def _seconds_left(self) -> float:
        ends = datetime.fromisoformat(self.session["accessTokenExpireDateTime"].replace("Z", "+00:00"))
        return ends.timestamp() - time.time()

    def _post(self, path: str, body: dict, token: str | None = None, timeout: float = 5) -> dict:
        headers = {"content-type": "application/json"}
        if token:
            headers["authorization"] = f"Bearer {token}"
        request = urllib.request.Request(self.api_url + path, json.dumps(body).encode(), headers, method="POST")
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return json.load(answer)


if __name__ == "__main__":
    source = Source(os.environ["API_URL"], os.environ["AUTH_ID"], os.environ["SECRET"])
    print(json.dumps(source.send("order placed", "two apples")))
