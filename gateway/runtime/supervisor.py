"""Keep services running: restart with patience, park what only a person can mend, end when a required one is lost.

A service that returns has failed.  The only place (with plugin loading) that catches every exception.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.errors import BadTokenError, ConfigError, GatewayError, StoreError
from gateway.model.backoff import delays

log = logging.getLogger(__name__)

FOR_A_PERSON = (ConfigError, BadTokenError)
"""Trying again changes nothing about these."""


class Service(Protocol):
    """A long-running part of the node."""

    @property
    def name(self) -> str:
        """Return its name in status and logs."""
        ...

    @property
    def required(self) -> bool:
        """Return whether the node ends without it."""
        ...

    async def run(self) -> None:
        """Work until cancelled."""
        ...


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a failing service is tried."""

    first_delay_s: float = 0.5
    most_delay_s: float = 30.0
    most_restarts: int = 8
    window_s: float = 300.0  # in which that many restarts are counted
    healthy_s: float = 30.0  # after this long without a failure, earlier ones are forgotten
    parked_s: float = 600.0  # a parked service is tried again this often
    stop_s: float = 5.0  # a service gets this long to end before the next is told to


@dataclass(frozen=True, slots=True)
class ParkedService:
    """A service that gave up and waits for a person, or for its next try."""

    what: str  # the service's name
    code: str
    text: str
    hint: str


