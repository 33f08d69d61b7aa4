"""The frames of the sync protocol (version 1): one JSON header line, a line feed, then raw bytes if it is a BLOCK.

They travel at QoS 0 on `$gateway/1/<node>/up` and `/down`, so a frame may be lost with its session but never
overtakes another.  What each means stands in `child.py` and `parent.py`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.errors import MalformedFrameError
from gateway.model.block import MOST_RAW_BYTES, MOST_RECORDS, Block
from gateway.model.clock import Anchor
from gateway.model.device import DeviceUuid, Document
from gateway.model.log_ports import LogState
from gateway.model.message import Lane, Refusal
from gateway.model.ranges import RangeSet
from gateway.model.reading import Scalar
from gateway.uplink.protocol import fields as f

VERSION = 1
MOST_HEADER_BYTES = 512 * 1024  # a HELLO with 1,000 ended logs takes 150 KiB
MOST_LOGS = 1024
MOST_DOCUMENTS = 256
SLACK_BYTES = 1024  # zlib may lengthen what it cannot compress


@dataclass(frozen=True, slots=True)
class Hello:
    """c→p: who I am, which logs I hold, which commands I have, what I know of time."""

    node: DeviceUuid
    store_id: str
    start: str  # the log of this process start
    boot_id: str
    uptime_ms: int
    wall_ms: int
    logs: tuple[LogState, ...]
    down: Mapping[str, RangeSet] = field(default_factory=dict)
    registers: str = ""  # digest of the documents of all devices this node brought
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Known:
    """What the parent has of one log: its range and the refusals not yet confirmed."""

    ranges: RangeSet
    refused: Mapping[int, Refusal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Credit:
    """How many bytes of blocks may be unanswered, live and history, and how fast history may come."""

    live_bytes: int
    history_bytes: int
    history_bytes_per_s: int


@dataclass(frozen=True, slots=True)
class Welcome:
    """p→c: the session is open under this fence."""

    mesh_id: str
    store_id: str
    fence: int
    wall_ms: int
    uptime_ms: int  # of the HELLO, echoed: the first round trip of the clock offset
    known: Mapping[str, Known]
    credit: Credit
    registers: str = ""
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Registration:
    """One device document with its register: of two writes the higher (counter, writer) wins."""

    uuid: DeviceUuid
    counter: int
    document: Document


@dataclass(frozen=True, slots=True)
class Register:
    """c→p: documents of brought devices; the last part of a whole set carries its digest."""

    devices: tuple[Registration, ...]
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Registered:
    """p→c: the set was applied, except these devices, for these reasons."""

    digest: str
    refused: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BlockFrame:
    """c→p: a sealed block; `prev` is the last number offered before it in the same (log, live|history)."""

    fence: int
    block: Block
    prev: int
    confirm: Mapping[str, RangeSet] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Void:
    """c→p: these numbers will never come."""

    fence: int
    log: str
    ranges: RangeSet
    reason: str


@dataclass(frozen=True, slots=True)
class AnchorFrame:
    """c→p: what a boot's uptime was on the wall."""

    anchor: Anchor


@dataclass(frozen=True, slots=True)
class TakenFrame:
    """p→c: everything in `ranges` is durable here; `is_closed`: the END of the log is too."""

    log: str
    ranges: RangeSet
    refused: Mapping[int, Refusal]
    credit: Credit
    is_closed: bool = False


@dataclass(frozen=True, slots=True)
class Nack:
    """p→c: a block was not taken, through no fault of its own: store | busy | needs | order."""

    log: str
    first: int
    reason: str
    retry_after_ms: int = 0


@dataclass(frozen=True, slots=True)
class End:
    """c→p: a log of an earlier start is over; without device numbers it did not end cleanly."""

    fence: int
    log: str
    last: int
    device_numbers: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Time:
    """c→p with the asker's uptime; p→c the same with the parent's wall time, or `probe` to ask for a sign of life."""

    uptime_ms: int
    wall_ms: int | None = None
    is_probe: bool = False


