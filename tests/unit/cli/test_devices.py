"""`gateway devices` against a control socket that answers as a node does, and ports against folders."""

import argparse
import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from gateway.cli import devices
from gateway.cli.main import main
from gateway.links import ports

UUID = "7f0e4c1c-0000-4000-8000-000000000001"
DEVICE = {"uuid": UUID, "slug": "sauna", "driver": "ruuvi", "link": "ble", "last_seen_ms": None}


class Node:
    """A control socket in a thread: one request a connection."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[tuple[str, Any]] = []
        self._ready = threading.Event()
        self._folder = folder
        self._thread = threading.Thread(target=asyncio.run, args=(self._serve(),))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(5)
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        socket = str(self._folder / "control.sock")
        async with await asyncio.start_unix_server(self._answer, socket):
            self._ready.set()
            await self._stop.wait()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lengths = [line for line in head.lower().splitlines() if line.startswith("content-length")]
        body = await reader.readexactly(int(lengths[0].split(":")[1])) if lengths else b""
        verb, path, _ = head.split(" ", 2)
        self.asked.append((f"{verb} {path}", json.loads(body) if body else None))
        reply = json.dumps([DEVICE] if path == "/devices" else {}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(reply), reply))
        await writer.drain()
        writer.close()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with Node(tmp_path) as node:
        yield node


def command(folder: Path, *words: str) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--state")
    devices.configure(parser)
    return devices.run(parser.parse_args(["--state", str(folder), *words]))


def test_devices_are_listed_by_name(
    node: Node, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(tmp_path) == 0
    out = capsys.readouterr().out
    assert "sauna" in out
    assert UUID in out
    assert "never" in out


def test_a_device_is_renamed_by_its_present_name(node: Node, tmp_path: Path) -> None:
    assert command(tmp_path, "rename", "sauna", "attic") == 0
    assert node.asked[-1] == (f"POST /devices/{UUID}/rename", {"slug": "attic"})


def test_a_device_is_forgotten_by_its_uuid(node: Node, tmp_path: Path) -> None:
    assert command(tmp_path, "forget", UUID) == 0
    assert node.asked[-1] == (f"DELETE /devices/{UUID}", None)


def test_a_name_cannot_reach_another_path_of_the_node(node: Node, tmp_path: Path) -> None:
    command(tmp_path, "forget", "../spool")
    assert node.asked[-1][0] == "DELETE /devices/..%2Fspool"


def test_ports_need_no_node_and_print_what_to_add(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "by-id").mkdir()
    (tmp_path / "ttyUSB0").touch()
    link = tmp_path / "by-id" / "usb-FTDI_X_A1-if00-port0"
    link.symlink_to(tmp_path / "ttyUSB0")
    found = ports.list_all(
        ports.Places(tmp_path / "by-id", tmp_path / "by-path", tmp_path, (), list)
    )
    monkeypatch.setattr(ports, "list_all", lambda: found)
    assert main(["devices", "ports"]) == 0
    out = capsys.readouterr().out
    assert f"stable name: {link}" in out
    assert f'port = "{link}"' in out
    assert f"gateway try {link}" in out


def test_without_ports_the_next_step_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ports, "list_all", list)
    assert main(["devices", "ports"]) == 0
    assert "dmesg" in capsys.readouterr().out
