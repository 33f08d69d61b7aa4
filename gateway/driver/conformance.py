"""A suite that any driver can run on itself: the promises that the host relies on.

    from gateway.driver import conformance

    @pytest.mark.parametrize("check", conformance.CHECKS, ids=lambda check: check.__name__)
    def test_my_driver_keeps_its_promises(check):
        check(conformance.Subject(DRIVER, frames=(FRAME, FRAME)))

`frames` are whole units of input as the device sends them, at least two, so that one may be lost beside garbage.
Everything here is deterministic: a failure repeats.
"""

import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.driver.contract import Advert, Codec, Driver, LinkKind, Request
from gateway.errors import UnsupportedCommandError
from gateway.model.clock import Stamp
from gateway.model.command import Command, CommandResult
from gateway.model.device import DeviceUuid
from gateway.model.reading import Event, Reading

ORIGIN = "conformance"
AT = Stamp("conformance", 60_000)
SEED = 20_26
CUTS = 40  # random ways to cut the same bytes
GARBAGE_ROUNDS = 200
FLOOD_BYTES = 1 << 20
MOST_KEPT_BYTES = 256 * 1024
FRAMES_LOST_TO_GARBAGE = 2  # the one that garbage runs into, and one to find the beginning again


@dataclass(frozen=True, slots=True)
class Subject:
    """A driver under test, its settings, and input that it understands."""

    driver: Driver
    frames: Sequence[bytes | Advert]
    settings: Mapping[str, Any] = field(default_factory=dict)

    def codec(self) -> Codec[Any, Any]:
        """Open a fresh codec, as the host does."""
        return self.driver.open(self.driver.settings.model_validate(dict(self.settings)), ORIGIN)


def frames_are_understood(subject: Subject) -> None:
    """Check that the given frames mean something, of the kinds that a codec may return."""
    codec = subject.codec()
    said = [item for frame in subject.frames for item in codec.feed(frame, AT)]
    assert said, f"{subject.driver.name} says nothing to its own frames"
    for item in said:
        assert isinstance(item, (Reading, Event, CommandResult)), f"a codec may not return {item!r}"
        if isinstance(item, (Reading, Event)):
            assert item.observed == AT, (
                "what was heard at a moment carries the stamp of that moment"
            )


def cuts_do_not_matter(subject: Subject) -> None:
    """Check that the same bytes mean the same however they are cut."""
    if subject.driver.link is not LinkKind.SERIAL:
        return
    data = b"".join(_bytes(subject))
    whole = list(subject.codec().feed(data, AT))
    for pieces in _cut(data):
        codec = subject.codec()
        said = [item for piece in pieces for item in codec.feed(piece, AT)]
        assert said == whole, f"cut into {[len(piece) for piece in pieces]}: {said} is not {whole}"


def garbage_never_raises(subject: Subject) -> None:
    """Check that random input, and damaged frames, end in readings or in nothing, never in an exception."""
    codec = subject.codec()
    for item in _garbage(subject):
        codec.feed(item, AT)


def good_frames_are_found_after_garbage(subject: Subject) -> None:
    """Check that after any garbage one of the next frames is understood (serial: two may be lost)."""
    if subject.driver.link is not LinkKind.SERIAL:
        return
    dice = random.Random(SEED)  # noqa: S311 - a repeatable test
    expected = {_without_time(item) for item in _said(subject.codec(), _bytes(subject) * 2)}
    tail = (_bytes(subject) * (FRAMES_LOST_TO_GARBAGE + 1))[: FRAMES_LOST_TO_GARBAGE + 2]
    for _ in range(GARBAGE_ROUNDS):
        codec = subject.codec()
        codec.feed(dice.randbytes(dice.randrange(300)), AT)
        said = {_without_time(item) for item in _said(codec, tail)}
        assert said & expected, f"{subject.driver.name} did not find a good frame after garbage"


