"""`gateway broker`: tables for people, JSON for programs, questions before something is thrown away."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.main import main
from tests.unit.cli.node import answering, events

CLIENT = {
    "identity": "anna", "client_id": "laptop", "kind": "user", "version": 5, "listener": "tls",
    "peer": "192.0.2.1:5", "since_s": 61.0, "keep_alive_s": 60, "packets_in": 3, "bytes_in": 1400,
    "messages_out": 2, "bytes_out": 90, "queued": 1, "queued_bytes": 10, "inflight": 4, "dropped": 5,
}  # fmt: skip
AWAY = {
    "identity": "anna", "client_id": "phone", "kind": "user", "version": 4, "expiry_s": 7200,
    "online": False, "offline_s": 3600.0, "expires_in_s": 3600.0, "messages_out": 0, "bytes_out": 0,
    "queued": 0, "queued_bytes": 0, "inflight": 0, "dropped": 0,
    "subscriptions": [{"filter": f"t/{n}", "qos": 1} for n in range(7)],
}  # fmt: skip
HERE = {**AWAY, "client_id": "tv", "online": True, "subscriptions": []}
KEPT = {
    "count": 12, "bytes": 2000,
    "rows": [{"topic": "a/b", "bytes": 1400, "qos": 1, "age_s": 5.0, "expires_in_s": None},
             {"topic": "a/c", "bytes": 2, "qos": 0, "age_s": None, "expires_in_s": 60.0}],
}  # fmt: skip
REFUSED = {
    "what": "CONNECT", "identity": "bob", "client_id": "", "peer": "192.0.2.1:5",
    "reason": "bad user name or password", "count": 3, "last_s": 5.0,
}  # fmt: skip
TRACED = {
    "at_ms": 1500, "direction": "received", "identity": "anna", "client_id": "laptop",
    "peer": "192.0.2.1:5", "text": "PINGREQ",
}  # fmt: skip


def run(state: Path, answers: dict[str, Any], *words: str) -> tuple[int, list[tuple[str, Any]]]:
    with answering(state, answers) as control:
        code = main(["broker", *words, "--state", str(state)])
    return code, control.asked


def lines(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    return [[cell for cell in line.split("  ") if cell] for line in capsys.readouterr().out.splitlines()]  # fmt: skip


def test_clients_are_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, {"GET /broker/clients": [CLIENT]}, "clients")
    head, row = lines(capsys)
    assert [cell.strip() for cell in row] == [
        "anna", "laptop", "5", "tls", "192.0.2.1:5", "1 min 1 s", "3 (1.4 kB)", "2 (90 B)",
        "1 (10 B), 4 in flight", "5",
    ]  # fmt: skip
    assert len(head) == len(row)


def test_sessions_of_absent_clients_say_since_when_and_until_when(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, {"GET /broker/sessions": [AWAY, HERE]}, "sessions")
    _, away, here = lines(capsys)
    assert "away 1 h, ends in 1 h" in [cell.strip() for cell in away]
    assert away[-1].strip() == "t/0 q1, t/1 q1, t/2 q1, t/3 q1, t/4 q1 and 2 more"
    assert [cell.strip() for cell in here][3:] == ["online", "0, 0 in flight", "0", "-"]


def test_retained_messages_are_a_table_with_a_sum(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, {"GET /broker/retained?filter=a%2F%23": KEPT}, "retained", "a/#")
    _, first, second, total = lines(capsys)
    assert [cell.strip() for cell in first] == ["a/b", "1.4 kB", "1", "5 s", "-"]
    assert [cell.strip() for cell in second] == ["a/c", "2 B", "0", "-", "1 min"]
    assert total == ["12 retained messages, 2.0 kB; 10 more are not shown"]


@pytest.mark.parametrize(
    ("words", "path", "nothing", "says"),
    [
        (["clients"], "clients", [], "nobody is connected"),
        (["sessions"], "sessions", [], "no sessions"),
        (["refused"], "refused", [], "nothing was refused"),
        (["retained"], "retained?filter=%23", {"count": 0, "bytes": 0, "rows": []}, "matches #"),
    ],
)
def test_nothing_is_said_in_words(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    path: str,
    nothing: Any,
    says: str,
) -> None:
    assert run(tmp_path, {f"GET /broker/{path}": nothing}, *words)[0] == 0
    assert says in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "path", "answer"),
    [
        (["clients"], "clients", [CLIENT]),
        (["sessions"], "sessions", [AWAY]),
        (["refused"], "refused", [REFUSED]),
        (["retained"], "retained?filter=%23", KEPT),
    ],
)
def test_json_is_the_nodes_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], path: str, answer: Any
) -> None:
    run(tmp_path, {f"GET /broker/{path}": answer}, *words, "--json")
    assert json.loads(capsys.readouterr().out) == answer


def test_refusals_say_who_and_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, {"GET /broker/refused": [REFUSED]}, "refused")
    _, row = lines(capsys)
    assert [cell.strip() for cell in row] == [
        "5 s ago", "3", "CONNECT", "bob", "-", "192.0.2.1:5", "bad user name or password",
    ]  # fmt: skip


CLEAR = {"GET /broker/retained?filter=a": KEPT, "POST /broker/retained/clear": {"cleared": 12}}


def answered(monkeypatch: pytest.MonkeyPatch, text: str, *, is_terminal: bool = True) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    monkeypatch.setattr(sys.stdin, "isatty", lambda: is_terminal)


@pytest.mark.parametrize(("said", "code"), [("y\n", 0), ("\n", 1), ("no\n", 1)])
def test_clearing_asks_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, code: int
) -> None:
    answered(monkeypatch, said)
    got, asked = run(tmp_path, CLEAR, "retained", "a", "--clear")
    assert got == code
    assert (("POST /broker/retained/clear", {"filter": "a"}) in asked) is (code == 0)


def test_clearing_without_a_terminal_needs_the_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answered(monkeypatch, "y\n", is_terminal=False)
    assert run(tmp_path, CLEAR, "retained", "a", "--clear")[0] == 78
    assert "--yes" in capsys.readouterr().err
    assert run(tmp_path / "2", CLEAR, "retained", "a", "--clear", "--yes")[0] == 0
    assert capsys.readouterr().out == "12 retained messages cleared\n"


@pytest.mark.parametrize(
    ("time", "seconds", "says"),
    [("30s", 30.0, "30 s"), ("5m", 300.0, "5 min"), ("1.5h", 5400.0, "1 h 30 min")],
)
def test_a_kick_may_ban(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], time: str, seconds: float, says: str
) -> None:
    answers = {"POST /broker/kick": {"kicked": 1, "banned_s": seconds}}
    _, asked = run(tmp_path, answers, "kick", "anna", "--ban-for", time)
    assert asked[0][1] == {"identity": "anna", "client_id": None, "ban_s": seconds}
    assert capsys.readouterr().out == (
        f"1 session of anna ended; it may not come back for {says}\n"
    )


@pytest.mark.parametrize("time", ["5", "m", "soon", "", "48h", "nanh"])
def test_a_time_that_is_none_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], time: str
) -> None:
    with pytest.raises(SystemExit):
        main(["broker", "kick", "anna", "--ban-for", time])
    assert "30s, 5m or 2h" in capsys.readouterr().err


def test_a_trace_is_one_line_a_packet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = events(
        ("line", TRACED), ("lost", 7), ("line", {**TRACED, "direction": "sent", "text": "PINGRESP"}),
        ("line", {**TRACED, "direction": "event", "text": "closed: left", "client_id": "", "identity": ""}),
    )  # fmt: skip
    path = "/broker/trace?client_id=laptop&topic=a%2F%23&payload=1"
    words = ["trace", "--client-id", "laptop", "--topic", "a/#", "--payload"]
    run(tmp_path, {f"GET {path}": raw}, *words)
    said = [line.partition("  ")[2] or line for line in capsys.readouterr().out.splitlines()]
    assert said == [
        "from anna (laptop): PINGREQ",
        "-- 7 lines were lost",
        "to anna (laptop): PINGRESP",
        "? (192.0.2.1:5): closed: left",
    ]


def test_a_trace_ends_after_so_many_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = events(*[("line", TRACED)] * 5)
    run(tmp_path, {"GET /broker/trace?identity=anna": raw}, "trace", "--identity", "anna", "--count", "2", "--json")  # fmt: skip
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [TRACED] * 2


def test_a_trace_that_is_refused_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fault = {"error": "no filter", "code": "GW-1139", "hint": "write one"}
    assert run(tmp_path, {"GET /broker/trace?topic=x": (409, fault)}, "trace", "--topic", "x")[0] == 1  # fmt: skip
    assert "GW-1139 no filter" in capsys.readouterr().err


def test_a_trace_cannot_command_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = {**TRACED, "client_id": "lap\x1b[2Jtop"}
    run(tmp_path, {"GET /broker/trace?": events(("line", odd))}, "trace")
    assert "from anna (lap\\u001b[2Jtop): PINGREQ" in capsys.readouterr().out
