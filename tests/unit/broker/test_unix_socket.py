"""The listener on a Unix socket: who may open it, what lies in its way, and what the kernel says of a client."""

import asyncio
import contextlib
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.broker.entrance import Entrance
from gateway.broker.server import Broker
from gateway.broker.unix_socket import UnixListener, UnixSpec
from gateway.errors import ConfigError
from gateway.mqtt.ports import Credentials, Principal, Rejected
from tests.fakes.mqtt_broker import PRINCIPALS, RawClient, connect


class Doorman:
    """Lets everybody in as admin and remembers what was said."""

    def __init__(self) -> None:
        self.seen: list[Credentials] = []

    def __call__(
        self, credentials: Credentials, done: Callable[[Principal | Rejected], None]
    ) -> None:
        self.seen.append(credentials)
        done(PRINCIPALS["admin"])


@contextlib.asynccontextmanager
async def listening(path: Path, **options):
    doorman = Doorman()
    broker = Broker(doorman)
    async with contextlib.AsyncExitStack() as stack:
        listener = UnixListener(broker, UnixSpec(Entrance("unix"), path, **options))
        await listener.open(stack)
        yield listener, doorman
        broker.close()
        await asyncio.sleep(0)


async def login(path: Path) -> RawClient:
    client = RawClient(*await asyncio.open_unix_connection(path))
    client.send(connect("admin"))
    assert await client.read() == (0x20, b"\0\0")
    return client


async def test_a_client_is_introduced_by_its_user_id(tmp_path):
    path = tmp_path / "mqtt.sock"
    async with listening(path) as (_, doorman):
        one, two = await login(path), await login(path)
        assert [found.uid for found in doorman.seen] == [os.getuid()] * 2
        assert [found.listener for found in doorman.seen] == ["unix", "unix"]
        peers = [found.peer for found in doorman.seen]
        assert all(peer.startswith(f"unix-uid-{os.getuid()}:") for peer in peers)
        assert len(set(peers)) == 2
        await one.gone()
        await two.gone()


@pytest.mark.parametrize("mode", [0o660, 0o600, 0o666])
async def test_it_may_be_opened_by_those_it_is_meant_for(tmp_path, mode):
    path = tmp_path / "mqtt.sock"
    async with listening(path, mode=mode) as (listener, _):
        assert stat.S_IMODE(path.stat().st_mode) == mode
        assert listener.where() == [str(path)]
    assert listener.where() == []
    assert not path.exists()


async def test_a_socket_that_a_killed_process_left_is_replaced(tmp_path):
    path = tmp_path / "mqtt.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    async with listening(path):
        await (await login(path)).gone()


@pytest.mark.parametrize("what", ["a program", "a file", "no folder", "a file as folder"])
async def test_what_is_in_the_way_is_named_and_left_alone(tmp_path, what):
    path = tmp_path / "mqtt.sock"
    with contextlib.ExitStack() as stack:
        if what == "a program":
            other = stack.enter_context(socket.socket(socket.AF_UNIX))
            other.bind(str(path))
            other.listen()
        elif what == "a file":
            path.write_text("precious")
        elif what == "no folder":
            path = tmp_path / "nowhere" / "mqtt.sock"
        else:
            (tmp_path / "file").write_text("precious")
            path = tmp_path / "file" / "mqtt.sock"
        with pytest.raises(ConfigError, match=r"mqtt\.sock") as caught:
            async with listening(path):
                pass
        assert caught.value.code == "GW-1121"
        assert path.exists() is (what in ("a program", "a file"))


async def test_a_path_longer_than_the_kernel_takes_is_no_trouble(tmp_path):
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    async with listening(folder / "mqtt.sock"):
        assert stat.S_ISSOCK((folder / "mqtt.sock").stat().st_mode)
    assert list(folder.iterdir()) == []


async def test_a_socket_that_another_gateway_put_there_is_not_removed(tmp_path):
    path = tmp_path / "mqtt.sock"
    async with listening(path):
        path.unlink()
        path.write_text("another one's")
    assert path.read_text() == "another one's"
