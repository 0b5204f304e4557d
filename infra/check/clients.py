"""Runs the clients of docs/api.md against events-proxy behind a relay, and judges what they sent and what they told.

clients.py EVENTS-PROXY NAME…    as infra/check/clients calls it
"""

import json
import os
import pathlib
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import typing

from relay import Relay
from served import Served, ask, eventually, served

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
GUIDE = ROOT / "docs" / "clients"


class Program(typing.NamedTuple):
    """A client's file in the guide, its driver in infra/check/clients.d, how both become a program, and how that is run."""

    file: str
    driver: str
    build: str
    run: str


CLIENTS = {
    "typescript": Program("source.ts", "driver.ts", "true", "node driver.ts"),
    "go": Program("source.go", "driver.go", "go build -o driver source.go driver.go", "./driver"),
    "python": Program("source.py", "driver.py", "true", "python3 driver.py"),
    "java": Program("Source.java", "Driver.java", "javac Source.java Driver.java", "java -XX:TieredStopAtLevel=1 Driver"),
}
MANY = [f"many-{number}" for number in range(8)]
# How often a scenario is judged where the service itself was late: a client that gives up after 500 ms is right then.
TRIES = 5


class Wrong(Exception):
    """What a client did, and should not have done."""


def want(holds: bool, told: str) -> None:
    """Wants something to hold."""
    if not holds:
        raise Wrong(told)


class Client:
    """A client's driver, running, and the relay that it calls."""

    def __init__(self, command: str, directory: str, relay: Relay, credentials: dict) -> None:
        env = os.environ | {"API_URL": relay.url, "AUTH_ID": credentials["authId"], "SECRET": credentials["secret"]}
        pipe = subprocess.PIPE
        self.relay, self.told = relay, queue.SimpleQueue()
        self.process = subprocess.Popen(command.split(), cwd=directory, env=env, stdin=pipe, stdout=pipe, text=True)
        threading.Thread(target=self.hear, daemon=True).start()

    def hear(self) -> None:
        """Takes what is told, a line for each event; then that it has ended."""
        for line in self.process.stdout:
            self.told.put(json.loads(line))
        self.told.put(None)

    def end(self) -> None:
        """Ends the driver."""
        self.process.kill()
        self.process.wait()

    def send(self, *events: str) -> list[dict]:
        """Sends events at the same time; what is told of them, in the same order."""
        self.process.stdin.write(" ".join(events) + "\n")
        self.process.stdin.flush()
        told = {}
        for _ in events:
            try:
                one = self.told.get(timeout=30)
            except queue.Empty:
                raise Wrong(f"after 30 s it has told of {len(told)} events of {len(events)}") from None
            want(one is not None, "it has ended")
            told[one["id"]] = one
        return [told[event] for event in events]

    def accepted(self, *events: str) -> None:
        """Sends events at the same time, and wants them accepted."""
        for one in self.send(*events):
            want(one.get("accepted") is True, f"{one['id']} was not accepted: {one}")

    def refused(self, *events: str, status: tuple[int, ...], code: str, may_be_stored: bool, within_ms: int) -> None:
        """Sends events at the same time, and wants the client's own error for each, in time."""
        for one in self.send(*events):
            want(one.get("error") == "NotAccepted", f"the client has an error of its own, and told {one}")
            want(one["status"] in status and one["code"] == code, f"status {status} and code {code!r} were answered, and it told {one}")
            want(one["maybeStored"] is may_be_stored, f"whether {one['id']} may be stored is {may_be_stored}, and it told {one}")
            want(one["ms"] < within_ms, f"it ends within {within_ms} ms, and took {one['ms']}")

    def story(self, *expected: str) -> None:
        """Wants these calls, and no others."""
        seen = [str(call) for call in self.relay.calls]
        want(seen == list(expected), f"the calls are {', '.join(expected)}; there were {', '.join(seen)}")

    def counted(self, log_ins: int, refreshes: int, events: int) -> None:
        """Wants so many log-ins and refreshes, and so many events; those of them that are sent again, once and as they were."""
        calls = self.relay.calls
        seen = [sum(call.name == name for call in calls) for name in ("log-in", "refresh")]
        want(seen == [log_ins, refreshes], f"there is a log-in {log_ins} times and a refresh {refreshes} times; there were {seen}")
        sent = {}
        for call in calls:
            if call.name == "event":
                sent.setdefault(call.body["id"], []).append(call.body)
        want(len(sent) == events, f"there are {events} events, and were {list(sent)}")
        for bodies in sent.values():
            want(bodies in ([bodies[0]], [bodies[0]] * 2), f"an event is sent twice at most, and the same: {bodies}")

    def each_token_once(self) -> None:
        """Wants each refresh token sent once."""
        tokens = [call.body["refreshToken"] for call in self.relay.calls if call.name == "refresh"]
        want(len(tokens) == len(set(tokens)), "a refresh token is good once, and was sent again")


