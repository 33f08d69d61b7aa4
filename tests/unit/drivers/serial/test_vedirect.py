"""Blocks whose bytes sum to zero are taken; their last byte may be anything."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.serial.vedirect import DRIVER
from drivers.tables.vedirect import LABELS
from gateway.model import Stamp

AT = Stamp("boot-1", 1000)


def opened():
    return DRIVER.open(DRIVER.settings(), "serial:solar")


def block(fields):
    body = b"".join(b"\r\n%s\t%s" % (k.encode(), v.encode()) for k, v in fields.items())
    body += b"\r\nChecksum\t"
    return body + bytes([-sum(body) % 256])


def values(codec, data):
    return {r.quantity: r.value for r in codec.feed(data, AT)}


def block_that_ends_in(byte):
    for number in range(10_000):
        made = block({"V": "12000", "P": str(number), "SER#": "A" * (number % 20)})
        if made[-1] == byte:
            return made
    raise AssertionError(byte)


@pytest.mark.parametrize("byte", [0x0A, 0x0D, 0x09, 0x3A, 0x00, 0xFF])
def test_the_checksum_byte_may_be_any_byte(byte):
    codec = opened()
    for _ in range(2):
        assert values(codec, block_that_ends_in(byte))["voltage"] == 12.0
    assert codec.counters == {"good": 2, "garbled": 0}


def test_one_wrong_byte_drops_the_block_but_not_the_next():
    codec = opened()
    damaged = bytearray(block({"V": "12000"}))
    damaged[6] ^= 1
    assert values(codec, bytes(damaged)) == {}
    assert values(codec, block({"V": "12001"})) == {"voltage": 12.001}
    assert codec.counters == {"good": 1, "garbled": 1}


def test_a_block_joined_in_its_middle_is_dropped():
    codec = opened()
    assert values(codec, block({"V": "12000", "I": "5"})[4:]) == {}
    assert values(codec, block({"V": "12001"})) == {"voltage": 12.001}


@given(st.integers(0, 60))
def test_a_hex_message_between_any_two_bytes_changes_nothing(place):
    data = block({"PID": "0x203", "V": "12065", "I": "-7625", "SOC": "839"})
    place = min(place, len(data) - 1)
    cut = data[:place] + b":7F0ED009600DB\n" + data[place:]
    if place != len(data) - 1:  # there the byte after the tab is the checksum, whatever it is
        assert values(opened(), cut) == values(opened(), data)


def test_what_never_changes_is_told_once():
    codec = opened()
    assert values(codec, block({"PID": "0x203", "V": "1"})) == {
        "product_id": "0x203",
        "voltage": 0.001,
    }
    assert values(codec, block({"PID": "0x203", "V": "1"})) == {"voltage": 0.001}
    assert values(codec, block({"PID": "0x204", "V": "1"}))["product_id"] == "0x204"


def test_what_the_device_does_not_know_is_left_out():
    fields = {
        "T": "---",
        "TTG": "-1",
        "Relay": "?",
        "CS": "x",
        "OR": "0xZZ",
        "V": "",
        "P": "-5",
        "NEW": "1",
    }
    assert values(opened(), block(fields)) == {"power": -5}


def test_codes_become_words_where_the_table_has_them():
    got = values(opened(), block({"CS": "5", "MPPT": "9", "OR": "0x00000081"}))
    assert got == {"operation": "float", "tracker": "code_9", "off_reason": 129}


@given(
    st.dictionaries(
        st.sampled_from(sorted(k.decode() for k in LABELS)),
        st.text("-0123456789abXON.", max_size=12),
    )
)
def test_no_value_of_a_known_label_raises(fields):
    opened().feed(block(fields), AT)


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_any_cut_gives_the_same(chunks):
    data = block({"V": "1", "I": "2"})
    stream = b"".join(chunks) + data + data
    whole, cut = opened(), opened()
    expected = list(whole.feed(stream, AT))
    assert [r for b in stream for r in cut.feed(bytes([b]), AT)] == expected
