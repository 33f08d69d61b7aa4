"""The line is cut, a node is stopped, the power fails: what was said arrives above once, in order, with its time."""

import contextlib
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.nodes import Node, Port, history, join, running, wait_drained, wait_online
from tests.fakes.people import Attached, Login, register
from tests.fakes.waiting import soon

pytestmark = [pytest.mark.slow]

DEVICES = ("one", "two", "three")
EVERY_S = 0.01  # each device a reading: 300 a second altogether
LOSS_WINDOW_S = 0.25  # profile "strict"
COMMIT_S = (
    0.25  # what a commit may take on a busy machine, and a reading from the wire to the spool
)
CLOCK_MS = 100  # how far a reading's time above may be from when it was written to the wire
KILLS = 10
QUIET_S = 1.0

CHILD = """[ble]
enabled = "off"
[spool]
profile = "strict"
[uplink]
most_retry_s = 1
[[serial]]
name = "wire"
port = "{port}"
driver = "line-json"
"""


@dataclass
class Feeder:
    """Writes numbered readings of several devices until it is ended; `sent` says when each number was written."""

    port: Port
    sent: dict[str, dict[int, float]] = field(default_factory=lambda: {d: {} for d in DEVICES})
    may: threading.Event = field(default_factory=threading.Event)
    is_ended: bool = False
    number: int = 0

    def run(self) -> None:
        while not self.is_ended:
            if not self.may.wait(0.05):
                continue
            self.once()
            time.sleep(EVERY_S)

    def once(self) -> None:
        """Let every device say the next number."""
        self.number += 1
        for device in DEVICES:
            self.sent[device][self.number] = time.time()
            self.port.write(b'{"id":"%b","nonce":%d}\n' % (device.encode(), self.number))


@contextlib.contextmanager
def feeding(port: Port) -> Iterator[Feeder]:
    feeder = Feeder(port)
    feeder.may.set()
    thread = threading.Thread(target=feeder.run)
    thread.start()
    try:
        yield feeder
    finally:
        feeder.is_ended = True
        thread.join()


@dataclass
class Site:
    parent: Node
    child: Node
    port: Port
    uuids: dict[str, str]

    def wait_open(self) -> None:
        self.child.wait(lambda s: s["links"][0]["state"] == "open", what="the port is open")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    port = Port(tmp_path / "by-id", "usb-Sensor_0001")
    parent = Node(tmp_path / "parent", config='[ble]\nenabled = "off"\n')
    child = Node(tmp_path / "child", config=CHILD.format(port=port.path))
    with running(parent, child):
        join(child, parent)
        site = Site(parent, child, port, {})
        site.wait_open()
        for device in DEVICES:
            port.write(b'{"id":"%b","nonce":0}\n' % device.encode())
        status = child.wait(lambda s: len(s["devices"]) == len(DEVICES), what="all are claimed")
        site.uuids = {d["slug"]: d["uuid"] for d in status["devices"]}
        wait_drained(child)
        yield site


@dataclass(frozen=True)
class Row:
    """One reading on the parent's disk."""

    nonce: int
    at: float  # epoch seconds
    log: str
    number: int  # in that log


def arrived(site: Site) -> dict[str, list[Row]]:
    """Stop both nodes; return the readings of each device as the parent's disk holds them, in order of arrival."""
    assert site.child.stop() == 0
    assert site.parent.stop() == 0
    return {
        device: [row for row in map(_row, history(site.parent, uuid)) if row.nonce > 0]
        for device, uuid in site.uuids.items()
    }


def _row(document: dict[str, Any]) -> Row:
    metadata = document["metadata"]
    _, log, number = metadata["id"].split(":")
    at = datetime.fromisoformat(metadata["observedAt"]).timestamp()
    return Row(document["payload"]["nonce"], at, log, int(number))


def check_times(rows: list[Row], sent: dict[int, float]) -> None:
    """Each reading has the time at which it was said, however late it arrived."""
    worst = max(abs(row.at - sent[row.nonce]) * 1000 for row in rows)
    assert worst <= CLOCK_MS, f"{worst:.0f} ms"


def check_order(rows: list[Row]) -> None:
    """Readers order by start and number, for live records may overtake history: then all is in order."""
    began: dict[str, float] = {}
    for row in rows:
        began[row.log] = min(began.get(row.log, row.at), row.at)
    ordered = [row.nonce for row in sorted(rows, key=lambda row: (began[row.log], row.number))]
    assert ordered == sorted(ordered)


