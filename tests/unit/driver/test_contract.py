"""Optional abilities of codecs are found by shape."""

from drivers.ble.ruuvi import DRIVER as RUUVI
from drivers.serial.line_json import DRIVER as LINE_JSON
from gateway.driver.contract import Addressed, counters_of


class Plain:
    """Counts nothing."""

    def feed(self, item, at):
        return []

    def poll(self):
        return None

    def encode(self, command):
        raise AssertionError


def test_a_codec_with_several_devices_is_addressed():
    assert isinstance(LINE_JSON.open(LINE_JSON.settings(), "o"), Addressed)
    assert not isinstance(RUUVI.open(RUUVI.settings(), "o"), Addressed)


def test_counters_are_optional():
    assert counters_of(Plain()) == {}
    assert counters_of(RUUVI.open(RUUVI.settings(), "o")) == {"good": 0, "garbled": 0}
