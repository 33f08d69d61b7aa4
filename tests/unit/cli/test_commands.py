"""Commands that speak to a running node, against a socket that answers as one does."""

import copy
import io
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.main import main
from tests.unit.cli.node import STATUS, answering, events

READING = {
    "uuid": "u",
    "slug": "greenhouse-1",
    "values": {"temperature": {"value": 21.3, "unit": "Cel"}},
    "at_ms": 0,
    "late": False,
}
OTHER = {**READING, "slug": "barn", "uuid": "b"}


def run(state: Path, answers: dict[str, Any], *words: str) -> tuple[int, list[tuple[str, Any]]]:
    with answering(state, answers) as control:
        code = main([*words, "--state", str(state)])
    return code, control.asked


def test_status_shows_devices_uplink_links_and_children(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _ = run(tmp_path, {"GET /status": STATUS}, "status")
    text = capsys.readouterr().out
    assert code == 0
    for part in (
        "up for 1 h 2 min",
        "MQTT on 127.0.0.1:1883",
        "uplink to cloud.example:8883: offline (no route)",
        "waiting: 12 (3.4 kB), oldest 1 min 1 s; taken: 5",
        "greenhouse-1  line-json",
        "temperature 21.3 °C",
        "c0ffee  online",
        "usb0  open",
    ):
        assert part in text


def test_status_fails_and_tells_the_fix_when_something_is_parked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = copy.deepcopy(STATUS)
    row = {"what": "serial usb0", "code": "GW-1201", "text": "gone", "hint": "plug it in"}
    status["parked"] = [row]
    code, _ = run(tmp_path, {"GET /status": status}, "status")
    assert code == 1
    assert "parked serial usb0: GW-1201 gone\n  what to do: plug it in" in capsys.readouterr().out


def test_status_as_json_is_the_nodes_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, {"GET /status": STATUS}, "status", "--json")
    assert json.loads(capsys.readouterr().out) == STATUS


def test_follow_prints_one_line_a_reading_and_notes_between(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = events(
        ("snapshot", STATUS),
        ("reading", READING),
        ("uplink", {"state": "offline", "reason": "no route", "depth_records": 3}),
        (
            "port",
            {"kind": "added", "device": "/dev/x", "text": "x was plugged in", "suggestion": ""},
        ),
        ("reading", {**READING, "late": True}),
    )
    run(tmp_path, {"GET /events": stream}, "follow")
    lines = capsys.readouterr().out.splitlines()
    assert [line[10:] for line in lines] == [
        "greenhouse-1              temperature 21.3 °C",
        "uplink offline (no route), 3 waiting",
        "x was plugged in",
        "greenhouse-1              temperature 21.3 °C  late",
    ]


def test_follow_can_be_told_which_device_and_how_many(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = events(*(("reading", row) for row in (OTHER, READING, READING)))
    run(tmp_path, {"GET /events": stream}, "follow", "barn", "--json")
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [OTHER]
    run(tmp_path / "2", {"GET /events": stream}, "follow", "--count", "2")
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_logs_sets_levels_first_and_follows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = {
        "POST /logs/level": {},
        "GET /logs?tail=2": ["one", "two"],
        "GET /logs/stream": b'event: log\ndata: three x=1\n\nevent: log\ndata: "four"\n\n',
    }
    _, asked = run(tmp_path, answers, "logs", "-f", "-n", "2", "--level", "uplink=debug")
    assert asked[0] == ("POST /logs/level", {"component": "uplink", "level": "debug"})
    assert capsys.readouterr().out.splitlines() == ["one", "two", "three x=1", "four"]


def test_a_level_without_a_level_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["logs", "--level", "uplink", "--state", str(tmp_path)]) == 1
    assert "GW-1822" in capsys.readouterr().err


def test_spool_shows_depth_and_dead_letters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spool = {"depth_records": 3, "depth_bytes": 1400, "oldest_s": None}
    run(tmp_path, {"GET /spool": spool}, "spool")
    assert (
        capsys.readouterr().out
        == "records waiting  3\nsize             1.4 kB\noldest           -\n"
    )
    dead = [{"log": "a", "number": 7, "why": "forbidden"}]
    run(tmp_path / "2", {"GET /spool/dead": dead}, "spool", "--dead")
    assert capsys.readouterr().out == "log=a  number=7  why=forbidden\n"


MESH = [
    (["invite"], "POST /mesh/invite", {}, {"line": "gw1:x", "expires_ms": 9e12}, "gw1:x\n"),
    (["invite", "--owner", "o"], "POST /mesh/invite", {"owner": "o"},
     {"line": "l", "expires_ms": 0}, "l\n"),
    (["pair", "--minutes", "3"], "POST /mesh/pair", {"minutes": 3}, {}, "for 3 minutes"),
    (["code"], "POST /mesh/code", {}, {"code": "K7-PQ"}, "K7-PQ\n"),
    (["children"], "GET /mesh/children", None, STATUS["children"], "c0ffee  online"),
    (["children"], "GET /mesh/children", None, [], "gateway mesh invite"),
    (["cut"], "POST /line", {"cut": True}, {}, "is cut"),
    (["mend"], "POST /line", {"cut": False}, {}, "is mended"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "request_", "body", "answer", "says"), MESH)
def test_mesh_asks_and_prints(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    request_: str,
    body: object,
    answer: object,
    says: str,
) -> None:
    code, asked = run(tmp_path, {request_: answer}, "mesh", *words)
    assert (code, asked) == (0, [(request_, body)])
    assert says in capsys.readouterr().out


@pytest.mark.parametrize("way", ["word", "file", "stdin"])
def test_join_takes_the_line_from_word_file_or_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    text = "gw1:cloud:CODE\nvalid once, for 1 h; on the other node: gateway join LINE\n"
    (tmp_path / "line").write_text(text)
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    word = {"word": "gw1:cloud:CODE", "file": f"@{tmp_path / 'line'}", "stdin": "-"}[way]
    code, asked = run(tmp_path / "s", {"POST /join": {"parent": "cloud"}}, "join", word)
    assert (code, asked) == (0, [("POST /join", {"line": "gw1:cloud:CODE"})])


def test_join_without_a_line_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["join", f"@{tmp_path / 'none'}", "--state", str(tmp_path)]) == 1
    assert "GW-1823" in capsys.readouterr().err


def test_leave_tells_the_node(tmp_path: Path) -> None:
    _, asked = run(tmp_path, {"POST /leave": {}}, "leave")
    assert asked == [("POST /leave", {})]


def test_a_refusal_of_the_node_is_shown_with_its_own_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fault = {"error": "that code was used", "code": "GW-1605", "hint": "ask for another"}
    code, _ = run(tmp_path, {"POST /join": (409, fault)}, "join", "x")
    assert code == 1
    assert "GW-1605 that code was used\n  what to do: ask for another" in capsys.readouterr().err
