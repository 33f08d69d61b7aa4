"""Every frame survives its own bytes, and nothing else is taken for one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import MalformedFrameError
from gateway.model import Anchor, Lane, RangeSet, Refusal
from gateway.model.block import seal
from gateway.model.log_ports import LogState
from gateway.uplink.protocol import frames as fr

NODE = "00000000-0000-4000-8000-000000000001"
LOG = "a" * 32
CREDIT = fr.Credit(1, 2, 3)
BLOCK = seal(LOG, 5, Lane.NORMAL, "boot", [b"event\tx\t1\t1\t\t{}\n"] * 3)
SAMPLES = [
    fr.Hello(
        NODE, LOG, LOG, "boot", 1, 2,
        (LogState(LOG, 1, 9, True, 7, {NODE: 4}), LogState("b" * 32, 3, 4, False, 0)),
        {LOG: RangeSet.of([(1, 3)])}, "digest",
    ),
    fr.Welcome("mesh", LOG, 3, 4, 5, {LOG: fr.Known(RangeSet.of([(1, 2)]), {2: Refusal.EXPIRED})}, CREDIT),
    fr.Register((fr.Registration(NODE, 3, {"uuid": NODE, "name": "é"}),), "d"),
    fr.Registered("d", {NODE: "not_yours"}),
    fr.BlockFrame(3, BLOCK, 4, {LOG: RangeSet.of([(2, 2)])}),
    fr.Void(3, LOG, RangeSet.of([(1, 9)]), "evicted"),
    fr.AnchorFrame(Anchor("boot", 1, 2, 3)),
    fr.TakenFrame(LOG, RangeSet.of([(1, 7)]), {6: Refusal.NOT_YOURS}, CREDIT, is_closed=True),
    fr.Nack(LOG, 5, "store", 2000),
    fr.End(3, LOG, 9, {NODE: 4}),
    fr.End(3, LOG, 9),
    fr.Time(1, 2), fr.Time(1, is_probe=True),
    fr.CommandFrame(LOG, 1, LOG, "c1", NODE, NODE, "set", {"on": True, "level": 0.5}, 99, {"a": 1}),
    fr.DownTaken(LOG, RangeSet.of([(1, 1)])),
    fr.Join(NODE, "edge"), fr.Joined("t" * 40, "mesh", NODE), fr.Refused("duplicate", "two of them"),
]  # fmt: skip


@pytest.mark.parametrize("frame", SAMPLES, ids=lambda frame: type(frame).__name__)
def test_a_frame_survives_its_bytes(frame):
    assert fr.decode(fr.encode(frame)) == frame


def test_every_kind_of_frame_has_a_sample():
    assert {type(sample) for sample in SAMPLES} == {kind for kind, _ in fr.FRAMES.values()}


@given(st.binary(max_size=400))
def test_garbage_raises_nothing_but_malformed_frame(data):
    for payload in (data, data + b"\n", b'{"frame":"BLOCK"}\n' + data):
        with pytest.raises(MalformedFrameError):
            fr.decode(payload)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@given(st.sampled_from(SAMPLES), st.data())
def test_a_frame_with_one_field_spoilt_is_read_or_malformed(sample, data):
    head, _, raw = fr.encode(sample).partition(b"\n")
    header = json.loads(head)
    field = data.draw(st.sampled_from(sorted(set(header) - {"frame"})))
    header[field] = data.draw(json_values)
    try:
        frame = fr.decode(json.dumps(header).encode() + b"\n" + raw)
    except MalformedFrameError:
        return
    assert type(frame) is type(sample)


def test_more_ranges_than_allowed_are_cut_to_a_true_part():
    ranges = RangeSet.of((n * 2, n * 2) for n in range(1, 100))
    frame = fr.decode(fr.encode(fr.TakenFrame(LOG, ranges, {}, CREDIT)))
    assert isinstance(frame, fr.TakenFrame)
    assert frame.ranges.spans == ranges.spans[:64]


def test_a_frame_without_a_block_carries_no_bytes_behind_its_header():
    with pytest.raises(MalformedFrameError, match="bytes after"):
        fr.decode(fr.encode(fr.Time(1)) + b"x")


def test_a_token_is_not_shown():
    assert "ttt" not in repr(fr.Joined("t" * 40, "mesh", NODE))
