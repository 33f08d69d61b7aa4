"""WebSocket frames: what a client may send in any cut, what it may not, and what a server says."""

import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection as Peer
from wsproto.connection import ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong

from gateway.broker.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    FrameReader,
    close_code,
    close_frame,
    frame,
    unmasked,
)


def masked(kind: int, payload: bytes, *, final: bool = True, mask: bytes | None = None) -> bytes:
    """Return a frame as a client sends it."""
    size, key = len(payload), os.urandom(4) if mask is None else mask
    said = size if size < 126 else 126 if size < 65_536 else 127
    head = bytes(((0x80 if final else 0) | kind, 0x80 | said))
    head += {126: struct.pack("!H", size & 0xFFFF), 127: struct.pack("!Q", size)}.get(said, b"")
    return head + key + bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))


def data_of(events: list[tuple[int, bytes]]) -> bytes:
    return b"".join(payload for kind, payload in events if kind == BINARY)


@pytest.mark.parametrize("size", [0, 1, 3, 4, 125, 126, 127, 65_535, 65_536, 70_001])
def test_a_frame_of_any_size_is_read(size):
    payload = os.urandom(size)
    reader = FrameReader()
    events = reader.feed(masked(BINARY, payload) + masked(PING, b"end"))
    assert data_of(events) == payload
    assert events[-1] == (PING, b"end")
    assert reader.broken is None


frames = st.lists(
    st.one_of(
        st.tuples(st.just(BINARY), st.binary(max_size=200)),
        st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125)),
    ),
    max_size=6,
)


@given(frames, st.lists(st.integers(1, 60), max_size=40))
def test_any_cut_gives_the_same(sent, sizes):
    stream = b"".join(masked(kind, payload) for kind, payload in sent)
    reader, events = FrameReader(), []
    for size in [*sizes, len(stream) + 1]:
        events += reader.feed(stream[:size])
        stream = stream[size:]
    assert data_of(events) == data_of(sent)
    assert [event for event in events if event[0] != BINARY] == [
        event for event in sent if event[0] != BINARY
    ]
    assert reader.broken is None


@given(st.lists(st.binary(max_size=30), min_size=2, max_size=5))
def test_a_message_in_pieces_may_have_control_frames_between(pieces):
    stream = masked(BINARY, pieces[0], final=False)
    for piece in pieces[1:-1]:
        stream += masked(PING, b"between") + masked(CONTINUATION, piece, final=False)
    stream += masked(CONTINUATION, pieces[-1]) + masked(BINARY, b"next")
    reader = FrameReader()
    assert data_of(reader.feed(stream)) == b"".join(pieces) + b"next"
    assert reader.broken is None


def test_a_frame_that_claims_to_be_huge_is_not_collected():
    reader = FrameReader()
    head = b"\x82\xff" + struct.pack("!Q", 1 << 62) + b"\0\0\0\0"
    assert reader.feed(head) == []
    for _ in range(100):
        assert reader.feed(b"x" * 1000) == [(BINARY, b"x" * 1000)]
    assert reader._tail == b""


WRONG = {
    "without a mask": frame(BINARY, b"abc"),
    "a reserved bit": b"\xc2" + masked(BINARY, b"a")[1:],
    "an unknown kind": masked(0x3, b"a"),
    "an unknown control kind": masked(0xB, b"a"),
    "the rest of nothing": masked(CONTINUATION, b"a"),
    "a message within another": masked(BINARY, b"a", final=False) + masked(BINARY, b"b"),
    "a text within another": masked(BINARY, b"a", final=False) + masked(TEXT, b"b"),
    "a ping in pieces": masked(PING, b"a", final=False),
    "a ping too long": b"\x89\xfe\x00\x80" + bytes(4 + 128),
    "two bytes for a small size": b"\x82\xfe\x00\x01\0\0\0\0a",
    "eight bytes for a small size": b"\x82\xff" + struct.pack("!Q", 65_535) + bytes(8),
    "a negative size": b"\x82\xff\x80" + bytes(11),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("is_cut", [True, False])
def test_what_breaks_the_rules_ends_it_after_what_came_before(name, is_cut):
    reader, stream = FrameReader(), masked(BINARY, b"good") + WRONG[name]
    pieces = [bytes((byte,)) for byte in stream] if is_cut else [stream]
    events = [event for piece in pieces if reader.broken is None for event in reader.feed(piece)]
    assert data_of(events).startswith(b"good")
    assert reader.broken is not None
    assert reader.broken.code == 1002


@given(st.lists(st.binary(max_size=80), max_size=20))
def test_any_bytes_are_read_or_refused(pieces):
    reader = FrameReader()
    for piece in pieces:
        if reader.broken is not None:
            break
        reader.feed(piece)
        assert len(reader._tail) < 140


@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4))
def test_a_mask_is_taken_off(data, mask):
    assert unmasked(bytes(b ^ mask[i % 4] for i, b in enumerate(data)), mask) == data


# ---- what the server says, read by wsproto ----


def read(data: bytes) -> list[object]:
    peer = Peer(ConnectionType.CLIENT)
    peer.receive_data(data)
    return list(peer.events())


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_a_frame_of_ours_is_one_whole_message(size):
    payload = os.urandom(size)
    (event,) = read(frame(BINARY, payload))
    assert isinstance(event, BytesMessage)
    assert (bytes(event.data), event.frame_finished, event.message_finished) == (
        payload,
        True,
        True,
    )


def test_pings_and_pongs_are_read_by_others():
    ping, pong = read(frame(PING, b"a") + frame(PONG, b"b"))
    assert (ping, pong) == (Ping(b"a"), Pong(b"b"))


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (1000, "", CloseConnection(1000, "")),
        (1003, "no text", CloseConnection(1003, "no text")),
        (1002, "ä" * 100, CloseConnection(1002, "ä" * 61)),
    ],
)
def test_a_close_frame_says_why(code, reason, expected):
    (event,) = read(close_frame(code, reason))
    assert (event.code, event.reason or "") == (expected.code, expected.reason)


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", 1005),
        (b"\x03\xe8", 1000),
        (b"\x03\xe9leaving", 1001),
        (b"\x0f\xa0", 4000),
        (b"\x03", 1002),
        (b"\x03\xed", 1002),  # 1005 is never sent
        (b"\x00\x01", 1002),
        (b"\x03\xe8\xff", 1007),
    ],
)
def test_a_close_frame_is_answered_with_its_code_or_with_what_is_wrong(payload, code):
    assert close_code(payload) == code


def test_a_close_without_a_code_is_answered_without_one():
    assert close_frame(close_code(b"")) == bytes((0x80 | CLOSE, 0))
