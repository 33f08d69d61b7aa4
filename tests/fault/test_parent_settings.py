"""Damaged settings of the parent, and a parent that no longer knows us: the node runs, and joining anew mends it at once."""

import json
import signal
from pathlib import Path

import pytest

from tests.fakes.nodes import Node

QUIET = '[ble]\nenabled = "off"\n'

pytestmark = pytest.mark.slow


def test_a_damaged_parent_file_parks_the_uplink_and_leaving_mends_it(tmp_path: Path) -> None:
    node = Node(tmp_path, config=QUIET)
    (node.state / "parent.json").write_text("{")
    node.start()
    try:
        status = node.wait(lambda s: s["parked"], what="the uplink is parked")
        assert [(row["what"], row["code"]) for row in status["parked"]] == [("uplink", "GW-1610")]
        assert node.ask("POST", "/leave", {}) == {"left": True}
        node.wait(lambda s: s["uplink"]["state"] == "none", seconds=5)
    finally:
        assert node.stop() == 0


def test_joining_anew_after_a_refused_token_works_at_once(tmp_path: Path) -> None:
    parent = Node(tmp_path / "parent", config=QUIET).start()
    child = Node(tmp_path / "child", config=QUIET).start()
    try:
        child.ask("POST", "/join", parent.ask("POST", "/mesh/invite", {}))
        child.wait(lambda s: s["uplink"]["state"] == "online")
        child.stop()
        (child.state / "secrets" / "parent-token").write_text("0" * 40)
        child.start()
        status = child.wait(lambda s: s["parked"], what="the uplink is parked")
        assert [row["code"] for row in status["parked"]] == ["GW-1609"]
        child.ask("POST", "/join", parent.ask("POST", "/mesh/invite", {}))
        child.wait(lambda s: s["uplink"]["state"] == "online", seconds=5)
        assert json.dumps(child.status()).count("0" * 40) == 0
    finally:
        child.stop()
        parent.stop()


def test_a_parent_that_falls_silent_is_noticed_within_the_configured_keep_alive(
    tmp_path: Path,
) -> None:
    parent = Node(tmp_path / "parent", config=QUIET).start()
    child = Node(tmp_path / "child", config=f"{QUIET}[uplink]\nkeep_alive_s = 5\n").start()
    try:
        child.ask("POST", "/join", parent.ask("POST", "/mesh/invite", {}))
        child.wait(lambda s: s["uplink"]["state"] == "online")
        parent.signal(signal.SIGSTOP)
        child.wait(lambda s: s["uplink"]["state"] == "offline", seconds=25)
    finally:
        parent.signal(signal.SIGCONT)
        child.stop()
        parent.stop()