class Supervisor:
    """Runs services as named tasks of one group. Stops them in reverse order of the list, one by one."""

    def __init__(
        self,
        services: Sequence[Service],
        *,
        on_park: Callable[[ParkedService], None],
        on_resume: Callable[[str], None] = lambda _: None,
        patience: Patience | None = None,
        entropy: random.Random | None = None,
    ) -> None:
        self._on_park = on_park
        self._on_resume = on_resume
        self._patience = patience or Patience()
        self._parked: dict[str, ParkedService] = {}
        self._keepers = [_Keeper(service, self, entropy) for service in services]

    @property
    def parked(self) -> tuple[ParkedService, ...]:
        """Return what is parked now."""
        return tuple(self._parked.values())

    def retry(self, name: str) -> None:
        """Try a parked or waiting service at once, for instance after its setting was changed."""
        for keeper in self._keepers:
            if keeper.service.name == name:
                keeper.hurry.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop`; raises the one error by which a required service was lost."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(keeper.keep_running(), name=keeper.service.name)
                    for keeper in self._keepers
                ]
                await stop.wait()
                await self._end(tasks)
        except BaseExceptionGroup as lost:
            raise cause(lost) from lost

    async def _end(self, tasks: Sequence["asyncio.Task[None]"]) -> None:
        for task in reversed(tasks):
            task.cancel("the node stops")
            _, slow = await asyncio.wait([task], timeout=self._patience.stop_s)
            if slow:
                log.warning("slow to stop", extra={"service": task.get_name()})

    def park(self, service: Service, error: BaseException) -> None:
        """Note and report that a service is given up for now."""
        row = _row(service, error)
        self._parked[service.name] = row
        log.error(
            "service parked",
            extra={"service": row.what, "code": row.code, "error": row.text, "hint": row.hint},
        )
        self._on_park(row)

    def resume(self, name: str) -> None:
        """Note and report that a parked service is well again."""
        if self._parked.pop(name, None) is not None:
            log.info("service runs again", extra={"service": name})
            self._on_resume(name)

    @property
    def patience(self) -> Patience:
        """Return how long a failing service is tried."""
        return self._patience


async def run_services(
    services: Sequence[Service],
    stop: asyncio.Event,
    *,
    on_park: Callable[[ParkedService], None],
    on_resume: Callable[[str], None] = lambda _: None,
    patience: Patience | None = None,
) -> None:
    """Run services until `stop`; see Supervisor, which whoever wants to `retry` builds instead."""
    await Supervisor(services, on_park=on_park, on_resume=on_resume, patience=patience).run(stop)


class _Keeper:
    """One service, its failures, and when it is tried again."""

    def __init__(self, service: Service, owner: Supervisor, entropy: random.Random | None) -> None:
        self.service = service
        self.hurry = asyncio.Event()
        self._owner = owner
        self._entropy = entropy
        self._restarts: deque[float] = deque()
        self._delays = self._fresh_delays()
        self._is_parked = False

    def _fresh_delays(self) -> Iterator[float]:
        patience = self._owner.patience
        return delays(patience.first_delay_s, patience.most_delay_s, entropy=self._entropy)

    async def keep_running(self) -> None:
        """Run the service again and again; raises only for a required one that is lost."""
        while True:
            self.hurry.clear()
            error = await self._once()
            wait_s = self._judge(error)
            try:
                async with asyncio.timeout(wait_s):
                    await self.hurry.wait()
            except TimeoutError:
                pass

    async def _once(self) -> BaseException:
        """Run the service until it fails; returns why. A cancel from outside passes through.

        In a task of its own: a task group that failed inside the service leaves its task marked as being
        cancelled (Python 3.11 and 3.12), which could not be told from the node's own stop.
        """
        loop = asyncio.get_running_loop()
        well = loop.call_later(self._owner.patience.healthy_s, self._healthy)
        task = loop.create_task(self.service.run(), name=self.service.name)
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            await self._end(task)
            raise
        finally:
            well.cancel()
        if task.cancelled():
            # Awaiting something that others cancelled: a task group would lose this service silently.
            return _wrapped(self.service, "was cancelled from inside", None)
        error = task.exception()
        return _wrapped(self.service, "ended by itself", None) if error is None else cause(error)

    async def _end(self, task: "asyncio.Task[None]") -> None:
        task.cancel("the node stops")
        while not task.done():
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError:
                task.cancel("the node stops")
        # A group inside the service may have swallowed our cancel into its errors.
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.warning(
                "error while stopping", extra={"service": self.service.name}, exc_info=error
            )

    def _healthy(self) -> None:
        self._restarts.clear()
        self._delays = self._fresh_delays()
        self._is_parked = False
        self._owner.resume(self.service.name)

    def _judge(self, error: BaseException) -> float:
        """Return how long to wait before the next try; raises the error of a required service that is lost."""
        patience = self._owner.patience
        now = asyncio.get_running_loop().time()
        while self._restarts and self._restarts[0] <= now - patience.window_s:
            self._restarts.popleft()
        gave_up = self._is_parked or len(self._restarts) >= patience.most_restarts
        # A required service that lost its store never has it again in this process: what is on disk is unknown.
        is_over = self.service.required and isinstance(error, StoreError)
        if gave_up or is_over or isinstance(error, FOR_A_PERSON):
            if self.service.required:
                raise error
            self._is_parked = True
            self._owner.park(self.service, error)
            return patience.parked_s
        self._restarts.append(now)
        wait_s = next(self._delays)
        _log_restart(self.service, error, wait_s)
        return wait_s


def _log_restart(service: Service, error: BaseException, wait_s: float) -> None:
    fields: dict[str, object] = {"service": service.name, "retry_s": round(wait_s, 1)}
    if isinstance(error, GatewayError):
        fields |= {"code": error.code, "error": error.text, "hint": error.hint}
        log.warning("service restarts", extra=fields)
    else:
        log.error("service failed, it restarts", extra=fields, exc_info=error)


def _wrapped(service: Service, what: str, error: BaseException | None) -> GatewayError:
    failure = GatewayError(
        f"service {service.name} {what}",
        code="GW-1401",
        hint="this is a bug; please report it with the lines of `gateway logs` before it",
    )
    failure.__cause__ = error
    return failure


def _row(service: Service, error: BaseException) -> ParkedService:
    if isinstance(error, GatewayError):
        return ParkedService(service.name, error.code, error.text, error.hint)
    text = f"service {service.name} fails again and again: {type(error).__name__}: {error}"
    hint = "this is a bug; please report it with the traceback from `gateway logs`"
    return ParkedService(service.name, "GW-1402", text, hint)


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors in a (nested) group, or the error itself."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


def contains(error: BaseException, kind: type[BaseException]) -> bool:
    """Return whether an error is, or a group holds, one of this kind."""
    return any(isinstance(leaf, kind) for leaf in leaves(error))


def cause(error: BaseException) -> BaseException:
    """Return the one error that decides: what a person must mend, else a bug, else the first."""
    found = list(leaves(error))
    for leaf in found:
        if isinstance(leaf, FOR_A_PERSON):
            return leaf
    for leaf in found:
        if not isinstance(leaf, GatewayError | asyncio.CancelledError):
            return leaf
    return found[0]
