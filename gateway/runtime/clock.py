"""The machine's clocks: uptime that counts sleep, the boot it counts from, and when wall time can be believed."""

import ctypes
import functools
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.model.clock import Anchor, Clock, Stamp

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
STEP_MS = (
    500  # a wall clock that moved this much against uptime was set anew (sync rules, section 5)
)
EARLIEST_WALL_MS = 1_767_225_600_000  # 2026-01-01: before this a clock was plainly never set
UNSYNCHRONIZED_ERROR_MS = 3_600_000  # what a clock that no time service disciplines may be off
TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
STA_UNSYNC = 0x0040

# CLOCK_BOOTTIME counts suspend. macOS has none, but its CLOCK_MONOTONIC goes on while asleep.
_UPTIME: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class SystemClock:
    """Matches `gateway.model.Clock` on the machine it runs on."""

    __slots__ = ("boot_id",)

    def __init__(self, boot_id_file: Path = BOOT_ID) -> None:
        self.boot_id = boot_identity(boot_id_file)

    def uptime_ms(self) -> int:
        """Return milliseconds since boot, suspend included."""
        return time.clock_gettime_ns(_UPTIME) // 1_000_000

    def wall_ms(self) -> int:
        """Return what the machine believes the Unix time is."""
        return time.time_ns() // 1_000_000

    def stamp(self) -> Stamp:
        """Return now as a Stamp."""
        return Stamp(self.boot_id, time.clock_gettime_ns(_UPTIME) // 1_000_000)


def boot_identity(file: Path = BOOT_ID) -> str:
    """Return the kernel's identity of this boot as 32 hex digits.

    Where there is none, a random one: every start then counts as a boot of its own, which is safe.
    """
    try:
        return uuid.UUID(file.read_text("ascii").strip()).hex
    except (OSError, ValueError):
        pass
    try:
        return uuid.UUID(_darwin_boot_uuid()).hex
    except (OSError, ValueError, AttributeError):
        return uuid.uuid4().hex


def _darwin_boot_uuid() -> str:
    if sys.platform == "darwin":
        text = ctypes.create_string_buffer(64)
        size = ctypes.c_size_t(len(text))
        ctypes.CDLL(None).sysctlbyname(
            b"kern.bootsessionuuid", text, ctypes.byref(size), None, ctypes.c_size_t(0)
        )
        return text.value.decode("ascii")
    return ""


@dataclass(frozen=True, slots=True)
class Synchronization:
    """What the kernel says of the wall clock; `is_synchronized` is None where it does not tell."""

    is_synchronized: bool | None
    error_ms: int


class _Timex(ctypes.Structure):
    """The head of struct timex (adjtimex(2)); the rest is room for what the kernel writes."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_long * 40),
    )


def synchronization() -> Synchronization:
    """Ask the kernel whether a time service keeps the clock, and how far it may be off."""
    adjtimex = _adjtimex()
    if adjtimex is None:
        return Synchronization(None, UNSYNCHRONIZED_ERROR_MS)
    state = _Timex()  # modes 0: only read
    result = adjtimex(ctypes.byref(state))
    if result < 0:
        return Synchronization(None, UNSYNCHRONIZED_ERROR_MS)
    if result == TIME_ERROR or state.status & STA_UNSYNC:
        return Synchronization(False, UNSYNCHRONIZED_ERROR_MS)
    return Synchronization(True, max(1, state.maxerror // 1000))


@functools.cache
def _adjtimex() -> Callable[..., int] | None:
    try:
        found: Callable[..., int] = ctypes.CDLL(None).adjtimex
    except (OSError, AttributeError):
        return None
    return found


class AnchorWatch:
    """Makes an anchor at first sight of a plausible wall clock, and a new one whenever that steps."""

    def __init__(
        self,
        clock: Clock,
        on_anchor: Callable[[Anchor], None],
        *,
        ask: Callable[[], Synchronization] = synchronization,
    ) -> None:
        self._clock = clock
        self._on_anchor = on_anchor
        self._ask = ask
        self._last: Anchor | None = None

    @property
    def last(self) -> Anchor | None:
        """Return the newest anchor of this boot, if the clock was ever plausible."""
        return self._last

    def look(self) -> Anchor | None:
        """Compare the clocks; returns (and reports) a new anchor when there is one. Cheap: call it each second."""
        uptime_ms, wall_ms = self._clock.uptime_ms(), self._clock.wall_ms()
        if wall_ms < EARLIEST_WALL_MS:
            return None
        last = self._last
        if last is not None and abs(wall_ms - last.wall_of(uptime_ms)) <= STEP_MS:
            return None
        anchor = Anchor(self._clock.boot_id, uptime_ms, wall_ms, self._ask().error_ms)
        self._last = anchor
        self._on_anchor(anchor)
        return anchor
