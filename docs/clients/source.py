"""A source of events: one session for all threads, refreshed ahead of its end, and each event is sent once.

Python 3.9 or later, standard library only. It reads API_URL, AUTH_ID and SECRET: `python3 source.py`.
"""

from __future__ import annotations

import calendar
import contextlib
import http.client
import json
import os
import queue
import threading
import time
import urllib.error
import urllib.request
import uuid
from datetime import datetime, timezone

EVENT_SECONDS = 0.5  # the service answers within 0.4
REFRESH_SECONDS = 2
LOG_IN_SECONDS = 3
REFRESH_AHEAD_SECONDS = 15
AGAIN_AFTER_SECONDS = 5  # while nobody gets a session


class NotAccepted(Exception):
    """Why an event is not known to be safe. If `maybe_stored`, it may be: look it up, or send it again with the same id."""

    def __init__(self, status: int, code: str, detail: str, maybe_stored: bool) -> None:
        super().__init__(f"{status} {code}: {detail}; the event {'may be' if maybe_stored else 'is not'} stored")
        self.status = status  # 0 where there was no answer
        self.code = code  # the service's stable word; empty where something else answered
        self.maybe_stored = maybe_stored


class Source:
    def __init__(self, api_url: str, auth_id: str, secret: str) -> None:
        self._api_url, self._credentials = api_url, {"authId": auth_id, "secret": secret}
        self._session: dict | None = None
        self._renew_from = 0.0
        self._turn = threading.Lock()

    def send(self, name: str, body: str, event_id: str | None = None) -> dict:
        """Sends one event. Returns only if it is safe; raises NotAccepted else."""
        now = datetime.now(timezone.utc).isoformat()
        event = {"id": event_id or str(uuid.uuid4()), "name": name, "body": body, "timestamp": now}
        session = self._open()
        try:
            return self._post("/events", event, EVENT_SECONDS, session["accessToken"])
        except NotAccepted as refused:
            if refused.status != 401:
                raise
        # The token is no good any more. Nothing was stored, and the same id makes the one repetition harmless.
        return self._post("/events", event, EVENT_SECONDS, self._open(refused=session)["accessToken"])

    def _open(self, refused: dict | None = None) -> dict:
        """The session that all threads share; another one than that which was refused."""
        if not self._turn.acquire(timeout=REFRESH_SECONDS + LOG_IN_SECONDS):
            raise NotAccepted(0, "", "another thread is still logging in", maybe_stored=False)
        try:
            session = self._session
            if session is None or session is refused:
                self._session = None
                self._session = self._post("/user-sessions", self._credentials, LOG_IN_SECONDS)
            elif _seconds_left(session) < REFRESH_AHEAD_SECONDS and time.monotonic() >= self._renew_from:
                self._renew(session)
            return self._session
        finally:
            self._turn.release()

    def _renew(self, session: dict) -> None:
        """Opens the next session. Where nobody gets one the old token is kept: the service takes it a while longer then."""
        token = session.pop("refreshToken", None)  # it is good once, whatever becomes of the answer
        if token:
            with contextlib.suppress(NotAccepted):
                self._session = self._post("/user-sessions/refresh", {"refreshToken": token}, REFRESH_SECONDS)
                return
        try:
            self._session = self._post("/user-sessions", self._credentials, LOG_IN_SECONDS)
        except NotAccepted:
            self._renew_from = time.monotonic() + AGAIN_AFTER_SECONDS

    def _post(self, path: str, body: dict, seconds: float, token: str | None = None) -> dict:
        answers: queue.SimpleQueue = queue.SimpleQueue()
        # urllib's timeout is for one look at the socket; a thread of its own lets the whole call have one.
        call = lambda: answers.put(_exchange(self._api_url + path, body, seconds, token))  # noqa: E731
        threading.Thread(target=call, daemon=True).start()
        try:
            status, text = answers.get(timeout=seconds)
        except queue.Empty:
            status, text = 0, "no answer in time"
        try:
            said = dict(json.loads(text))
        except (ValueError, TypeError, RecursionError):
            said = {}
        event, good = path == "/events", 200 <= status < 300
        ours = (said.get("status"), said.get("id")) == ("accepted", body["id"]) if event else isinstance(said.get("accessToken"), str)
        if good and ours:
            return said
        # Behind a gateway's answer, or none, the service may have taken the event; not so where the request was refused.
        code = "" if good else str(said.get("code") or "")
        refused = 400 <= status < 500 or code == "overloaded"
        detail = said.get("detail", "") if code else "something else than the service answered" if status else text
        raise NotAccepted(status, code, detail, maybe_stored=event and not refused)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Leaves a redirect as the answer: followed, it would take the token to whatever host it names."""

    def redirect_request(self, *_args: object) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirect)


def _exchange(url: str, body: dict, seconds: float, token: str | None) -> tuple[int, bytes | str]:
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    try:
        try:
            answer = _opener.open(request, timeout=seconds)
        except urllib.error.HTTPError as refusal:
            answer = refusal
        with answer:
            return answer.status, answer.read()
    except (OSError, ValueError, http.client.HTTPException) as error:
        return 0, str(error)


def _seconds_left(session: dict) -> float:
    ends = time.strptime(session["accessTokenExpireDateTime"][:19], "%Y-%m-%dT%H:%M:%S")  # in UTC
    return calendar.timegm(ends) - time.time()


if __name__ == "__main__":
    source = Source(os.environ["API_URL"], os.environ["AUTH_ID"], os.environ["SECRET"])
    print(json.dumps(source.send("order placed", "two apples")))
