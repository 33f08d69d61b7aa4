"""One HTTP server for every face: the mesh at `/`, pages under `/ui`, operators on a Unix socket.

uvicorn wakes ten times a second to look at a flag; on a Pi that is most of an idle node's CPU, so its main
loop is replaced by one that ticks once a second (for the Date header) and stops at once when asked.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.errors import ConfigError
from gateway.runtime.files import short_path

if TYPE_CHECKING:
    import uvicorn

BACKLOG = 256
GRACE_S = 2  # open event streams get this long to end when the node stops
DATE_TICK_S = 1.0
MAX_CONCURRENCY = 512


def tcp_socket(bind: str, port: int) -> socket.socket:
    """Open a listening TCP socket; raises ConfigError (GW-1803) that says what is wrong with the address."""
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((bind, port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise ConfigError(
            f"HTTP cannot listen on {bind}:{port}: {error.strerror}",
            code="GW-1803",
            hint=f"stop what holds port {port} (`ss -ltnp`), or set http.port in gateway.toml",
        ) from error
    sock.setblocking(False)
    return sock


def unix_socket(path: Path) -> socket.socket:
    """Open the control socket, for this user alone; raises ConfigError (GW-1807) where that is impossible."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        with short_path(path) as name:
            sock.bind(name)
        path.chmod(0o600)  # before it listens: nobody can have connected
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise ConfigError(
            f"the control socket {path} cannot be made: {error.strerror or error}",
            code="GW-1807",
            hint="make the state directory writable for this user, and remove what is in the way",
        ) from error
    sock.setblocking(False)
    return sock


class HttpServer:
    """Service: serves one ASGI app on several sockets until cancelled."""

    required = False

    def __init__(self, app: Any, sockets: list[socket.socket], *, name: str = "http") -> None:
        self.name = name
        self._app = app
        self._sockets = sockets

    async def run(self) -> None:
        """Serve; a cancel closes the listeners and gives open requests a moment."""
        server = _server(self._app)
        # Duplicates: a restarted service listens again on sockets that uvicorn closed.
        sockets = [sock.dup() for sock in self._sockets]
        try:
            await server.serve(sockets=sockets)
        except asyncio.CancelledError:
            server.should_exit = True
            if server.started:
                await server.shutdown(sockets)
            raise

    def close(self) -> None:
        """Close the listening sockets."""
        for sock in self._sockets:
            sock.close()


def _server(app: Any) -> "uvicorn.Server":
    import uvicorn  # noqa: PLC0415 - a third of a second on a Pi, and not every command serves

    logging.getLogger("uvicorn.error").setLevel(
        logging.WARNING
    )  # its starts and stops are ours to tell

    class Server(uvicorn.Server):
        """uvicorn without signal handlers (the node has its own) and with a slow tick."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

        async def main_loop(self) -> None:
            while not self.should_exit:
                await self.on_tick(0)
                await asyncio.sleep(DATE_TICK_S)

    return Server(
        uvicorn.Config(
            app,
            http="h11",
            ws="none",
            loop="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
            limit_concurrency=MAX_CONCURRENCY,
        )
    )