def a_refused_token_is_replaced(client: Client) -> None:
    """On 401 the client logs in and sends the same event once more."""
    client.accepted("first")
    client.relay.spoil()
    client.accepted("second")
    client.story("log-in", "event first", "event second", "log-in", "event second")
    client.counted(log_ins=2, refreshes=0, events=2)


def a_second_401_is_told(client: Client) -> None:
    """A 401 of the new token, too, is an error, and nothing is sent a third time."""
    client.relay.begin([("event", "spoil"), ("event", "spoil")])
    client.refused("one", status=(401,), code="access_token_invalid", may_be_stored=False, within_ms=8_000)
    client.story("log-in", "event one", "log-in", "event one")


def a_refresh_comes_in_time(client: Client) -> None:
    """Ahead of its end the session is refreshed, with the newest token each time."""
    client.relay.begin([("log-in", "old"), ("refresh", "old")])
    for event in ("first", "second", "third", "fourth"):
        client.accepted(event)
    client.story("log-in", "event first", "refresh", "event second", "refresh", "event third", "event fourth")
    client.each_token_once()


def a_lost_refresh_is_not_repeated(client: Client) -> None:
    """Where the answer of a refresh never comes, or is a gateway's, the client logs in; the spent token is never sent again, even if that fails."""
    client.relay.begin([("log-in", "old"), ("refresh", "silent"), ("log-in", "old"), ("refresh", "bad-gateway"), ("log-in", "bad-gateway")])
    client.accepted("first")
    client.accepted("second")
    client.accepted("third")
    client.relay.spoil()
    client.accepted("fourth")
    lost = ("refresh", "log-in")
    client.story("log-in", "event first", *lost, "event second", *lost, "event third", "event fourth", "log-in", "event fourth")
    client.each_token_once()


def where_nobody_gets_a_session_the_old_token_goes_on(client: Client) -> None:
    """While neither refresh nor log-in works, events are sent with the token that is there, without a try for each of them."""
    client.relay.begin([("log-in", "old"), ("refresh", "bad-gateway"), ("log-in", "bad-gateway"), ("log-in", "bad-gateway")])
    client.accepted("first")
    for event in ("second", "third", "fourth"):
        client.accepted(event)
    client.story("log-in", "event first", "refresh", "log-in", "event second", "event third", "event fourth")
    time.sleep(5.5)
    client.accepted("fifth")
    client.story("log-in", "event first", "refresh", "log-in", "event second", "event third", "event fourth", "log-in", "event fifth")
    client.each_token_once()


def a_gateway_s_page_is_told(client: Client) -> None:
    """A gateway's page is the client's own error, whatever its status; the event may be stored, and is not sent again."""
    client.relay.begin([("event", "bad-gateway"), ("event", "page")])
    client.refused("first", status=(502,), code="", may_be_stored=True, within_ms=8_000)
    # The page says that this one is accepted.
    client.refused("x", status=(200,), code="", may_be_stored=True, within_ms=8_000)
    client.story("log-in", "event first", "event x")


