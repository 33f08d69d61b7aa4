"""The suite finds drivers that break the promises."""

import pytest
from pydantic import BaseModel

from gateway.driver import conformance
from gateway.driver.contract import Driver, LinkKind, Request
from gateway.errors import UnsupportedCommandError
from gateway.model import HardwareId, Reading


class Settings(BaseModel):
    """No keys."""


class Honest:
    """Reads `n\\n`; each flaw below breaks one promise."""

    def __init__(self, settings, origin):
        self._rest = b""

    def feed(self, item, at):
        lines = (self._rest + item).split(b"\n")
        self._rest = lines.pop()[-64:]
        return [
            Reading(HardwareId("x"), "n", line.decode(), "", at) for line in lines if line.isdigit()
        ]

    def poll(self):
        return None

    def encode(self, command):
        raise UnsupportedCommandError("no", code="GW-1701", hint="do not")


class CutsBadly(Honest):
    def feed(self, item, at):
        self._rest = b""
        return super().feed(item, at)


class Raises(Honest):
    def feed(self, item, at):
        item.decode()
        return super().feed(item, at)


class Hoards(Honest):
    def __init__(self, settings, origin):
        super().__init__(settings, origin)
        self.all = bytearray()

    def feed(self, item, at):
        self.all += item
        return super().feed(item, at)


class Silent(Honest):
    def feed(self, item, at):
        return []


class GivesUp(Honest):
    def feed(self, item, at):
        if any(byte > 127 for byte in item):
            self.feed = lambda item, at: []
        return super().feed(item, at)


class Forgets(Honest):
    def encode(self, command):
        return Request(b"x\n")


FLAWS = {
    conformance.frames_are_understood: Silent,
    conformance.cuts_do_not_matter: CutsBadly,
    conformance.garbage_never_raises: Raises,
    conformance.good_frames_are_found_after_garbage: GivesUp,
    conformance.what_is_kept_is_bounded: Hoards,
    conformance.commands_are_taken_or_refused: Forgets,
}


def subject(codec):
    driver = Driver("n", LinkKind.SERIAL, Settings, codec)
    return conformance.Subject(driver, (b"12\n", b"34\n"))


@pytest.mark.parametrize("check", conformance.CHECKS)
def test_an_honest_driver_passes(check):
    check(subject(Honest))


@pytest.mark.parametrize("check", conformance.CHECKS)
def test_a_broken_promise_is_found(check):
    with pytest.raises((AssertionError, UnicodeDecodeError)):
        check(subject(FLAWS[check]))
