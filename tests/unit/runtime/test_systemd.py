"""sd_notify on a real datagram socket."""

import asyncio
import os
import socket
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.runtime.systemd import Notifier, Watchdog
from tests.fakes.waiting import eventually


class Systemd:
    """The receiving end."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.setblocking(False)

    def heard(self) -> list[str]:
        found = []
        while True:
            try:
                found.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return found


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    end = Systemd(str(tmp_path / "notify"))
    yield end
    end.socket.close()


def notifier(tmp_path: Path, **more: str) -> Notifier:
    return Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"), **more})


def test_states_arrive_as_systemd_expects_them(tmp_path: Path, systemd: Systemd) -> None:
    tell = notifier(tmp_path)
    tell.ready("serving 3 devices")
    tell.status("line one\nREADY=0")
    tell.watchdog()
    tell.stopping()
    tell.close()
    assert systemd.heard() == [
        "READY=1\nSTATUS=serving 3 devices",
        "STATUS=line one READY=0",
        "WATCHDOG=1",
        "STOPPING=1",
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's")
def test_an_abstract_socket_is_reached() -> None:
    name = f"gateway-test-{uuid.uuid4().hex}"
    end = Systemd(f"\0{name}")
    tell = Notifier({"NOTIFY_SOCKET": f"@{name}"})
    tell.ready()
    assert end.heard() == ["READY=1"]
    tell.close()
    end.socket.close()


def test_without_systemd_nothing_happens(tmp_path: Path) -> None:
    tell = Notifier({})
    tell.ready()
    tell.close()
    assert tell.watchdog_s is None


def test_a_systemd_that_went_away_does_not_hurt(tmp_path: Path) -> None:
    tell = notifier(tmp_path)
    tell.ready()
    tell.close()
    tell.status("after the end")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdogs_time_is_taken_only_if_it_is_ours(
    environ: dict[str, str], expected: float | None
) -> None:
    assert Notifier(environ).watchdog_s == expected


async def test_the_watchdog_is_fed_only_while_the_node_is_healthy(
    tmp_path: Path, systemd: Systemd
) -> None:
    tell = notifier(tmp_path, WATCHDOG_USEC="10000")
    health = [True]
    asked: list[bool] = []
    async with asyncio.TaskGroup() as group:
        task = group.create_task(
            Watchdog(tell, lambda: (asked.append(health[0]), health[0])[1]).run()
        )
        await eventually(lambda: len(asked) > 2)
        health[0] = False
        await eventually(lambda: asked[-1] is False)
        systemd.heard()
        count = len(asked)
        await eventually(lambda: len(asked) > count + 2)
        assert systemd.heard() == []
        task.cancel()
    tell.close()