@dataclass(frozen=True, slots=True)
class CommandFrame:
    """p→c: a command for one store of the child; the deadline is in the parent's wall time."""

    down_log: str
    number: int
    store_id: str
    id: str
    device: DeviceUuid
    actor: DeviceUuid
    action: str
    params: Mapping[str, Scalar]
    deadline_wall_ms: int
    respond_to: object = None


@dataclass(frozen=True, slots=True)
class DownTaken:
    """c→p: these commands are durable here."""

    down_log: str
    ranges: RangeSet


@dataclass(frozen=True, slots=True)
class Join:
    """c→p, once, in a session opened with an invitation's code."""

    node: DeviceUuid
    name: str


@dataclass(frozen=True, slots=True)
class Joined:
    """p→c: welcome; the token is for the next CONNECT."""

    token: str = field(repr=False)
    mesh_id: str
    parent: DeviceUuid


@dataclass(frozen=True, slots=True)
class Refused:
    """p→c: this session ends; duplicate | unknown | version | closed."""

    reason: str
    text: str


Frame = (
    Hello | Welcome | Register | Registered | BlockFrame | Void | AnchorFrame | TakenFrame
    | Nack | End | Time | CommandFrame | DownTaken | Join | Joined | Refused
)  # fmt: skip


def _write_known(known: Known) -> list[Any]:
    return [f.RANGES.write(known.ranges), f.REFUSED.write(known.refused)]


def _read_known(value: Any) -> Known:
    ranges, refused = value
    return Known(f.RANGES.read(ranges), f.REFUSED.read(refused))


def _read_credit(value: Any) -> Credit:
    live, history, rate = (f.COUNT.read(item) for item in value)
    return Credit(live, history, rate)


def _read_registration(value: Any) -> Registration:
    uuid, counter, document = value
    return Registration(f.UUID.read(uuid), f.COUNT.read(counter), f.OBJECT.read(document))


def _write_block(block: Block) -> list[Any]:
    return [
        block.log, block.first, block.last, int(block.lane), block.boot_id, block.crc, block.raw_bytes,
    ]  # fmt: skip


def _read_block(value: Any) -> Block:
    log, first, last, lane, boot_id, crc, raw_bytes = value
    first = f.number(1).read(first)
    return Block(
        f.LOG.read(log), first, f.number(first, first + MOST_RECORDS - 1).read(last), Lane(lane),
        f.NAME.read(boot_id), b"", f.number(0, (1 << 32) - 1).read(crc), f.number(0, MOST_RAW_BYTES).read(raw_bytes),
    )  # fmt: skip


_KNOWN = f.Field(_write_known, _read_known)
_CREDIT = f.Field(lambda c: [c.live_bytes, c.history_bytes, c.history_bytes_per_s], _read_credit)
_REGISTRATION = f.Field(lambda r: [r.uuid, r.counter, r.document], _read_registration)
_BLOCK = f.Field(_write_block, _read_block)

