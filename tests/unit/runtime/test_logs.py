"""Lines that people and programs can read, without repeats and secrets."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from gateway.errors import ConfigError
from gateway.runtime.logs import MOST_COUNTED, LogHandler, Logs, logger_name, open_logs
from tests.fakes.waiting import eventually

log = logging.getLogger("gateway.uplink.child")


class Desk:
    """Logging into a text, with a clock that a test moves."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.stream = io.StringIO()
        self.now = 0.0
        self.handler = LogHandler(self.stream, as_json=as_json, now=lambda: self.now)
        self.logs = Logs(self.handler, level="info", levels={})

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()


@pytest.fixture
def desk() -> Iterator[Desk]:
    found = Desk()
    yield found
    found.logs.close()


def test_a_line_has_time_level_component_event_and_fields(desk: Desk) -> None:
    log.warning("link lost", extra={"link": "usb0", "why": "no such device", "retry_s": 4.0})
    (line,) = desk.lines
    assert line[10] == "T"
    assert line[23:] == (
        'Z WARNING uplink.child: link lost  link=usb0  why="no such device"  retry_s=4.0'
    )


def test_json_has_one_object_a_line() -> None:
    desk = Desk(as_json=True)
    log.error("x", extra={"n": 1, "level": "mine"})
    desk.logs.close()
    entry = json.loads(desk.lines[0])
    assert entry["level"] == "error"
    assert entry["component"] == "uplink.child"
    assert (entry["event"], entry["n"]) == ("x", 1)


def test_equal_messages_are_counted_and_the_count_told_after_a_minute(desk: Desk) -> None:
    for delay_s in range(8):
        log.warning("no answer", extra={"peer": "a", "retry_s": delay_s})
    log.warning("no answer", extra={"peer": "b"})
    assert len(desk.lines) == 2
    desk.now = 61.0
    desk.handler.flush_repeats()
    assert len(desk.lines) == 3
    assert "no answer (repeated 7 times)  peer=a" in desk.lines[2]
    assert "within_s=61" in desk.lines[2]


def test_the_same_message_after_the_minute_is_written_again(desk: Desk) -> None:
    log.info("x")
    desk.now = 60.0
    log.info("x")
    assert len(desk.lines) == 2


def test_what_was_counted_is_told_at_the_end() -> None:
    desk = Desk()
    log.info("x")
    log.info("x")
    desk.logs.close()
    assert "x (repeated 1 times)" in desk.lines[-1]


def test_the_table_of_counts_is_bounded_and_tells_what_it_drops(desk: Desk) -> None:
    log.info("first")
    log.info("first")
    for number in range(MOST_COUNTED):
        log.info("message %s", number)
    assert any("first (repeated 1 times)" in line for line in desk.lines)


async def test_the_timer_tells_counts_when_nothing_else_is_logged(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.runtime.logs.REPEAT_WINDOW_S", 0.01)
    desk.logs.start_timer()
    log.info("x")
    log.info("x")
    desk.now = 1.0
    await eventually(lambda: len(desk.lines) == 2)
    assert "repeated 1 times" in desk.lines[1]


def test_secrets_are_hidden_wherever_they_stand(desk: Desk) -> None:
    desk.logs.hide(["0123456789abcdef", "pi"])
    log.error(
        "login 0123456789abcdef",
        extra={"seen": "x0123456789abcdefx", "token": 7},
        exc_info=ValueError("bad 0123456789abcdef"),
    )
    text = desk.stream.getvalue()
    assert "0123456789abcdef" not in text
    assert "0123456789abcdef" not in "".join(desk.logs.tail(10))
    assert "token=***" in text
    assert "ValueError: bad ***" in text


def test_levels_are_set_by_component_at_run_time(desk: Desk) -> None:
    log.debug("not yet")
    desk.logs.set_level("uplink", "debug")
    log.debug("now")
    logging.getLogger("gateway.bridge.intake").debug("not this")
    assert [line.rsplit(" ", 1)[1] for line in desk.lines] == ["now"]
    assert desk.logs.levels() == {"all": "info", "uplink": "debug"}


def test_a_level_that_there_is_not_is_refused(desk: Desk) -> None:
    with pytest.raises(ConfigError) as caught:
        desk.logs.set_level("uplink", "loud")
    assert caught.value.code == "GW-1403"


def test_closing_gives_levels_and_handlers_back() -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level, log.level
    logs = open_logs(level="error", levels={"uplink.child": "debug"}, stream=io.StringIO())
    logs.close()
    assert (root.handlers, root.level, log.level) == before


def test_the_tail_holds_the_last_500_lines_and_a_listener_hears_each(desk: Desk) -> None:
    heard: list[str] = []
    stop = desk.logs.subscribe(heard.append)
    for number in range(510):
        log.info("line %s", number)
    stop()
    log.info("after")
    assert len(desk.logs.tail(1000)) == 500
    assert desk.logs.tail(1)[0].endswith("after")
    assert desk.logs.tail(0) == []
    assert len(heard) == 510


def test_a_closed_terminal_does_not_end_the_node(desk: Desk) -> None:
    desk.stream.close()
    logging.raiseExceptions, before = False, logging.raiseExceptions
    log.info("nobody reads this")
    logging.raiseExceptions = before
    assert desk.logs.tail(1)[0].endswith("nobody reads this")


def test_for_the_journal_the_severity_stands_in_front() -> None:
    stream = io.StringIO()
    logs = Logs(LogHandler(stream, for_journal=True), level="info", levels={})
    log.warning("x")
    logs.close()
    assert stream.getvalue() == "<4>uplink.child: x\n"


@pytest.mark.parametrize(
    ("component", "name"),
    [
        ("uplink", "gateway.uplink"),
        ("all", ""),
        ("", ""),
        ("drivers.serial.vedirect", "drivers.serial.vedirect"),
        ("gateway.mqtt", "gateway.mqtt"),
        ("bleak", "bleak"),
    ],
)
def test_a_component_is_a_logger_without_the_packages_name(component: str, name: str) -> None:
    assert logger_name(component) == name
