"""What each of bleak's errors means to a person."""

import pytest
from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakBluetoothNotAvailableReason,
    BleakDBusError,
    BleakError,
)

from gateway.links.ble_bleak import explain
from gateway.links.link import LinkState

Reason = BleakBluetoothNotAvailableReason


@pytest.mark.parametrize(
    ("error", "state", "code"),
    [
        (
            BleakBluetoothNotAvailableError("none", Reason.NO_BLUETOOTH),
            LinkState.MISSING,
            "GW-1212",
        ),
        (BleakError("adapter 'hci7' not found"), LinkState.MISSING, "GW-1212"),
        (BleakBluetoothNotAvailableError("off", Reason.POWERED_OFF), LinkState.WAITING, "GW-1213"),
        (BleakDBusError("org.bluez.Error.NotReady", []), LinkState.WAITING, "GW-1213"),
        (
            BleakBluetoothNotAvailableError("no", Reason.DENIED_BY_SYSTEM),
            LinkState.MISSING,
            "GW-1214",
        ),
        (
            BleakDBusError("org.freedesktop.DBus.Error.ServiceUnknown", []),
            LinkState.MISSING,
            "GW-1214",
        ),
        (ConnectionRefusedError("no bus"), LinkState.MISSING, "GW-1214"),
        (EOFError(), LinkState.MISSING, "GW-1214"),
    ],
)
def test_an_absent_neighbour_is_waited_for_without_climbing_the_ladder(
    error: Exception, state: LinkState, code: str
) -> None:
    fault = explain(error)
    assert (fault.state, fault.error.code, fault.is_counted) == (state, code, False)
    assert fault.error.text
    assert fault.error.hint


@pytest.mark.parametrize(
    "error",
    [
        BleakDBusError("org.bluez.Error.InProgress", ["Operation already in progress"]),
        BleakDBusError("org.bluez.Error.Failed", []),
        TimeoutError(),
    ],
)
def test_an_adapter_that_refuses_counts(error: Exception) -> None:
    fault = explain(error)
    assert (fault.error.code, fault.is_counted) == ("GW-1215", True)
