"""What every link promises, whatever it is made of."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.errors import TransientError, UnsupportedCommandError
from gateway.links.ble_adverts import BleScanner, ScannerSettings
from gateway.links.link import Link, LinkState
from gateway.links.replay import Replay, ReplaySettings
from gateway.links.serial_open import PortSettings
from gateway.links.serial_port import SerialLink
from tests.fakes.clock import FakeClock
from tests.fakes.privatebus import private_bus
from tests.fakes.waiting import eventually
from tests.unit.links.collecting import collecting


def serial_link(folder: Path) -> Link:
    return SerialLink(PortSettings("port", str(folder / "absent")), FakeClock())


def scanner(folder: Path) -> Link:
    return BleScanner(ScannerSettings(retry_s=0.02), FakeClock())


def replay(folder: Path) -> Link:
    return Replay([b"a\n"], ReplaySettings("demo", "serial:demo", 1), FakeClock())


@pytest.fixture(params=[serial_link, scanner, replay])
def link(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Link]]:
    """A bus without BlueZ, a port that is absent: links must come up without their hardware."""
    with private_bus(tmp_path):
        yield lambda: request.param(tmp_path)


async def test_a_link_knows_its_name_and_origin_before_it_is_open(
    link: Callable[[], Link],
) -> None:
    made = link()
    assert made.name
    assert made.origin.split(":")[0] in {"serial", "ble"}


async def test_a_state_is_json_with_the_same_keys_everywhere(link: Callable[[], Link]) -> None:
    state = link().state()
    assert {"state", "reason", "hint", "code", "since", "counters"} <= json.loads(
        json.dumps(state)
    ).keys()
    assert state["state"] in set(LinkState)


async def test_a_link_that_is_not_open_says_why_and_what_to_do(link: Callable[[], Link]) -> None:
    made = link()
    async with collecting(made):
        await eventually(lambda: made.state()["reason"] != "not started")
        state = made.state()
        assert state["state"] == "open" or (state["reason"] and state["hint"] and state["code"])


async def test_a_write_never_fails_otherwise_than_promised(link: Callable[[], Link]) -> None:
    made = link()
    try:
        await made.write(b"x")
    except (TransientError, UnsupportedCommandError) as error:
        assert error.code.startswith("GW-12")
        assert error.hint


async def test_cancelling_the_consumer_ends_a_link_at_once(link: Callable[[], Link]) -> None:
    async with asyncio.timeout(1):
        async with collecting(link()):
            await asyncio.sleep(0.03)
