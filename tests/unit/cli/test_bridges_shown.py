"""`gateway status` and `gateway doctor` of a node with bridges."""

from pathlib import Path
from typing import Any

import pytest

from gateway.cli.main import main
from tests.unit.cli.node import STATUS, answering

BRIDGE: dict[str, Any] = {
    "name": "home",
    "peer": "broker.lan:8883",
    "state": "connected",
    "reason": "",
    "hint": "",
    "code": "",
    "version": "5",
    "connected_s": 61.0,
    "sent": 7,
    "received": 3,
    "queued": 2,
    "dropped": {"size": 4, "loop": 1},
    "refused_filters": ["secret/#"],
}
AWAY = {"name": "away", "peer": "10.0.0.9:1883", "state": "waiting", "reason": "GW-1141 no answer", "hint": "look", "connected_s": None, "dropped": {}, "refused_filters": [], "version": ""}  # fmt: skip


def said(capsys: pytest.CaptureFixture[str], tmp_path: Path, *words: str) -> str:
    bridges = [BRIDGE, {**BRIDGE, **AWAY}]
    with answering(tmp_path, {"GET /status": {**STATUS, "bridges": bridges}}):
        main([*words, "--state", str(tmp_path)])
    return capsys.readouterr().out


def test_status_shows_each_bridge_with_what_crossed_and_why_it_waits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = said(capsys, tmp_path, "status")
    assert "bridge home to broker.lan:8883: connected for 1 min" in text
    assert "MQTT 5" in text
    assert "sent: 7; received: 3; waiting: 2; dropped: 5 (size 4, loop 1)" in text
    assert "does not let it read secret/#" in text
    assert "bridge away to 10.0.0.9:1883: waiting\n" in text
    assert "GW-1141 no answer" in text


def test_doctor_names_a_bridge_that_waits_and_a_filter_that_was_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text("[ble]\nenabled = 'off'\n")
    text = said(capsys, tmp_path, "doctor", "--config", str(path))
    assert "note   bridges        away to 10.0.0.9:1883: waiting: GW-1141 no answer" in text
    assert "-> look" in text
    assert "home to broker.lan:8883: connected, but may not read secret/# there" in text