def another_s_json_is_told(client: Client) -> None:
    """JSON with status 200 that is not the service's is as a gateway's page: neither an accepted event, nor a session."""
    client.relay.begin([("log-in", "other-status"), ("event", "other-status"), ("event", "other-id")])
    client.refused("first", status=(200,), code="", may_be_stored=False, within_ms=8_000)
    client.refused("second", status=(200,), code="", may_be_stored=True, within_ms=8_000)
    client.refused("third", status=(200,), code="", may_be_stored=True, within_ms=8_000)
    client.story("log-in", "log-in", "event second", "event third")


def a_redirect_is_not_followed(client: Client) -> None:
    """Neither the token nor anything else is sent to where a redirect leads; it is as a gateway's page."""
    client.relay.begin([("log-in", "redirect"), ("event", "redirect")])
    client.refused("first", status=(302,), code="", may_be_stored=False, within_ms=8_000)
    client.refused("second", status=(302,), code="", may_be_stored=True, within_ms=8_000)
    client.story("log-in", "log-in", "event second")


def an_id_comes_back_as_it_was(client: Client) -> None:
    """What JSON escapes, or need not, is the same id in the answer."""
    client.accepted('"quoted"', "back\\slash", "s/l", "<&>")


def a_log_in_that_fails_is_told(client: Client) -> None:
    """A gateway's page instead of a session: nothing was stored. The next event logs in anew."""
    client.relay.begin([("log-in", "bad-gateway"), ("log-in", "page")])
    client.refused("first", status=(502,), code="", may_be_stored=False, within_ms=8_000)
    client.refused("second", status=(200,), code="", may_be_stored=False, within_ms=8_000)
    client.accepted("third")
    client.story("log-in", "log-in", "log-in", "event third")


def a_wrong_field_is_told(client: Client) -> None:
    """What the service refuses is told by its code, and is not sent again."""
    client.refused("x" * 129, status=(400,), code="invalid_fields", may_be_stored=False, within_ms=8_000)
    client.story("log-in", f"event {'x' * 129}")


