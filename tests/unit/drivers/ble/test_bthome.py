"""BTHome adverts: repeats, replays, keys and damaged data."""

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from drivers.ble.bthome import DRIVER, V1_ENCRYPTED, V1_PLAIN, V2
from drivers.tables.bthome import OBJECTS
from gateway.driver.contract import Advert
from gateway.model import Event, Reading, Stamp

ADDRESS = "54:48:E6:8F:80:A5"
KEY = bytes(range(16))


def opened(**settings):
    return DRIVER.open(DRIVER.settings(**settings), "ble")


def with_key():
    return opened(bindkeys={ADDRESS.lower(): KEY.hex()})


def advert(data, uuid=V2):
    return Advert(ADDRESS, -60, {uuid: data}, {})


def heard(codec, data, at_ms=0, uuid=V2):
    said = codec.feed(advert(data, uuid), Stamp("boot-1", at_ms))
    return {r.quantity: r.value for r in said if isinstance(r, Reading)}


def encrypted(payload, counter):
    count = counter.to_bytes(4, "little")
    nonce = bytes.fromhex(ADDRESS.replace(":", "")) + b"\xd2\xfc\x41" + count
    sealed = AESCCM(KEY, tag_length=4).encrypt(nonce, payload, None)
    return b"\x41" + sealed[:-4] + count + sealed[-4:]


def test_a_packet_heard_again_says_nothing():
    codec = opened()
    assert heard(codec, bytes.fromhex("4000070164"), 0) == {"packet_id": 7, "battery": 100}
    assert heard(codec, bytes.fromhex("4000070164"), 900) == {}
    assert heard(codec, bytes.fromhex("4000080163"), 1000)["battery"] == 99
    assert heard(codec, bytes.fromhex("4000070164"), 1100) == {}  # overtaken on its way
    assert codec.counters["repeated"] == 2


def test_the_same_packet_id_much_later_is_a_new_packet():
    codec = opened()
    heard(codec, bytes.fromhex("4000070164"), 0)
    assert heard(codec, bytes.fromhex("4000070163"), 10_000) == {"packet_id": 7, "battery": 99}


def test_several_of_a_kind_are_numbered_and_a_flag_of_the_same_name_is_a_state():
    assert heard(opened(), bytes.fromhex("40" "0164" "02ca09" "020a00" "1501")) == {
        "battery": 100,
        "temperature_1": 25.06,
        "temperature_2": 0.1,
        "battery_state": True,
    }  # fmt: skip


def test_an_unpressed_button_of_several_is_no_event():
    said = opened().feed(advert(bytes.fromhex("403a003a04")), Stamp("b", 0))
    assert said == [Event(f"ble:{ADDRESS}", "button_2_long_press", Stamp("b", 0))]


def test_the_address_in_the_advert_is_the_device():
    (reading,) = opened().feed(advert(bytes.fromhex("42a5808fe648540164")), Stamp("b", 0))
    assert reading.hardware_id == "ble:54:48:E6:8F:80:A5"


def test_an_encrypted_advert_needs_the_key():
    data = encrypted(bytes.fromhex("02ca09"), 500)
    assert heard(opened(), data) == {}
    codec = with_key()
    assert heard(codec, data) == {"temperature": 25.06}


def test_an_equal_counter_is_a_repeat_and_a_lower_one_a_replay():
    codec = with_key()
    assert heard(codec, encrypted(b"\x01\x64", 500))
    assert heard(codec, encrypted(b"\x01\x64", 500)) == {}
    assert heard(codec, encrypted(b"\x01\x63", 499)) == {}
    assert heard(codec, encrypted(b"\x01\x62", 501)) == {"battery": 98}
    assert (codec.counters["repeated"], codec.counters["replayed"]) == (1, 1)


def test_a_new_battery_lets_the_counter_begin_again():
    codec = with_key()
    heard(codec, encrypted(b"\x01\x64", 500))
    assert heard(codec, encrypted(b"\x01\x63", 1)) == {"battery": 99}


def test_a_forged_advert_does_not_move_the_counter():
    codec = with_key()
    forged = bytearray(encrypted(b"\x01\x64", 1 << 31))
    forged[1] ^= 1
    assert heard(codec, bytes(forged)) == {}
    assert heard(codec, encrypted(b"\x01\x64", 5)) == {"battery": 100}


@pytest.mark.parametrize("uuid", [V1_PLAIN, V2])
def test_plain_text_of_a_sensor_with_a_key_is_not_believed(uuid):
    codec = with_key()
    data = bytes.fromhex("0201ff64") if uuid == V1_PLAIN else bytes.fromhex("400164")
    assert heard(codec, data, uuid=uuid) == {}
    assert codec.counters["downgraded"] == 1


def test_a_key_of_the_wrong_shape_is_no_key_and_is_never_shown():
    settings = DRIVER.settings(bindkeys={ADDRESS: "not a key, but secret"})
    assert "secret" not in repr(settings)
    assert heard(DRIVER.open(settings, "ble"), bytes.fromhex("400164")) == {"battery": 100}
    with pytest.raises(ValidationError):
        DRIVER.settings(bindkeys={"somewhere": KEY.hex()})


def test_objects_before_an_unknown_one_are_kept():
    codec = opened()
    assert heard(codec, bytes.fromhex("400164ee0102")) == {"battery": 100}
    assert codec.counters["garbled"] == 1


def test_a_floating_number_of_version_1_is_read():
    assert heard(opened(), bytes.fromhex("4302004d"), uuid=V1_PLAIN) == {"temperature": 0.2}


@pytest.mark.parametrize("number", sorted(OBJECTS))
def test_every_object_id_can_be_read(number):
    size = OBJECTS[number].size
    data = bytes([0x40, number]) + (b"\x02ab" if size == 0 else b"\x01" + bytes(size - 1))
    assert len(opened().feed(advert(data), Stamp("b", 0))) == 1


@given(st.binary(max_size=40), st.sampled_from([V1_PLAIN, V1_ENCRYPTED, V2]), st.booleans())
def test_garbage_never_raises(data, uuid, has_key):
    codec = with_key() if has_key else opened()
    codec.feed(advert(data, uuid), Stamp("b", 0))
    codec.feed(advert(b"\x40" + data, V2), Stamp("b", 9999))
