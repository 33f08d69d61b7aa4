"""A serial port that outlives its cable: bytes in chunks as they came, reopened by its physical name."""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import Future

from gateway.errors import ConfigError, LinkLostError, TransientError
from gateway.links.link import Health, LinkState
from gateway.links.ports import Places, origin_of, snapshot
from gateway.links.serial_open import (
    PORT_FAULTS,
    AbsentError,
    HeldError,
    OpenPort,
    PortSettings,
    open_port,
)
from gateway.model.backoff import delays
from gateway.model.clock import Clock, Stamp

READ_BYTES = 4096  # what the line discipline of a tty gives at most
READS_PER_TURN = 16  # then other links get their turn of the event loop
QUEUE_HIGH_BYTES = (
    65_536  # 6 s at 115200 baud: stop reading, the kernel and then the line hold back
)
QUEUE_LOW_BYTES = 16_384
FIRST_RETRY_S = 0.25
MOST_RETRY_S = 5.0
BITS_PER_BYTE = 11  # start, 8 data, parity, stop: the slowest usual framing
COUNTERS = ("opened", "failed_opens", "lost", "bytes", "paused", "written", "write_timeouts")


class SerialLink:
    """Matches `Link`; one consumer of `chunks()`, any number of writers (they take turns)."""

    def __init__(self, settings: PortSettings, clock: Clock) -> None:
        self.name = settings.name
        self.origin = origin_of(settings.port)
        self._settings = settings
        self._path = str(settings.path)  # `state` is asked with each chunk
        self._clock = clock
        self._health = Health(settings.name, clock, COUNTERS)
        self._port: OpenPort | None = None
        self._queue: deque[tuple[bytes, Stamp]] = deque()
        self._queued_bytes = 0
        self._is_paused = False
        self._is_lost = False
        self._wake = asyncio.Event()
        self._turn = asyncio.Lock()
        self._room: asyncio.Future[None] | None = None

    async def chunks(self) -> AsyncIterator[tuple[bytes, Stamp]]:
        """Yield (bytes, when read) for ever; raises ConfigError for settings that no port knows."""
        try:
            while True:
                await self._open_patiently()
                while not self._is_lost or self._queue:
                    while self._queue:
                        yield self._take()
                    if not self._is_lost:
                        await self._wake.wait()
                        self._wake.clear()
                self._close()
                self._health.count("lost")
        finally:
            self._close()
            if self._health.state is LinkState.OPEN:
                self._health.become(LinkState.WAITING, "closed")

    async def write(self, data: bytes) -> None:
        """Write all of `data`, after the writes before it; raises LinkLostError or TransientError (GW-1206)."""
        async with self._turn:
            port = self._port
            if port is None or self._is_lost:
                raise self._not_open()
            patience_s = self._settings.write_timeout_s
            patience_s += len(data) * BITS_PER_BYTE / self._settings.baud
            try:
                async with asyncio.timeout(patience_s):
                    await self._write_all(port, data)
            except TimeoutError as error:
                self._health.count("write_timeouts")
                port.drop_output()
                raise TransientError(
                    f"port {self._settings.path} took no more bytes for {patience_s:.1f} s",
                    code="GW-1206",
                    hint="check the cabling and flow control of the device",
                ) from error
            self._health.count("written", len(data))

    def state(self) -> dict[str, object]:
        """Return how the link is, and which port it is."""
        device = self._port.real if self._port is not None else ""
        return self._health.as_dict() | {"port": self._path, "device": device}

    # --- opening -----------------------------------------------------------------------------

    async def _open_patiently(self) -> None:
        retries = delays(FIRST_RETRY_S, MOST_RETRY_S)
        while True:
            seen = self._look()
            try:
                self._adopt(await self._open_in_thread())
            except ConfigError as error:
                self._health.fail(LinkState.PARKED, error)
                raise
            except AbsentError as error:
                self._health.count("failed_opens")
                self._health.fail(LinkState.MISSING, error)
                # In a container the device file stays while the device is away: there is nothing to see.
                await self._change(seen, None if seen is None else next(retries))
            except TransientError as error:
                held = isinstance(error, HeldError)
                self._health.count("failed_opens")
                self._health.fail(LinkState.HELD if held else LinkState.WAITING, error)
                await self._change(seen, next(retries))
            else:
                return

    async def _open_in_thread(self) -> OpenPort:
        """Open without blocking the loop; a port that opens after we were cancelled is closed again."""
        opening = asyncio.get_running_loop().run_in_executor(None, open_port, self._settings)
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_late)
            raise

    def _look(self) -> tuple[str, int] | None:
        """Return what the link points to now, so that a replug under the same name is seen too."""
        try:
            status = os.stat(self._settings.path)  # noqa: PTH116 - four a second: the short way
        except OSError:
            return None
        return os.path.realpath(self._settings.path), status.st_ino

    async def _change(self, seen: tuple[str, int] | None, delay_s: float | None) -> None:
        """Wait until the port changes (is plugged in), at most `delay_s`."""
        loop = asyncio.get_running_loop()
        end = None if delay_s is None else loop.time() + delay_s
        while self._look() == seen:
            wait_s = self._settings.look_every_s
            if end is not None:
                wait_s = min(wait_s, end - loop.time())
                if wait_s <= 0:
                    return
            await asyncio.sleep(wait_s)

    def _adopt(self, port: OpenPort) -> None:
        self._port, self._is_lost, self._is_paused = port, False, False
        self._wake.clear()
        self._health.count("opened")
        reason, hint = self._remark(port)
        self._health.become(LinkState.OPEN, reason, hint)
        asyncio.get_running_loop().add_reader(port.fd, self._on_readable, port.fd)

    def _remark(self, port: OpenPort) -> tuple[str, str]:
        """Return what a person should know about a port that works."""
        if port.shared_with:
            return (
                f"also read by {port.shared_with}, which takes bytes away",
                f"end {port.shared_with}",
            )
        links = snapshot(Places(by_id=self._settings.by_id_dir, patterns=())).get(port.real)
        if links is not None and str(self._settings.path) == port.real:
            stable = links.by_id or links.by_path
            return "", f'the number may change at replug: configure port = "{stable}"'
        return "", ""

    def _close(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(port.fd)
            loop.remove_writer(port.fd)
            port.close()

    # --- reading -----------------------------------------------------------------------------

    def _on_readable(self, fd: int) -> None:
        stamp = self._clock.stamp()
        for _ in range(READS_PER_TURN):
            try:
                data = os.read(fd, READ_BYTES)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:  # EIO: the terminal hung up
                data = b""
            if not data:
                self._lose()
                break
            self._queue.append((data, stamp))
            self._queued_bytes += len(data)
            self._health.count("bytes", len(data))
            if len(data) < READ_BYTES:
                break
        if self._queued_bytes > QUEUE_HIGH_BYTES and not self._is_lost:
            asyncio.get_running_loop().remove_reader(fd)
            self._is_paused = True
            self._health.count("paused")
        self._wake.set()

    def _take(self) -> tuple[bytes, Stamp]:
        chunk = self._queue.popleft()
        self._queued_bytes -= len(chunk[0])
        wants_more = self._is_paused and self._queued_bytes < QUEUE_LOW_BYTES
        if wants_more and not self._is_lost and self._port is not None:
            self._is_paused = False
            asyncio.get_running_loop().add_reader(self._port.fd, self._on_readable, self._port.fd)
        return chunk

    def _lose(self) -> None:
        """Note that the device is gone; the descriptor is closed by the consumer, after the last bytes."""
        assert self._port is not None
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._port.fd)
        loop.remove_writer(self._port.fd)
        self._is_lost = True
        self._wake.set()
        if self._room is not None:
            _set_result(self._room)  # a writer that waits for room need not wait for its timeout
        self._health.become(
            LinkState.MISSING,
            f"port {self._settings.path} went away",
            "plug the device in again; the gateway then opens it by itself",
            "GW-1201",
        )

    # --- writing -----------------------------------------------------------------------------

    async def _write_all(self, port: OpenPort, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                if port is not self._port or self._is_lost:
                    raise self._not_open()
                try:
                    rest = rest[os.write(port.fd, rest) :]
                except (BlockingIOError, InterruptedError):
                    await self._writable(port.fd)
        except PORT_FAULTS as error:
            if port is self._port and not self._is_lost:
                self._lose()
            raise self._not_open() from error

    async def _writable(self, fd: int) -> None:
        loop = asyncio.get_running_loop()
        self._room = loop.create_future()
        loop.add_writer(fd, _set_result, self._room)
        try:
            await self._room
        finally:
            self._room = None
            if self._port is not None and self._port.fd == fd:
                loop.remove_writer(fd)

    def _not_open(self) -> LinkLostError:
        return LinkLostError(
            f"link {self.name} is not open ({self._health.reason or 'the port went away'})",
            code="GW-1204",
            hint="plug the device in and repeat the command",
        )


def _set_result(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _close_late(opening: "asyncio.Future[OpenPort] | Future[OpenPort]") -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
