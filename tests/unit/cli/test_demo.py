"""The demo keeps to itself: its own state, emptied each time, never a real node's."""

from pathlib import Path

import pytest

from gateway.app.lock import StateLock
from gateway.cli import demo
from gateway.errors import GatewayError, StoreBusyError


def test_an_earlier_demo_is_emptied(tmp_path: Path):
    state = demo.fresh_state(tmp_path / "demo")
    (state / "log.db").write_text("old")
    (demo.cloud_state(state) / "state.db").write_text("old")
    demo.fresh_state(state)
    assert not (state / "log.db").exists()
    assert not (demo.cloud_state(state) / "state.db").exists()


def test_the_state_of_a_real_node_is_never_touched(tmp_path: Path):
    state = tmp_path / "node"
    state.mkdir()
    (state / "state.db").write_text("precious")
    with pytest.raises(GatewayError) as caught:
        demo.fresh_state(state)
    assert caught.value.code == "GW-1813"
    assert (state / "state.db").read_text() == "precious"


def test_a_demo_that_still_runs_is_not_emptied(tmp_path: Path):
    state = demo.fresh_state(tmp_path / "demo")
    lock = StateLock(state)
    with pytest.raises(StoreBusyError) as caught:
        demo.fresh_state(state)
    assert caught.value.code == "GW-1806"
    lock.release()


def test_each_demo_draws_its_own_password(tmp_path: Path):
    first = demo.password_file(demo.fresh_state(tmp_path / "demo")).read_text()
    second = demo.password_file(demo.fresh_state(tmp_path / "demo")).read_text()
    assert first != second
    assert len(first.strip()) == 32


def test_a_taken_port_is_replaced_and_its_holder_named(capsys: pytest.CaptureFixture[str]):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        ports = demo.choose((taken, demo.any_free("127.0.0.1")))
    assert ports.mqtt != taken
    assert f"port {taken} is held by" in capsys.readouterr().out