def complete(site: Site, feeder: Feeder) -> None:
    """All that was said is above: once, in order, with its own time."""
    for device, rows in arrived(site).items():
        assert sorted(row.nonce for row in rows) == list(feeder.sent[device])
        check_order(rows)
        check_times(rows, feeder.sent[device])


# ---- one fault at a time ----------------------------------------------------------------------


def test_a_cut_line_fills_the_log_and_a_mended_one_drains_it(site: Site) -> None:
    with feeding(site.port) as feeder:
        time_passes()
        assert site.child.run("mesh", "cut").returncode == 0
        before = site.parent.status()["devices"][0]["last_seen_ms"]
        status = site.child.wait(
            lambda s: s["uplink"]["depth_records"] > 150, what="the log is filling"
        )
        assert status["uplink"]["state"] != "online"
        assert site.parent.status()["devices"][0]["last_seen_ms"] - before < 1000
        assert site.child.run("mesh", "mend").returncode == 0
        wait_online(site.child)
        time_passes()
    wait_drained(site.child)
    complete(site, feeder)


def test_a_killed_parent_misses_nothing(site: Site) -> None:
    with feeding(site.port) as feeder:
        time_passes()
        site.parent.kill()
        site.child.wait(lambda s: s["uplink"]["depth_records"] > 150, what="the log is filling")
        site.parent.start()
        wait_online(site.child)
        time_passes()
    wait_drained(site.child)
    complete(site, feeder)


def test_a_gateway_that_is_stopped_and_started_while_its_parent_is_away_loses_nothing(
    site: Site,
) -> None:
    with feeding(site.port) as feeder:
        time_passes()
        site.parent.kill()
        site.child.wait(lambda s: s["uplink"]["depth_records"] > 150, what="the log is filling")
        feeder.may.clear()
        settle(site)
        assert site.child.stop() == 0
        site.child.start()
        depth = site.child.status()["uplink"]["depth_records"]
        assert depth > 150
        site.wait_open()
        feeder.may.set()
        site.child.wait(lambda s: s["uplink"]["depth_records"] > depth + 50, what="and goes on")
        site.parent.start()
        wait_online(site.child)
    wait_drained(site.child)
    complete(site, feeder)


def time_passes(seconds: float = QUIET_S) -> None:
    """Let the devices talk for a while: nothing to wait for, this is the traffic itself."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(0.05)


def settle(site: Site) -> None:
    """Wait until the gateway has read all that was written to it."""
    seen = -1
    while seen != (now := site.child.status()["links"][0]["counters"]["bytes"]):
        seen = now
        time.sleep(0.05)


# ---- ten kills --------------------------------------------------------------------------------


class Letters:
    """A device at the child that writes to somebody only the parent knows, with QoS 1."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.recipient = register(site.parent, type="reader", sendWhitelist=["*"])
        self._login = register(site.child, type="writer")
        self._reader: Attached | None = None
        self._is_ended = False
        self._number = 0
        self.may = threading.Event()
        self.may.set()
        self.sent: dict[int, float] = {}
        self.acknowledged: set[int] = set()
        self.received: list[int] = []
        self._thread = threading.Thread(target=self._write)

    @property
    def login(self) -> Login:
        return self._login

    def start(self) -> None:
        self._thread.start()

    def read(self) -> None:
        """Let the recipient come (again) at a parent that has just started."""
        if self._reader is not None:
            self._keep()
        self._reader = Attached(self._site.parent, self.recipient)
        self._reader.subscribe(self.recipient.uuid)

    def _keep(self) -> None:
        assert self._reader is not None
        self._reader.close()
        self.received += [m["payload"]["letter"] for m in self._reader.messages("letter")]
        self._reader = None

    def _write(self) -> None:
        while not self._is_ended:
            try:
                device = Attached(self._site.child, self._login)
            except (OSError, AssertionError):
                time.sleep(0.05)
                continue
            try:
                self._write_with(device)
            finally:
                device.close()

    def _write_with(self, device: Attached) -> None:
        mids: dict[int, int] = {}
        while device.is_connected and not self._is_ended:
            if not self.may.wait(0.05):
                continue
            self._number += 1
            self.sent[self._number] = time.time()
            said = {"topic": "letter", "payload": {"letter": self._number}}
            mids[device.send(devices=[self.recipient.uuid], **said)] = self._number
            time.sleep(0.02)
        if device.is_connected:
            soon(lambda: set(mids) <= device.acknowledged, what="the last PUBACKs")
        self.acknowledged |= {mids[mid] for mid in set(mids) & device.acknowledged}

    def finish(self) -> None:
        self._is_ended = True
        self._thread.join()

    def close(self) -> None:
        self.finish()
        if self._reader is not None:
            self._keep()


