"""Open and configure one serial port, or say precisely why not: pyserial sets the line, termios the rest."""

import contextlib
import errno
import fcntl
import os
import termios
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import serial

from gateway.errors import ConfigError, TransientError
from gateway.links.holders import holders
from gateway.links.ports import BY_ID, user_and_group

PORT_FAULTS = (serial.SerialException, OSError, termios.error)
"""What a port that goes away throws; termios.error is no OSError."""

RESET_PULSE_S = (
    0.05  # an Arduino's bootloader resets on any DTR pulse of more than a few microseconds
)


@dataclass(frozen=True, slots=True)
class PortSettings:
    """How to find and configure a port."""

    name: str
    port: str  # by-id or by-path link, device path, or the bare name of a link in by_id_dir
    baud: int = 9600
    bytesize: Literal[5, 6, 7, 8] = 8
    parity: Literal["none", "even", "odd"] = "none"
    stopbits: Literal[1, 2] = 1
    flow: Literal["none", "xonxoff", "rtscts"] = "none"
    reset_on_open: bool = (
        False  # pulse DTR, so that a board starts afresh; else DTR and RTS stay as found
    )
    write_timeout_s: float = 5.0  # beside the time that the bytes themselves need at this baud rate
    by_id_dir: Path = BY_ID
    look_every_s: float = 0.25  # how soon a port that came back is noticed; one stat() each

    @property
    def path(self) -> Path:
        """Return the link to open: never the node that it points to, which changes at replug."""
        return Path(self.port) if "/" in self.port else self.by_id_dir / self.port


class HeldError(TransientError):
    """The port is there, but another program has it."""


class AbsentError(TransientError):
    """There is no such port now."""


class _LineAsFound(serial.Serial):
    """pyserial sets DTR and RTS when it opens a port, which resets many boards; here they stay as the system has them."""

    def _update_dtr_state(self) -> None:
        return

    def _update_rts_state(self) -> None:
        return


@dataclass(frozen=True, slots=True)
class OpenPort:
    """A configured, locked port: its descriptor is non-blocking and belongs to the event loop."""

    fd: int
    real: str  # the device file behind the link, when it was opened
    shared_with: str  # programs that had it open already, without a lock; "" for none
    _port: serial.Serial

    def close(self) -> None:
        """Give the port back, without waiting for bytes that nobody takes (Linux would wait 30 s)."""
        self.drop_output()
        with contextlib.suppress(*PORT_FAULTS):
            self._port.close()

    def drop_output(self) -> None:
        """Drop what the line has not taken yet."""
        with contextlib.suppress(*PORT_FAULTS):
            termios.tcflush(self.fd, termios.TCOFLUSH)


def open_port(settings: PortSettings) -> OpenPort:
    """Open, lock and configure the port; blocks for milliseconds (a bad USB adapter: longer), so call it in a thread.

    Raises AbsentError, HeldError, another TransientError, or ConfigError for values no port knows.
    """
    path = str(settings.path)
    try:
        port = _configured(settings)
        port.open()
    except ValueError as error:
        raise ConfigError(
            f"port {path} can't be set to {settings.baud} baud, {settings.bytesize} data bits, "
            f"{settings.parity} parity, {settings.stopbits} stop bits: {error}",
            code="GW-1203",
            hint="correct baud, bytesize, parity and stopbits of this link in gateway.toml",
        ) from error
    except PORT_FAULTS as error:
        raise _explained(path, error) from error
    try:
        fd = port.fileno()
        _finish(fd, reset=settings.reset_on_open)
    except PORT_FAULTS as error:
        with contextlib.suppress(*PORT_FAULTS):
            port.close()
        raise _explained(path, error) from error
    others = ", ".join(str(one) for one in holders(path) if one.pid != os.getpid())
    return OpenPort(fd=fd, real=os.path.realpath(path), shared_with=others, _port=port)


def _configured(settings: PortSettings) -> serial.Serial:
    port = _LineAsFound(
        None,
        baudrate=settings.baud,
        bytesize=settings.bytesize,
        parity=settings.parity[0].upper(),
        stopbits=settings.stopbits,
        xonxoff=settings.flow == "xonxoff",
        rtscts=settings.flow == "rtscts",
        exclusive=True,
        timeout=0,
        write_timeout=0,
    )
    port.port = str(settings.path)
    return port


def _finish(fd: int, *, reset: bool) -> None:
    """Set what pyserial has no word for, and drop what was received before anybody listened."""
    attributes = termios.tcgetattr(fd)
    # VMIN 1: no data is then EAGAIN, and an empty read means that the device is gone.
    attributes[6][termios.VMIN] = 1
    # Without HUPCL, closing leaves DTR up, so a restart of the gateway does not reset a board.
    attributes[2] &= ~termios.HUPCL
    termios.tcsetattr(fd, termios.TCSANOW, attributes)
    with contextlib.suppress(OSError):  # a courtesy to others: their open then fails with EBUSY
        fcntl.ioctl(fd, termios.TIOCEXCL)
    if reset:
        _pulse_dtr(fd)
    termios.tcflush(fd, termios.TCIFLUSH)


def _pulse_dtr(fd: int) -> None:
    line = termios.TIOCM_DTR.to_bytes(4, "little")
    with contextlib.suppress(OSError):  # a pty or a socket has no such line
        fcntl.ioctl(fd, termios.TIOCMBIC, line)
        time.sleep(RESET_PULSE_S)
        fcntl.ioctl(fd, termios.TIOCMBIS, line)


def _explained(path: str, error: Exception) -> TransientError:
    number = error.args[0] if error.args and isinstance(error.args[0], int) else None
    if number in {errno.ENOENT, errno.ENODEV, errno.ENXIO}:
        return AbsentError(
            f"port {path} is not there",
            code="GW-1201",
            hint="plug the device in; `gateway devices ports` lists what is there",
        )
    if number in {errno.EAGAIN, errno.EBUSY, errno.EWOULDBLOCK}:
        who = ", ".join(str(one) for one in holders(path)) or "another program"
        return HeldError(
            f"port {path} is held by {who}",
            code="GW-1202",
            hint=f"end {who}; the gateway then opens the port by itself",
        )
    if number in {errno.EACCES, errno.EPERM}:
        user, group = user_and_group(path)
        return TransientError(
            f"user {user} may not open port {path}, which belongs to group {group}",
            code="GW-1205",
            hint=f"run `sudo usermod -aG {group} {user}`, then log in again or restart the service",
        )
    return TransientError(
        f"port {path} can't be configured: {error}",
        code="GW-1207",
        hint="unplug and replug the adapter; look at `dmesg` if it stays",
    )
