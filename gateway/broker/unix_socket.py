"""A listener on a Unix socket: programs of this machine, introduced by the kernel (user id, not password).

Who connects is known from SO_PEERCRED (unix(7)); what a user id may do is the authenticator's to say.
"""

import asyncio
import contextlib
import errno
import itertools
import logging
import socket
import stat
import struct
from dataclasses import dataclass
from pathlib import Path

from gateway.broker.entrance import Entrance
from gateway.broker.introduction import Introduction, Known
from gateway.broker.server import Broker
from gateway.errors import ConfigError
from gateway.runtime.files import short_path

log = logging.getLogger(__name__)

BACKLOG = 128
CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid
SO_PEERCRED = getattr(socket, "SO_PEERCRED", None)  # not on macOS: passwords still work there


@dataclass(frozen=True, slots=True)
class UnixSpec:
    """One Unix socket: where it lies, who may open it, and what may be done there."""

    entrance: Entrance
    path: Path
    mode: int = 0o660
    required: bool = False


class UnixListener:
    """A service that accepts this machine's programs for a broker."""

    def __init__(self, broker: Broker, spec: UnixSpec) -> None:
        self.name = f"mqtt-{spec.entrance.name}"
        self.required = spec.required
        self.ready = asyncio.Event()
        self._broker = broker
        self._spec = spec
        self._serial = itertools.count(1)  # no two live sessions have the same peer name

    async def run(self) -> None:
        """Listen until cancelled; raises ConfigError GW-1121 naming the path when that can't be."""
        async with contextlib.AsyncExitStack() as stack:
            await self.open(stack)
            await asyncio.Event().wait()

    async def open(self, stack: contextlib.AsyncExitStack) -> None:
        """Make the socket, for those who may open it; `stack` removes it."""
        path = self._spec.path
        sock = _bound(path, self._spec.mode)
        try:
            server = await asyncio.get_running_loop().create_unix_server(
                self._protocol, sock=sock, backlog=BACKLOG
            )
        except OSError as error:
            sock.close()
            raise _impossible(path, error.strerror or str(error)) from error
        number = path.stat().st_ino
        stack.callback(_remove, path, number)
        stack.callback(server.close)
        stack.callback(self.ready.clear)
        self.ready.set()
        log.info("listening", extra={"listener": self.name, "path": str(path)})

    def where(self) -> list[str]:
        """Return the path while it listens."""
        return [str(self._spec.path)] if self.ready.is_set() else []

    def _protocol(self) -> asyncio.Protocol:
        return Introduction(self._broker.accept(self._spec.entrance), self._introduced)

    def _introduced(self, transport: asyncio.Transport) -> Known:
        uid = _uid_of(transport.get_extra_info("socket"))
        whose = "unix" if uid is None else f"unix-uid-{uid}"
        return {"peername": (whose, next(self._serial)), "gateway.uid": uid}


def _uid_of(sock: socket.socket) -> int | None:
    if SO_PEERCRED is None:
        return None
    raw = sock.getsockopt(socket.SOL_SOCKET, SO_PEERCRED, CREDENTIALS.size)
    _pid, uid, _gid = CREDENTIALS.unpack(raw)
    return int(uid)


def _bound(path: Path, mode: int) -> socket.socket:
    _make_room(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with short_path(path) as name:
            sock.bind(name)
        path.chmod(mode)  # before it listens: nobody can have connected
    except OSError as error:
        sock.close()
        raise _impossible(path, error.strerror or str(error)) from error
    sock.setblocking(False)
    return sock


def _make_room(path: Path) -> None:
    """Remove the socket that a killed process left behind; anything else in the way is named."""
    try:
        found = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise _impossible(path, error.strerror or str(error)) from error
    if not stat.S_ISSOCK(found):
        raise _impossible(path, "something that is no socket lies there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            with short_path(path) as name:
                probe.connect(name)
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except OSError as error:
            if error.errno not in (
                errno.EAGAIN,
                errno.EINPROGRESS,
            ):  # its backlog is full: it lives
                raise _impossible(path, error.strerror or str(error)) from error
    raise _impossible(path, "another program listens there")


def _remove(path: Path, number: int) -> None:
    """Remove our socket, but not one that another process has put in its place."""
    with contextlib.suppress(OSError):
        if path.stat().st_ino == number:
            path.unlink()


def _impossible(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"the MQTT socket {path} cannot be made: {why}",
        code="GW-1121",
        hint="remove what is in the way, make its folder writable for the gateway's user, or name another path",
    )