def test_ten_kills_in_mid_flow_lose_no_more_than_the_loss_window_and_double_nothing(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway_kills: list[tuple[float, float]] = []
    parent_kills: list[float] = []
    letters = Letters(site)
    letters.read()
    with contextlib.closing(letters), feeding(site.port) as feeder:
        letters.start()
        for turn in range(KILLS // 2):
            time_passes(0.6 + 0.13 * turn)
            parent_kills.append(time.time())
            site.parent.kill()
            time_passes(0.3 + 0.2 * turn)
            is_dark = turn % 2 == 1  # the power fails at home while the parent is away
            if is_dark:
                letters.may.clear()  # nobody waits for a commit: the loss window alone decides
                time_passes()
                gateway_kills.append(kill_gateway(site, feeder))
                letters.may.set()
                time_passes(0.3)
            start_parent(site, letters)
            wait_online(site.child)
            if not is_dark:
                time_passes(0.6 + 0.13 * turn)
                gateway_kills.append(kill_gateway(site, feeder))
                wait_online(site.child)
        time_passes()
        letters.finish()
        feeder.is_ended = True
        settle(site)
        wait_drained(site.child, seconds=30)

    lost = 0
    for device, rows in arrived(site).items():
        sent = feeder.sent[device]
        numbers = [row.nonce for row in rows]
        assert len(numbers) == len(set(numbers)), "a reading arrived twice"
        assert set(numbers) <= set(sent)
        check_order(rows)
        missing = {number: sent[number] for number in set(sent) - set(numbers)}
        for number, at in missing.items():
            assert any(
                killed - LOSS_WINDOW_S - COMMIT_S <= at <= reopened
                for killed, reopened in gateway_kills
            ), f"{device} {number} was lost outside the loss window: {at} {gateway_kills}"
        lost += len(missing)
    total = sum(map(len, feeder.sent.values()))
    assert total > 1000
    check_letters(site, letters, parent_kills)
    with capsys.disabled():
        print(
            f"\n  {lost} of {total} readings lost with {len(gateway_kills)} power cuts;"
            f" of {len(letters.acknowledged)} acknowledged letters"
            f" {len(letters.acknowledged - set(letters.received))} unread"
        )


def start_parent(site: Site, letters: Letters) -> None:
    """Start the parent again; the child stands still until the recipient of letters is back."""
    site.child.signal(signal.SIGSTOP)
    site.parent.start()
    letters.read()
    site.child.signal(signal.SIGCONT)


def kill_gateway(site: Site, feeder: Feeder) -> tuple[float, float]:
    """Kill the gateway while the devices talk; they are silent until it hears them again."""
    killed = time.time()
    site.child.kill()
    feeder.may.clear()
    site.child.start()
    site.wait_open()
    site.port.write(b"\n")  # ends a line that was half read when the power failed
    reopened = time.time()
    feeder.may.set()
    return killed, reopened


def check_letters(site: Site, letters: Letters, parent_kills: list[float]) -> None:
    """No letter twice; each acknowledged one was taken above, and read but for those a dying parent had in hand."""
    assert len(letters.acknowledged) > 100
    assert len(letters.received) == len(set(letters.received)), "a letter arrived twice"
    unread = letters.acknowledged - set(letters.received)
    for number in unread:
        at = letters.sent[number]
        assert any(killed - 1.0 <= at <= killed for killed in parent_kills), (
            f"letter {number} was acknowledged and never read: {at} {parent_kills}"
        )
    with contextlib.closing(sqlite3.connect(site.parent.state / "log.db")) as database:
        assert database.execute("SELECT count(*) FROM refusals").fetchone() == (0,)
        assert database.execute("SELECT count(*) FROM lost").fetchone() == (0,)
    with contextlib.closing(sqlite3.connect(site.child.state / "log.db")) as database:
        for table in ("blocks", "dead_letters", "damaged", "voids"):
            assert database.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
