"""JSON lines become readings; commands become lines, and answers results."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.serial.line_json import DRIVER, MOST_WAITING
from gateway.errors import UnsupportedCommandError
from gateway.model import Command, CommandResult, DeviceUuid, HardwareId, Outcome, Reading, Stamp

AT = Stamp("boot-1", 1000)
ORIGIN = "serial:usb-Board_1"


def opened(**settings):
    return DRIVER.open(DRIVER.settings(**settings), ORIGIN)


def command(number=1, action="set", **params):
    return Command(f"c-{number}", DeviceUuid("d"), DeviceUuid("a"), action, params, 9000)


def test_numbers_flags_and_words_become_readings_and_one_level_is_flattened():
    line = b'{"temperature":21.5,"door":true,"state":"ok","env":{"h":48,"deep":{"x":1}},"gone":null,"list":[1]}\n'
    assert [(r.hardware_id, r.quantity, r.value, r.unit) for r in opened().feed(line, AT)] == [
        (ORIGIN, "temperature", 21.5, "Cel"),
        (ORIGIN, "door", True, ""),
        (ORIGIN, "state", "ok", ""),
        (ORIGIN, "env_h", 48, "%RH"),
    ]


def test_devices_behind_one_port_are_told_apart():
    codec = opened(id_key="node")
    said = codec.feed(b'{"node":"a","t":1}\n{"node":7,"t":2}\n{"t":3}\n', AT)
    assert [r.hardware_id for r in said] == [f"{ORIGIN}/a", f"{ORIGIN}/7", ORIGIN]


@pytest.mark.parametrize(
    "line",
    [b"hello", b"[1]", b"5", b'{"t":', b"\xff\xfe", b'{"id":null,"t":1}', b'{"id":"\\ud800","t":1}', b"[" * 3000,
     b'{"cmd":1,"ok":true}'],
)  # fmt: skip
def test_anything_else_is_counted_and_dropped(line):
    codec = opened()
    assert codec.feed(line + b'\n{"t":1}\n', AT) == [Reading(HardwareId(ORIGIN), "t", 1, "Cel", AT)]
    assert codec.counters["garbled"] == 1
    assert codec.counters["good"] == 1


@pytest.mark.parametrize(
    "value", [b"NaN", b"Infinity", b"1e999", b"9223372036854775808", b'"\\udc00"']
)
def test_values_that_json_cannot_carry_on_are_left_out(value):
    assert opened().feed(b'{"a":%s,"b":1}\n' % value, AT) == [
        Reading(HardwareId(ORIGIN), "b", 1, "", AT)
    ]


@given(st.binary(max_size=300))
def test_garbage_never_raises(data):
    opened().feed(data + b"\n", AT)


@given(st.dictionaries(st.text(max_size=8), st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=8),
       lambda inner: st.dictionaries(st.text(max_size=4), inner, max_size=3), max_leaves=6), max_size=6))  # fmt: skip
def test_any_object_gives_readings_that_can_be_written_again(value):
    for reading in opened().feed(json.dumps(value).encode() + b"\n", AT):
        json.dumps({reading.quantity: reading.value}, allow_nan=False, ensure_ascii=False).encode()


def test_a_command_is_a_line_and_its_answer_its_result():
    codec = opened()
    request = codec.encode_to(HardwareId(f"{ORIGIN}/pump"), command(valve=True))
    assert json.loads(request.data) == {"id": "pump", "cmd": 1, "set": {"valve": True}}
    assert request.expects_answer
    assert request.command_id == "c-1"
    assert codec.feed(b'{"cmd":1,"id":"pump","ok":true,"valve":true}\n', AT) == [
        CommandResult("c-1", Outcome.DONE, "", {"valve": True})
    ]


def test_a_device_may_refuse_and_say_why():
    codec = opened()
    codec.encode(command(valve=True))
    (result,) = codec.feed(b'{"cmd":1,"error":"stuck"}\n', AT)
    assert result == CommandResult("c-1", Outcome.REFUSED, "stuck")


def test_an_answer_counts_once():
    codec = opened()
    codec.encode(command())
    assert codec.feed(b'{"cmd":1}\n', AT)
    assert codec.feed(b'{"cmd":1}\n', AT) == []


def test_the_oldest_of_too_many_waiting_commands_is_forgotten():
    codec = opened()
    for number in range(MOST_WAITING + 1):
        codec.encode(command(number))
    assert codec.feed(b'{"cmd":1}\n', AT) == []
    assert codec.feed(b'{"cmd":2}\n', AT) == [CommandResult("c-1", Outcome.DONE)]


@pytest.mark.parametrize("action", ["cmd", "id", "", "two words", 'a"b'])
def test_words_that_mean_something_else_are_no_commands(action):
    with pytest.raises(UnsupportedCommandError):
        opened().encode(command(action=action))


def test_a_device_that_does_not_answer_is_not_waited_for():
    assert not opened(answers_commands=False).encode(command()).expects_answer