def many_sends_have_one_session(client: Client) -> None:
    """Sends at the same time log in once, refresh once, and replace a refused token once."""
    client.relay.begin([("log-in", "old"), ("refresh", "slow")])
    client.accepted("first")
    client.accepted(*MANY)
    client.counted(log_ins=1, refreshes=1, events=1 + len(MANY))
    client.relay.spoil()
    # So that all are under way before the first is refused, and some are refused when there is a new session.
    client.relay.rules += [("event", "slow"), ("event", "slower")] * (len(MANY) // 2)
    client.accepted(*(f"{event}-again" for event in MANY))
    client.counted(log_ins=2, refreshes=1, events=1 + 2 * len(MANY))
    client.each_token_once()


def many_first_sends_log_in_once(client: Client) -> None:
    """Sends at the same time, before there is a session, log in once."""
    client.relay.begin([("log-in", "slow")])
    client.accepted(*MANY)
    client.counted(log_ins=1, refreshes=0, events=len(MANY))


def a_silent_call_is_given_up(client: Client) -> None:
    """An event that is not answered, or by a byte now and then, is given up after 500 ms, told as one that may be stored, and not sent again."""
    client.relay.begin([("event", ""), ("event", "silent"), ("event", "drip")])
    client.accepted("first")
    client.refused("second", status=(0,), code="", may_be_stored=True, within_ms=1_500)
    client.refused("third", status=(0, 202), code="", may_be_stored=True, within_ms=1_500)
    client.story("log-in", "event first", "event second", "event third")


def a_silent_log_in_is_given_up(client: Client) -> None:
    """Nobody waits for ever, however many wait for the same session."""
    client.relay.begin([("log-in", "silent")] * len(MANY))
    client.refused(*MANY, status=(0,), code="", may_be_stored=False, within_ms=9_000)
    client.counted(log_ins=len(client.relay.calls), refreshes=0, events=0)


SCENARIOS = [
    a_refused_token_is_replaced,
    a_second_401_is_told,
    a_refresh_comes_in_time,
    a_lost_refresh_is_not_repeated,
    where_nobody_gets_a_session_the_old_token_goes_on,
    a_gateway_s_page_is_told,
    another_s_json_is_told,
    a_redirect_is_not_followed,
    an_id_comes_back_as_it_was,
    a_log_in_that_fails_is_told,
    a_wrong_field_is_told,
    many_sends_have_one_session,
    many_first_sends_log_in_once,
    a_silent_call_is_given_up,
    a_silent_log_in_is_given_up,
]


def as_the_guide_says(name: str, relay: Relay, here: Served) -> None:
    """Runs a client as docs/api.md says, and wants its event delivered."""
    chapter = (ROOT / "docs" / "api.md").read_text().split("## Clients that do it right")[1]
    lines = re.search(r"```sh\n(.*?)```", chapter, re.DOTALL)[1].splitlines()
    typed = [line for line in lines if line.startswith("export ") or line.endswith(f"docs/clients/{CLIENTS[name].file}")]
    text = "\n".join(typed).replace("http://localhost:4000/api", relay.url).replace("data/", f"{here.data}/")
    ended = subprocess.run(["bash", "-euc", text], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    want(ended.returncode == 0, f"`{typed[-1]}` ended with {ended.returncode}: {ended.stderr.strip()}")
    told = json.loads(ended.stdout)
    want(told["status"] == "accepted", f"it told {told}")
    event, token = f"{here.public}/api/events/{told['id']}", here.log_in()
    eventually(f"the event of {name} is delivered", lambda: ask(event, token=token)["state"] == "delivered")


def holds(what: str, relay: Relay, scenario: typing.Callable[[], None]) -> bool:
    """Judges a scenario, again where the service was late; tells how it ended."""
    for _ in range(TRIES):
        relay.begin([])
        try:
            scenario()
        except Wrong as wrong:
            told = f"FAILS: {wrong}"
            if relay.late:
                continue
        else:
            told = "holds"
        break
    print(f"check/clients: {what} {told}", file=sys.stderr, flush=True)
    return told == "holds"


def built(command: str, directory: str) -> None:
    """Makes a program of a client and its driver."""
    ended = subprocess.run(command.split(), cwd=directory, capture_output=True, text=True, check=False)
    want(ended.returncode == 0, f"`{command}` ended with {ended.returncode}: {ended.stderr.strip()}")


def check(name: str, relay: Relay, here: Served) -> list[bool]:
    """Judges a client by all scenarios."""
    client = CLIENTS[name]
    judged = [holds(f"{name}: as_the_guide_says", relay, lambda: as_the_guide_says(name, relay, here))]
    with tempfile.TemporaryDirectory() as directory:
        for file in (GUIDE / client.file, HERE / "clients.d" / client.driver):
            shutil.copy(file, directory)
        if not holds(f"{name}: is_built", relay, lambda: built(client.build, directory)):
            return [*judged, False]

        def driven(scenario: typing.Callable[[Client], None]) -> None:
            driver = Client(client.run, directory, relay, here.credentials())
            try:
                scenario(driver)
            finally:
                driver.end()

        judged += [holds(f"{name}: {scenario.__name__}", relay, lambda: driven(scenario)) for scenario in SCENARIOS]
    return judged


def main(proxy: str, names: list[str]) -> int:
    """Checks these clients."""
    if unknown := [name for name in names if name not in CLIENTS]:
        sys.exit(f"check/clients: there is no client {unknown[0]}: {', '.join(CLIENTS)}")
    judged = []
    with served(proxy, {}) as here:
        here.log_in()
        relay = Relay(int(here.public.rpartition(":")[2]))
        for name in names:
            judged += check(name, relay, here)
    print(f"{judged.count(True)} passed, {judged.count(False)} failed")
    return 0 if all(judged) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
