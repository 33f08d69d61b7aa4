"""Opening a port: what it is set to, and each way in which it is refused."""

import errno
import os
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial

from gateway.errors import ConfigError, TransientError
from gateway.links.serial_open import AbsentError, HeldError, PortSettings, _explained, open_port
from tests.fakes.pty_port import PtyPort


@pytest.fixture
def port(tmp_path: Path) -> Iterator[PtyPort]:
    port = PtyPort(tmp_path / "by-id")
    port.plug()
    yield port
    port.unplug()


def test_an_idle_port_is_told_from_one_that_is_gone(port: PtyPort) -> None:
    opened = open_port(PortSettings("p", str(port.link)))
    with pytest.raises(BlockingIOError):
        os.read(opened.fd, 1)
    port.unplug()
    try:
        assert os.read(opened.fd, 1) == b""
    except OSError as error:
        assert error.errno == errno.EIO
    opened.close()


def test_the_line_is_set_as_asked_and_closing_does_not_drop_dtr(port: PtyPort) -> None:
    opened = open_port(PortSettings("p", str(port.link), baud=57_600, stopbits=2))
    attributes = termios.tcgetattr(opened.fd)
    assert attributes[4] == attributes[5] == termios.B57600
    assert attributes[2] & termios.CSTOPB
    assert not attributes[2] & termios.HUPCL
    assert not attributes[3] & termios.ECHO
    opened.close()


def test_what_was_said_before_the_opening_is_dropped(port: PtyPort) -> None:
    port.say(b"half a li")
    opened = open_port(PortSettings("p", str(port.link), reset_on_open=True))
    with pytest.raises(BlockingIOError):
        os.read(opened.fd, 100)
    opened.close()


def test_closing_twice_and_after_an_unplug_is_quiet(port: PtyPort) -> None:
    opened = open_port(PortSettings("p", str(port.link)))
    port.unplug()
    opened.close()
    opened.close()


def test_a_path_that_is_no_terminal_is_refused_with_what_to_look_at(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(TransientError) as caught:
        open_port(PortSettings("p", str(file)))
    assert caught.value.code == "GW-1207"


def test_a_baud_rate_that_is_no_number_of_any_port_is_a_persons_business(port: PtyPort) -> None:
    with pytest.raises(ConfigError, match="-1 baud"):
        open_port(PortSettings("p", str(port.link), baud=-1))


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (serial.SerialException(errno.ENOENT, "no"), AbsentError, "GW-1201"),
        (OSError(errno.ENXIO, "no"), AbsentError, "GW-1201"),
        (serial.SerialException(errno.EAGAIN, "lock"), HeldError, "GW-1202"),
        (OSError(errno.EBUSY, "busy"), HeldError, "GW-1202"),
        (serial.SerialException(errno.EACCES, "no"), TransientError, "GW-1205"),
        (termios.error(errno.EINVAL, "invalid"), TransientError, "GW-1207"),
        (serial.SerialException("could not configure"), TransientError, "GW-1207"),
    ],
)
def test_each_fault_has_its_class_and_code(
    error: Exception, kind: type[TransientError], code: str, tmp_path: Path
) -> None:
    explained = _explained(str(tmp_path), error)
    assert type(explained) is kind
    assert explained.code == code
    assert explained.hint


def test_a_refused_user_is_told_the_group_to_join(tmp_path: Path) -> None:
    explained = _explained(str(tmp_path), PermissionError(errno.EACCES, "denied"))
    assert f"-aG {tmp_path.group()} " in explained.hint