# fmt: off
FRAMES: Mapping[str, tuple[type[Any], Mapping[str, f.Field]]] = {
    "HELLO": (Hello, {"version": f.COUNT, "node": f.UUID, "store_id": f.LOG, "start": f.LOG, "boot_id": f.NAME,
                      "uptime_ms": f.COUNT, "wall_ms": f.COUNT, "logs": f.listed(f.LOG_STATE, MOST_LOGS),
                      "down": f.mapped(f.RANGES, MOST_LOGS), "registers": f.NAME}),
    "WELCOME": (Welcome, {"version": f.COUNT, "mesh_id": f.NAME, "store_id": f.LOG, "fence": f.COUNT,
                          "wall_ms": f.COUNT, "uptime_ms": f.COUNT, "known": f.mapped(_KNOWN, MOST_LOGS),
                          "credit": _CREDIT, "registers": f.NAME}),
    "REGISTER": (Register, {"devices": f.listed(_REGISTRATION, MOST_DOCUMENTS), "digest": f.NAME}),
    "REGISTERED": (Registered, {"digest": f.NAME, "refused": f.mapped(f.NAME, 65536)}),
    "BLOCK": (BlockFrame, {"fence": f.COUNT, "block": _BLOCK, "prev": f.COUNT,
                           "confirm": f.mapped(f.Field(lambda r: [list(s) for s in r.spans],
                                                       lambda v: f.spans(v, f.MOST_REFUSED)), MOST_LOGS)}),
    "VOID": (Void, {"fence": f.COUNT, "log": f.LOG, "ranges": f.RANGES, "reason": f.NAME}),
    "ANCHOR": (AnchorFrame, {"anchor": f.ANCHOR}),
    "TAKEN": (TakenFrame, {"log": f.LOG, "ranges": f.RANGES, "refused": f.REFUSED, "credit": _CREDIT,
                           "is_closed": f.FLAG}),
    "NACK": (Nack, {"log": f.LOG, "first": f.number(1), "reason": f.NAME, "retry_after_ms": f.COUNT}),
    "END": (End, {"fence": f.COUNT, "log": f.LOG, "last": f.COUNT, "device_numbers": f.optional(f.NUMBERS)}),
    "TIME": (Time, {"uptime_ms": f.COUNT, "wall_ms": f.optional(f.COUNT), "is_probe": f.FLAG}),
    "COMMAND": (CommandFrame, {"down_log": f.LOG, "number": f.number(1), "store_id": f.LOG, "id": f.NAME,
                               "device": f.UUID, "actor": f.UUID, "action": f.NAME, "params": f.SCALARS,
                               "deadline_wall_ms": f.COUNT, "respond_to": f.ANYTHING}),
    "DOWNTAKEN": (DownTaken, {"down_log": f.LOG, "ranges": f.RANGES}),
    "JOIN": (Join, {"node": f.UUID, "name": f.NAME}),
    "JOINED": (Joined, {"token": f.NAME, "mesh_id": f.NAME, "parent": f.UUID}),
    "REFUSED": (Refused, {"reason": f.NAME, "text": f.TEXT}),
}
# fmt: on
_NAMES: Mapping[type[Any], str] = {kind: name for name, (kind, _) in FRAMES.items()}


def encode(frame: Frame) -> bytes:
    """Return the bytes of a frame."""
    name = _NAMES[type(frame)]
    header: dict[str, Any] = {"frame": name}
    for key, rule in FRAMES[name][1].items():
        header[key] = rule.write(getattr(frame, key))
    line = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    return line + frame.block.data if isinstance(frame, BlockFrame) else line


def decode(payload: bytes) -> Frame:
    """Return the frame that these bytes are; raises MalformedFrameError (GW-1604) for anything else."""
    cut = payload.find(b"\n", 0, MOST_HEADER_BYTES)
    if cut < 0:
        raise _malformed("it has no header line within its limit")
    try:
        header = json.loads(payload[:cut])
        kind, rules = FRAMES[header["frame"]]
        frame: Frame = kind(**{key: rule.read(header[key]) for key, rule in rules.items()})
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise _malformed(f"{type(error).__name__}: {error}"[:200]) from error
    return _with_raw(frame, payload[cut + 1 :])


def _with_raw(frame: Frame, raw: bytes) -> Frame:
    if not isinstance(frame, BlockFrame):
        if raw:
            raise _malformed("bytes after the header of a frame that carries none")
        return frame
    if len(raw) > MOST_RAW_BYTES + SLACK_BYTES:
        raise _malformed("its block is too large")
    b = frame.block
    block = Block(b.log, b.first, b.last, b.lane, b.boot_id, raw, b.crc, b.raw_bytes)
    return BlockFrame(frame.fence, block, frame.prev, frame.confirm)


def _malformed(why: str) -> MalformedFrameError:
    return MalformedFrameError(
        f"a sync frame cannot be read: {why}",
        code="GW-1604",
        hint="update the older of the two nodes; the frame was dropped and is offered again",
    )