def what_is_kept_is_bounded(subject: Subject) -> None:
    """Check that a megabyte without a frame, or adverts without end, leaves no more than 256 KiB behind."""
    dice = random.Random(SEED)  # noqa: S311 - a repeatable test
    codec = subject.codec()
    if subject.driver.link is LinkKind.SERIAL:
        for filler in (b"\0", b"{", b"a", b"1", b":"):
            for _ in range(FLOOD_BYTES // 4096 // 4):
                codec.feed(filler * 4096, AT)
        codec.feed(dice.randbytes(FLOOD_BYTES // 4), AT)
    else:
        for item in _garbage(subject):
            codec.feed(item, AT)
    kept = _size(codec, set())
    assert kept <= MOST_KEPT_BYTES, f"{subject.driver.name} keeps {kept} bytes"


def commands_are_taken_or_refused(subject: Subject) -> None:
    """Check that `encode` returns a request that names the command, or raises UnsupportedCommandError (GW-1701)."""
    for action in ("set", "no such action \n", ""):
        command = Command("c-1", DeviceUuid("d"), DeviceUuid("a"), action, {"on": True}, 120_000)
        request = _encoded(subject.codec(), command)
        if isinstance(request, UnsupportedCommandError):
            assert request.code == "GW-1701", "an unsupported command is GW-1701"
            assert request.hint, "a refusal says what to do"
            continue
        assert request.command_id == "c-1", "a request for a command carries its id"
        assert 0 < request.timeout_ms <= 600_000, "a turn on the line ends"


CHECKS: tuple[Callable[[Subject], None], ...] = (
    frames_are_understood,
    cuts_do_not_matter,
    garbage_never_raises,
    good_frames_are_found_after_garbage,
    what_is_kept_is_bounded,
    commands_are_taken_or_refused,
)
"""Every promise as a function that raises AssertionError."""


def _encoded(codec: Codec[Any, Any], command: Command) -> Request[Any] | UnsupportedCommandError:
    try:
        return codec.encode(command)
    except UnsupportedCommandError as error:
        return error


def _bytes(subject: Subject) -> list[bytes]:
    return [frame for frame in subject.frames if isinstance(frame, bytes)]


def _said(codec: Codec[Any, Any], items: Sequence[bytes]) -> list[Reading | Event | CommandResult]:
    return [said for item in items for said in codec.feed(item, AT)]


def _without_time(item: Reading | Event | CommandResult) -> tuple[object, ...]:
    if isinstance(item, Reading):
        return (item.hardware_id, item.quantity, item.value)
    return (str(item),)


def _cut(data: bytes) -> Iterator[list[bytes]]:
    yield [data[at : at + 1] for at in range(len(data))]
    dice = random.Random(SEED)  # noqa: S311 - a repeatable test
    for _ in range(CUTS):
        places = sorted(dice.sample(range(len(data) + 1), min(len(data), dice.randrange(1, 8))))
        yield [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def _garbage(subject: Subject) -> Iterator[bytes | Advert]:
    dice = random.Random(SEED)  # noqa: S311 - a repeatable test
    for _ in range(GARBAGE_ROUNDS):
        for frame in subject.frames:
            if isinstance(frame, bytes):
                yield dice.randbytes(dice.randrange(200))
                yield _damaged(frame, dice)
            else:
                yield _advert(subject, dice, frame)


def _advert(subject: Subject, dice: random.Random, frame: Advert) -> Advert:
    def data(good: bytes) -> bytes:
        return _damaged(good, dice) if dice.random() < 0.5 else dice.randbytes(dice.randrange(40))

    match = subject.driver.match
    return Advert(
        frame.address,
        -dice.randrange(100),
        {uuid: data(frame.service_data.get(uuid, b"\0")) for uuid in sorted(match.service_uuids)},
        {key: data(frame.manufacturer_data.get(key, b"\0")) for key in sorted(match.company_ids)},
    )


def _damaged(frame: bytes, dice: random.Random) -> bytes:
    damaged = bytearray(frame)
    for _ in range(dice.randrange(1, 4)):
        if damaged:
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
    return bytes(damaged[: dice.randrange(len(damaged) + 1)] if dice.random() < 0.3 else damaged)


def _size(thing: object, seen: set[int]) -> int:
    """Return the bytes of a codec with everything that it alone refers to."""
    if id(thing) in seen or isinstance(thing, type) or callable(thing):
        return 0
    seen.add(id(thing))
    inner: list[object] = []
    if isinstance(thing, Mapping):
        inner += [*thing.keys(), *thing.values()]
    elif isinstance(thing, (list, tuple, set, frozenset)):
        inner += thing
    else:
        inner += vars(thing).values() if hasattr(thing, "__dict__") else ()
        slots = getattr(type(thing), "__slots__", ())
        inner += [getattr(thing, name, None) for name in slots]
    return sys.getsizeof(thing) + sum(_size(each, seen) for each in inner)
