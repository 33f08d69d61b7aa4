"""Whose turn it is on one line: commands first, then what the driver wants to ask; one at a time."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.driver.contract import Addressed, Codec, Request
from gateway.errors import GatewayError, TransientError, UnsupportedCommandError
from gateway.links.link import Link
from gateway.model import Clock, Command, CommandResult, HardwareId, Outcome

MOST_QUEUED = 32  # commands of one line; a second of a slow bus each
POLL_S = 1.0  # a driver with nothing to ask is asked again after this time

Done = Callable[[CommandResult], None]


@dataclass(frozen=True, slots=True)
class Turn:
    """A command that waits for the line."""

    command: Command
    hardware_id: HardwareId
    done: Done

    def end(self, outcome: Outcome, detail: str = "") -> None:
        """Answer without the device."""
        self.done(CommandResult(self.command.id, outcome, detail))


def request_for(codec: Codec[Any, Any], hardware_id: HardwareId, command: Command) -> Request[Any]:
    """Return what to write for a command; raises UnsupportedCommandError."""
    if isinstance(codec, Addressed):
        return codec.encode_to(hardware_id, command)
    return codec.encode(command)


class Turns:
    """The writing side of a host."""

    def __init__(self, link: Link, clock: Clock) -> None:
        self._link = link
        self._clock = clock
        self._queue: deque[Turn] = deque()
        self._wake = asyncio.Event()
        self._turn: Turn | None = None  # whose request is on the line
        self._reply: asyncio.Future[CommandResult | None] | None = None
        self._heard_at = 0.0  # event loop time
        self._is_running = False
        self.counts = {"commands": 0, "late_answers": 0, "polls": 0, "silent_polls": 0}

    def submit(self, command: Command, hardware_id: HardwareId, done: Done) -> None:
        """Queue a command; answered at once when the line does not run or too many wait."""
        turn = Turn(command, hardware_id, done)
        if not self._is_running:
            turn.end(Outcome.REFUSED, f"link {self._link.name} is not running")
        elif len(self._queue) >= MOST_QUEUED:
            turn.end(Outcome.REFUSED, f"link {self._link.name} is busy with {MOST_QUEUED} commands")
        else:
            self._queue.append(turn)
            self._wake.set()

    def heard(self, now: float, *, is_answer: bool) -> None:
        """Note that the line was not silent just now; what the codec understood ends a question's turn."""
        self._heard_at = now
        reply = self._reply
        if is_answer and reply is not None and self._turn is None and not reply.done():
            reply.set_result(None)

    def answer(self, result: CommandResult) -> None:
        """Take a device's answer; one that nobody waits for any more is counted."""
        turn, reply = self._turn, self._reply
        if turn is None or reply is None or reply.done() or turn.command.id != result.command_id:
            self.counts["late_answers"] += 1
            return
        reply.set_result(result)

    async def run(self, codec: Callable[[], Codec[Any, Any]]) -> None:
        """Give turns until cancelled; whoever still waits then is answered, honestly."""
        self._is_running = True
        try:
            while True:
                if self._queue:
                    await self._command(codec(), self._queue.popleft())
                elif (request := codec().poll()) is not None:
                    await self._poll(request)
                else:
                    await self._pause()
        finally:
            self._is_running = False
            while self._queue:
                self._queue.popleft().end(
                    Outcome.REFUSED, f"link {self._link.name} stopped before its turn"
                )

    async def _command(self, codec: Codec[Any, Any], turn: Turn) -> None:
        self.counts["commands"] += 1
        try:
            request = request_for(codec, turn.hardware_id, turn.command)
        except UnsupportedCommandError as error:
            turn.end(Outcome.REFUSED, error.text)
            return
        result = CommandResult(
            turn.command.id, Outcome.REFUSED, "the link stopped before it was written"
        )
        self._turn = turn
        try:
            await self._silence(request)
            if self._clock.uptime_ms() > turn.command.deadline_ms:
                result = CommandResult(turn.command.id, Outcome.EXPIRED, "its time had passed")
            else:
                # From here on nobody can know, until the device says so.
                result = CommandResult(turn.command.id, Outcome.UNKNOWN, "the link stopped")
                result = await self._exchange(turn, request)
        except TransientError as error:
            result = CommandResult(turn.command.id, Outcome.UNKNOWN, error.text)
        finally:
            self._turn = self._reply = None
            turn.done(result)

    async def _exchange(self, turn: Turn, request: Request[Any]) -> CommandResult:
        self._reply = asyncio.get_running_loop().create_future()
        await self._link.write(request.data)
        if not request.expects_answer:
            return CommandResult(turn.command.id, Outcome.DONE)
        try:
            async with asyncio.timeout(request.timeout_ms / 1000):
                answer = await self._reply
        except TimeoutError:
            detail = f"no answer within {request.timeout_ms} ms"
            return CommandResult(turn.command.id, Outcome.TIMED_OUT, detail)
        assert answer is not None
        return answer

    async def _poll(self, request: Request[Any]) -> None:
        self.counts["polls"] += 1
        await self._silence(request)
        self._reply = asyncio.get_running_loop().create_future()
        try:
            await self._link.write(request.data)
            async with asyncio.timeout(request.timeout_ms / 1000):
                await self._reply
        except TimeoutError:
            self.counts["silent_polls"] += 1
        except GatewayError:  # the link says in its state what is wrong, and reopens
            await asyncio.sleep(POLL_S)
        finally:
            self._reply = None

    async def _silence(self, request: Request[Any]) -> None:
        loop = asyncio.get_running_loop()
        gap_s = request.gap_ms / 1000
        left_s = self._heard_at + gap_s - loop.time()
        while left_s > 0 and gap_s:
            await asyncio.sleep(left_s)
            left_s = self._heard_at + gap_s - loop.time()

    async def _pause(self) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(POLL_S):
                await self._wake.wait()
        except TimeoutError:
            pass
