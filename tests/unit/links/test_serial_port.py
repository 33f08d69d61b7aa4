"""SerialLink against ptys that are plugged, pulled, flooded, held and filled."""

import asyncio
import fcntl
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import ConfigError, LinkLostError, TransientError
from gateway.links.serial_open import PortSettings
from gateway.links.serial_port import QUEUE_HIGH_BYTES, SerialLink
from tests.fakes.clock import FakeClock
from tests.fakes.pty_port import PtyPort
from tests.fakes.waiting import eventually
from tests.unit.links.collecting import collecting


@pytest.fixture
def port(tmp_path: Path) -> Iterator[PtyPort]:
    port = PtyPort(tmp_path / "by-id")
    yield port
    port.unplug()


def link_to(plugged: PtyPort, /, **changes: Any) -> SerialLink:
    settings: dict[str, Any] = {
        "name": "garden",
        "port": str(plugged.link),
        "baud": 115_200,
        "look_every_s": 0.02,
    }
    return SerialLink(PortSettings(**(settings | changes)), FakeClock())


def started(program: str, device: str) -> subprocess.Popen[bytes]:
    """Start another program on the port; returns once it has it."""
    process = subprocess.Popen([sys.executable, "-c", program, device], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    return process


def stands(link: SerialLink, state: str) -> bool:
    return link.state()["state"] == state


def counter(link: SerialLink, name: str) -> int:
    return link.state()["counters"][name]


async def test_bytes_arrive_with_the_moment_they_were_read(port: PtyPort) -> None:
    port.plug()
    link = link_to(port)
    chunks = link.chunks()
    first = asyncio.ensure_future(anext(chunks))  # noqa: TID251 - one step of the iterator, awaited below
    await eventually(lambda: stands(link, "open"))
    port.say(b"hello\n")
    assert await first == (b"hello\n", FakeClock().stamp())
    await chunks.aclose()


async def test_a_link_without_its_device_waits_and_says_what_to_do(port: PtyPort) -> None:
    link = link_to(port)
    async with collecting(link) as heard:
        await eventually(lambda: stands(link, "missing"))
        assert str(port.link) in str(link.state()["reason"])
        assert "plug the device in" in str(link.state()["hint"])
        port.plug()
        await eventually(lambda: stands(link, "open"))
        port.say(b"here\n")
        await eventually(lambda: heard.text == b"here\n")


async def test_a_replug_under_another_device_name_goes_on(port: PtyPort) -> None:
    link = link_to(port)
    first = port.plug()
    blocker = os.openpty()  # takes the freed number, so that the replug gets another one
    async with collecting(link) as heard:
        await eventually(lambda: stands(link, "open"))
        port.say(b"before\n")
        await eventually(lambda: heard.text == b"before\n")
        port.unplug()
        await eventually(lambda: stands(link, "missing"))
        taken = os.openpty()
        assert port.plug() != first
        await eventually(lambda: stands(link, "open"))
        port.say(b"after\n")
        await eventually(lambda: heard.text == b"before\nafter\n")
        assert link.state()["device"] == port.device
    for fd in (*blocker, *taken):
        os.close(fd)


async def test_a_port_that_comes_back_is_open_within_a_second(port: PtyPort) -> None:
    port.plug()
    link = link_to(port, look_every_s=0.25)
    async with collecting(link):
        await eventually(lambda: stands(link, "open"))
        port.unplug()
        await eventually(lambda: stands(link, "missing"))
        start = time.monotonic()
        port.plug()
        await eventually(lambda: stands(link, "open"))
        assert time.monotonic() - start < 1.0


async def test_what_came_before_an_unplug_in_mid_frame_is_still_delivered(port: PtyPort) -> None:
    port.plug()
    link = link_to(port)
    async with collecting(link) as heard:
        await eventually(lambda: stands(link, "open"))
        port.say(b'{"temperature": 2')
        await eventually(lambda: heard.text != b"")
        port.unplug()
        await eventually(lambda: counter(link, "lost") == 1)
        assert heard.text == b'{"temperature": 2'


async def test_a_flood_that_nobody_consumes_stops_reading_and_loses_nothing(port: PtyPort) -> None:
    port.plug()
    link = link_to(port)
    chunks = link.chunks()
    first = asyncio.ensure_future(anext(chunks))  # noqa: TID251 - one step of the iterator, awaited below
    await eventually(lambda: stands(link, "open"))
    junk = os.urandom(4000)
    sent = port.say(junk)
    got = len((await first)[0])

    def flood() -> bool:
        nonlocal sent
        sent += port.say(junk)
        return counter(link, "paused") == 1 and port.say(b"") == 0

    await eventually(flood)
    assert counter(link, "bytes") < QUEUE_HIGH_BYTES + 65_536 + 4096
    async with asyncio.timeout(5):
        while got < sent:
            got += len((await anext(chunks))[0])
    assert got == sent
    await chunks.aclose()


async def test_a_locked_port_is_reported_with_its_holder_and_opened_when_free(
    port: PtyPort,
) -> None:
    port.plug()
    program = "import fcntl,os,sys,time; fd=os.open(sys.argv[1],os.O_RDWR|os.O_NOCTTY); fcntl.flock(fd,fcntl.LOCK_EX); print(flush=True); time.sleep(60)"
    holder = started(program, port.device)
    link = link_to(port)
    try:
        async with collecting(link):
            await eventually(lambda: stands(link, "held"))
            assert f"(pid {holder.pid})" in str(link.state()["reason"])
            assert "end " in str(link.state()["hint"])
            holder.kill()
            holder.wait()
            await eventually(lambda: stands(link, "open"), seconds=6)
    finally:
        holder.kill()
        holder.wait()


async def test_two_links_on_one_port_are_told_apart(port: PtyPort) -> None:
    port.plug()
    first, second = link_to(port), link_to(port)
    async with collecting(first):
        await eventually(lambda: stands(first, "open"))
        async with collecting(second):
            await eventually(lambda: stands(second, "held"))
            assert "this gateway itself" in str(second.state()["reason"])


async def test_a_reader_without_a_lock_is_named_beside_an_open_port(port: PtyPort) -> None:
    port.plug()
    program = "import os,sys,time; os.open(sys.argv[1],os.O_RDWR|os.O_NOCTTY); print(flush=True); time.sleep(60)"
    thief = started(program, port.device)
    link = link_to(port)
    try:
        async with collecting(link):
            await eventually(lambda: stands(link, "open"))
            assert f"(pid {thief.pid})" in str(link.state()["reason"])
    finally:
        thief.kill()
        thief.wait()


async def test_the_port_is_locked_against_others(port: PtyPort) -> None:
    port.plug()
    link = link_to(port)
    async with collecting(link):
        await eventually(lambda: stands(link, "open"))
        try:
            fd = os.open(port.device, os.O_RDWR | os.O_NOCTTY)
        except OSError:
            return  # TIOCEXCL: only root gets as far as the lock
        with pytest.raises(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(fd)


async def test_writes_reach_the_device_in_order(port: PtyPort) -> None:
    port.plug()
    link = link_to(port)
    async with collecting(link):
        await eventually(lambda: stands(link, "open"))
        await asyncio.gather(*(link.write(b"%d\n" % n) for n in range(20)))
        assert port.heard() == b"".join(b"%d\n" % n for n in range(20))


async def test_a_write_larger_than_the_line_waits_for_room(port: PtyPort) -> None:
    port.plug()
    link = link_to(port)
    async with collecting(link):
        await eventually(lambda: stands(link, "open"))
        heard = bytearray()
        data = bytes(range(256)) * 200

        def drained() -> bool:
            heard.extend(port.heard())
            return len(heard) == len(data)

        await asyncio.gather(link.write(data), eventually(drained))
        assert heard == data


async def test_a_write_to_a_full_line_ends_by_its_timeout(port: PtyPort) -> None:
    port.plug()
    link = link_to(port, baud=4_000_000, write_timeout_s=0.05)
    async with collecting(link):
        await eventually(lambda: stands(link, "open"))
        with pytest.raises(TransientError) as caught:
            await link.write(bytes(100_000))
        assert caught.value.code == "GW-1206"
        port.heard()
        await link.write(b"again")
        assert port.heard().endswith(b"again")


async def test_a_writer_that_waits_for_room_is_told_at_once_of_an_unplug(port: PtyPort) -> None:
    port.plug()
    link = link_to(port, write_timeout_s=30.0)
    async with collecting(link):
        await eventually(lambda: stands(link, "open"))
        writing = asyncio.gather(link.write(bytes(100_000)), return_exceptions=True)
        await asyncio.sleep(0.02)
        port.unplug()
        async with asyncio.timeout(2):
            (outcome,) = await writing
        assert isinstance(outcome, LinkLostError)


async def test_a_write_without_a_port_is_refused_with_the_reason(port: PtyPort) -> None:
    link = link_to(port)
    async with collecting(link):
        await eventually(lambda: stands(link, "missing"))
        with pytest.raises(LinkLostError, match="is not there") as caught:
            await link.write(b"x")
        assert caught.value.code == "GW-1204"


async def test_settings_that_no_port_knows_are_a_persons_business(port: PtyPort) -> None:
    port.plug()
    link = link_to(port, bytesize=9)
    with pytest.raises(ConfigError, match="9 data bits"):
        await anext(link.chunks())
    assert stands(link, "parked")


async def test_a_stopped_link_gives_its_port_back(port: PtyPort) -> None:
    port.plug()
    first, second = link_to(port), link_to(port)
    async with collecting(first):
        await eventually(lambda: stands(first, "open"))
    assert stands(first, "waiting")
    async with collecting(second):
        await eventually(lambda: stands(second, "open"))


async def test_a_seven_bit_port_opens_again_after_a_replug(port: PtyPort) -> None:
    """On a pty the second 7E1 open fails with termios.error, which is no OSError: it must not end the link."""
    port.plug()
    link = link_to(port, bytesize=7, parity="even")
    async with collecting(link):
        await eventually(lambda: stands(link, "open") or stands(link, "waiting"))
        port.unplug()
        await eventually(lambda: stands(link, "missing"))
        port.plug()
        await eventually(lambda: stands(link, "open") or stands(link, "waiting"))


async def test_a_plain_device_path_is_advised_to_use_the_stable_name(port: PtyPort) -> None:
    port.plug()
    link = link_to(port, port=port.device, by_id_dir=port.link.parent)
    async with collecting(link):
        await eventually(lambda: stands(link, "open"))
        assert str(port.link) in str(link.state()["hint"])


async def test_a_bare_name_is_looked_up_in_the_by_id_folder(port: PtyPort) -> None:
    port.plug()
    link = link_to(port, port=port.link.name, by_id_dir=port.link.parent)
    assert link.origin == "serial:usb-Fake_Sensor_0001"
    async with collecting(link):
        await eventually(lambda: stands(link, "open"))


async def test_a_link_cancelled_at_any_moment_of_its_opening_leaves_the_port_free(
    port: PtyPort,
) -> None:
    port.plug()
    for delay_s in (0.0, 0.0002, 0.0005, 0.001, 0.002, 0.005):
        async with collecting(link_to(port)):
            await asyncio.sleep(delay_s)
    last = link_to(port)
    async with collecting(last):
        await eventually(lambda: stands(last, "open"))


async def test_a_device_file_without_its_device_is_tried_again(
    port: PtyPort, tmp_path: Path
) -> None:
    """In a container the file stays at an unplug; opening it then gives ENXIO, as a socket's file does."""
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "ttyUSB0"))
        link = link_to(port, port=str(tmp_path / "ttyUSB0"))
        async with collecting(link):
            await eventually(lambda: counter(link, "failed_opens") >= 2)
            assert stands(link, "missing")
