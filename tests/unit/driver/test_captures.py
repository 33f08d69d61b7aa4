"""Capture records are read, or refused with what is wrong."""

import pytest

from gateway.driver.captures import parsed
from gateway.driver.contract import Advert, LinkKind
from gateway.errors import MalformedFrameError


def test_a_serial_record_is_bytes():
    capture = parsed({"id": "a", "driver": "vedirect", "hex": "0d0a", "readings": {"v": [1, "V"]}})
    assert (capture.link, capture.item) == (LinkKind.SERIAL, b"\r\n")
    assert capture.readings == {"v": (1, "V")}


def test_an_advert_record_is_an_advert_and_its_bindkey_becomes_a_setting():
    capture = parsed(
        {"decoder": "bthome-ble", "address": "aa:bb:cc:dd:ee:ff", "service_data": {"FCD2": "40"},
         "bindkey": "00" * 16, "rssi": -70}
    )  # fmt: skip
    assert capture.driver == "bthome"
    assert capture.item == Advert("AA:BB:CC:DD:EE:FF", -70, {"fcd2": b"\x40"}, {})
    assert capture.settings == {"bindkeys": {"aa:bb:cc:dd:ee:ff": "00" * 16}}


@pytest.mark.parametrize(
    "record",
    [None, [], {}, {"hex": 5}, {"hex": "xy"}, {"hex": "00", "readings": {"v": 1}}, {"hex": "00", "settings": 3},
     {"address": "x", "service_data": []}, {"address": "x", "manufacturer_data": {"a": "00"}}],
)  # fmt: skip
def test_anything_else_is_refused(record):
    with pytest.raises(MalformedFrameError) as caught:
        parsed(record)
    assert caught.value.code == "GW-1709"
