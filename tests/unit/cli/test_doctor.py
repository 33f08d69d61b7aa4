"""`gateway doctor`."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.main import main
from tests.unit.cli.node import STATUS, answering

SEVEN = {"configuration", "serial ports", "Bluetooth", "clock", "disk", "parent", "MQTT"}


def examined(capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str = "") -> dict[str, Any]:
    path = tmp_path / "gateway.toml"
    path.write_text("[ble]\nenabled = 'off'\n" + text)
    state = tmp_path / "state"
    main(["doctor", "--json", "--config", str(path), "--state", str(state)])
    return {row["check"]: row for row in json.loads(capsys.readouterr().out)}


def test_seven_questions_are_answered_without_a_node(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = examined(capsys, tmp_path)
    assert set(answers) == SEVEN
    assert answers["configuration"]["grade"] == answers["parent"]["grade"] == "good"


def test_a_port_that_is_not_there_is_a_fault_with_its_fix(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    link = "[[serial]]\nname = 'a'\nport = '/dev/none'\ndriver = 'line-json'\n"
    row = examined(capsys, tmp_path, link)["serial ports"]
    assert row["grade"] == "bad"
    assert "/dev/none is not there" in row["text"]
    assert "gateway devices ports" in row["fix"]


def test_a_parent_that_does_not_answer_is_a_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], free_port: Any
) -> None:
    (tmp_path / "state").mkdir()
    parent = {"host": "127.0.0.1", "port": free_port()}
    (tmp_path / "state" / "parent.json").write_text(json.dumps(parent))
    row = examined(capsys, tmp_path)["parent"]
    assert (row["grade"], "does not answer" in row["text"]) == ("bad", True)


def test_an_unreadable_configuration_is_told_and_the_rest_still_examined(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = examined(capsys, tmp_path, "= = =")
    assert answers["configuration"]["text"].startswith("GW-1001")
    assert set(answers) == SEVEN


def test_a_running_node_makes_the_answers_exact(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"what": "uplink", "code": "GW-1604", "text": "revoked", "hint": "join again"}
    link = "[[serial]]\nname = 'usb0'\nport = '/dev/none'\ndriver = 'line-json'\n"
    with answering(tmp_path / "state", {"GET /status": {**STATUS, "parked": [row]}}):
        answers = examined(capsys, tmp_path, link)
    assert answers["serial ports"]["text"] == "usb0: open (/dev/none)"
    assert answers["running node"]["fix"] == "join again"


def test_for_people_each_fault_has_its_fix_below(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text("[http]\nport = 'x'\n")
    assert main(["doctor", "--config", str(path), "--state", str(tmp_path)]) == 1
    text = capsys.readouterr().out
    assert text.startswith("FAULT  configuration  GW-1005 ")
    assert text.splitlines()[1].strip().startswith("-> ")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[mqtt.tcp]\nbind = '0.0.0.0'\n", "mqtt.tcp is open to the network without encryption"),
        ("[mqtt.tcp]\nbind = ['127.0.0.1', '192.0.2.1']\n", "(192.0.2.1:1883)"),
        ("[mqtt.websocket]\nenabled = true\nbind = '::'\n", "mqtt.websocket is open"),
        ("[[mqtt.listeners]]\nname = 'lan'\nbind = '0.0.0.0'\n", "listener lan is open"),
        ("[mqtt.unix]\nanonymous_roles = ['home']\n", "mqtt.unix lets anybody in"),
    ],
)
def test_an_open_or_nameless_listener_is_worth_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    row = examined(capsys, tmp_path, text)["MQTT"]
    assert row["grade"] == "note"
    assert says in row["text"]
    assert row["fix"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[mqtt.tls]\nenabled = true\n",
        "[mqtt.tcp]\nenabled = false\nbind = '0.0.0.0'\n",
        "[[mqtt.listeners]]\nname = 'lan'\nbind = '0.0.0.0'\ntls = true\n",
    ],
)
def test_loopback_and_tls_are_good(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    assert examined(capsys, tmp_path, text)["MQTT"]["grade"] == "good"
