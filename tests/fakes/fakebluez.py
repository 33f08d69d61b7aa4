"""org.bluez as far as a scanner sees it: real D-Bus messages, no radio, spoken to by an unmodified bleak.

It imitates what BlueZ does and traps clients with: properties that are unset are left out; manufacturer and service data
accumulate, unless a scanner asked for DuplicateData; equal data is not signalled again; small changes of RSSI neither;
RSSI goes when the scan ends; a restart of the daemon ends every scan without a word.  Method calls are answered by raw
messages, because a declared D-Bus interface can't leave a property out.
"""

from collections.abc import Mapping
from typing import Any

from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from tests.fakes.bluez_values import ACCUMULATED, Properties, new_device, variants

ADAPTER = "org.bluez.Adapter1"
DEVICE = "org.bluez.Device1"
MONITORS = "org.bluez.AdvertisementMonitorManager1"
OBJECTS = "org.freedesktop.DBus.ObjectManager"
PROPERTIES = "org.freedesktop.DBus.Properties"
BUS = "org.freedesktop.DBus"

LEAST_RSSI_CHANGE_DB = 8
SIGNALS_PER_ROUND_TRIP = (
    64  # some 20 KB: far from filling a socket, which kills a dbus-fast connection
)


class RefusalError(Exception):
    """The error reply to a method call."""

    def __init__(self, name: str, text: str = "") -> None:
        super().__init__(text or name)
        self.name = name if "." in name else f"org.bluez.Error.{name}"


class FakeBlueZ:
    """A daemon with adapters; `calls` lists every method it was asked for."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Properties]] = {}
        self.calls: list[str] = []
        self.refusals: dict[
            str, list[RefusalError]
        ] = {}  # method -> what its next calls are answered
        self._scans: dict[str, set[str]] = {}  # adapter -> who scans
        self._monitors: set[tuple[str, str]] = set()  # (who, adapter): passive scans
        self._duplicates: set[str] = set()  # who wants equal data again
        self._bus: Any = None
        self._unread = 0
        self._methods = {
            (OBJECTS, "GetManagedObjects"): self._get_managed_objects,
            (PROPERTIES, "Set"): self._set,
            (ADAPTER, "SetDiscoveryFilter"): self._set_filter,
            (ADAPTER, "StartDiscovery"): self._start_discovery,
            (ADAPTER, "StopDiscovery"): self._stop_discovery,
            (MONITORS, "RegisterMonitor"): self._register_monitor,
            (MONITORS, "UnregisterMonitor"): self._unregister_monitor,
            (DEVICE, "Connect"): self._connect,
            (DEVICE, "Disconnect"): self._disconnect,
        }

    async def start(self) -> "FakeBlueZ":
        """Take the name org.bluez."""
        self._bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
        self._bus.add_message_handler(self._on_message)
        await self._bus.call(
            Message(
                destination=BUS,
                path="/org/freedesktop/DBus",
                interface=BUS,
                member="AddMatch",
                signature="s",
                body=[f"type='signal',sender='{BUS}',member='NameOwnerChanged'"],
            )
        )
        await self._bus.request_name("org.bluez")
        return self

    async def stop(self) -> None:
        """Leave the bus, as a daemon that is killed."""
        self._bus.disconnect()
        await self._bus.wait_for_disconnect()

    # --- what a test does ----------------------------------------------------------------------

    async def add_adapter(self, name: str = "hci0", *, powered: bool = True) -> str:
        """Plug an adapter in; returns its path."""
        path = f"/org/bluez/{name}"
        self.objects[path] = {
            ADAPTER: {
                "Address": "00:00:5E:00:53:01",
                "AddressType": "public",
                "Alias": "fake",
                "Discovering": False,
                "Powered": powered,
                "Roles": ["central"],
                "UUIDs": [],
            },
            MONITORS: {"SupportedMonitorTypes": ["or_patterns"]},
        }
        await self._signal_added(path)
        return path

    async def remove(self, path: str) -> None:
        """Unplug an adapter, or forget a device."""
        below = sorted(p for p in self.objects if p == path or p.startswith(f"{path}/"))
        for gone in reversed(below):
            faces = list(self.objects.pop(gone))
            await self._signal("/", OBJECTS, "InterfacesRemoved", "oas", [gone, faces])
        self._scans.pop(path, None)
        self._monitors = {one for one in self._monitors if one[1] != path}

    async def advertise(
        self,
        address: str,
        *,
        manufacturer: Mapping[int, bytes] | None = None,
        service: Mapping[str, bytes] | None = None,
        rssi: int = -60,
        name: str = "",
        adapter: str = "/org/bluez/hci0",
    ) -> bool:
        """One advert reaches the radio; returns whether it was signalled.

        Paced: a feeder that just sends fills its socket, and dbus-fast then drops the connection.
        """
        if not self.is_scanning(adapter):
            return False
        heard: Properties = {"RSSI": rssi}
        heard |= {"ManufacturerData": dict(manufacturer)} if manufacturer else {}
        heard |= {"ServiceData": dict(service)} if service else {}
        heard |= {"Name": name} if name else {}
        path = f"{adapter}/dev_{address.replace(':', '_')}"
        if path not in self.objects:
            self.objects[path] = {DEVICE: new_device(address, adapter) | heard}
            await self._signal_added(path)
            return True
        changed = self._changes(self.objects[path][DEVICE], heard, adapter)
        if changed:
            await self.change(path, DEVICE, changed)
        return bool(changed)

    def is_scanning(self, adapter: str = "/org/bluez/hci0") -> bool:
        """Return whether anybody listens."""
        return bool(self._scans.get(adapter)) or any(one[1] == adapter for one in self._monitors)

    async def change(
        self, path: str, face: str, changed: Properties, gone: tuple[str, ...] = ()
    ) -> None:
        """Change properties of an object and signal it."""
        lost = self._change(path, face, changed, gone)
        body = [face, variants(changed), lost]
        await self._signal(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", body)

    async def signal_garbage(self, path: str) -> None:
        """Signal manufacturer data of a wrong type, as another BlueZ imitation does."""
        wrong = {"ManufacturerData": Variant("aa{sv}", [{"x": Variant("s", "y")}])}
        await self._signal(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", [DEVICE, wrong, []])

    # --- how BlueZ thinks ----------------------------------------------------------------------

    def _changes(self, known: Properties, heard: Properties, adapter: str) -> Properties:
        duplicates = bool(self._scans.get(adapter, set()) & self._duplicates)
        changed: Properties = {}
        for name, value in heard.items():
            if name in ACCUMULATED:
                merged = dict(value) if duplicates else known.get(name, {}) | value
                if duplicates or merged != known.get(name):
                    changed[name] = merged
            elif name == "RSSI":
                if abs(known.get("RSSI", 0) - value) >= LEAST_RSSI_CHANGE_DB:
                    changed[name] = value
            elif known.get(name) != value:
                changed[name] = value
        return changed

    async def _signal_added(self, path: str) -> None:
        faces = {face: variants(properties) for face, properties in self.objects[path].items()}
        await self._signal("/", OBJECTS, "InterfacesAdded", "oa{sa{sv}}", [path, faces])

    async def _signal(
        self, path: str, face: str, member: str, signature: str, body: list[Any]
    ) -> None:
        """Send a signal, and now and then ask the bus a question: its answer means that all before was read."""
        self._send(path, face, member, signature, body)
        self._unread += 1
        if self._unread >= SIGNALS_PER_ROUND_TRIP:
            self._unread = 0
            await self._bus.call(
                Message(
                    destination=BUS, path="/org/freedesktop/DBus", interface=BUS, member="GetId"
                )
            )

    def _send(self, path: str, face: str, member: str, signature: str, body: list[Any]) -> None:
        self._bus.send(
            Message(
                message_type=MessageType.SIGNAL,
                path=path,
                interface=face,
                member=member,
                signature=signature,
                body=body,
            )
        )

    def _on_message(self, message: Message) -> Message | bool | None:
        if message.message_type is MessageType.SIGNAL and message.member == "NameOwnerChanged":
            if not message.body[2]:
                self._forget_client(message.body[0])
            return None
        if message.message_type is not MessageType.METHOD_CALL:
            return None
        self.calls.append(message.member or "")
        try:
            signature, body = self._answer(message)
        except RefusalError as refusal:
            return Message.new_error(message, refusal.name, str(refusal))
        return Message.new_method_return(message, signature, body)

    def _answer(self, message: Message) -> tuple[str, list[Any]]:
        if waiting := self.refusals.get(message.member or ""):
            raise waiting.pop(0)
        if message.path != "/" and message.path not in self.objects:
            raise RefusalError(f"{BUS}.Error.UnknownObject", f"no object {message.path}")
        method = self._methods.get((message.interface or "", message.member or ""))
        if method is None:
            raise RefusalError(
                f"{BUS}.Error.UnknownMethod", f"{message.interface}.{message.member}"
            )
        return method(message) or ("", [])

    def _forget_client(self, client: str) -> None:
        for adapter in list(self._scans):
            self._end_scan(adapter, client)
        self._monitors = {one for one in self._monitors if one[0] != client}

    # --- methods -------------------------------------------------------------------------------

    def _get_managed_objects(self, message: Message) -> tuple[str, list[Any]]:
        return "a{oa{sa{sv}}}", [
            {
                path: {face: variants(properties) for face, properties in faces.items()}
                for path, faces in self.objects.items()
            }
        ]

    def _set(self, message: Message) -> None:
        face, name, value = message.body
        self._change_now(message.path or "", face, {name: value.value})

    def _set_filter(self, message: Message) -> None:
        wanted = message.body[0].get("DuplicateData")
        if wanted is not None and wanted.value:
            self._duplicates.add(message.sender or "")
        else:
            self._duplicates.discard(message.sender or "")

    def _start_discovery(self, message: Message) -> None:
        adapter, client = message.path or "", message.sender or ""
        if not self.objects[adapter][ADAPTER]["Powered"]:
            raise RefusalError("NotReady", "Resource Not Ready")
        scans = self._scans.setdefault(adapter, set())
        if client in scans:
            raise RefusalError("InProgress", "Operation already in progress")
        scans.add(client)
        self._change_now(adapter, ADAPTER, {"Discovering": True})

    def _stop_discovery(self, message: Message) -> None:
        adapter, client = message.path or "", message.sender or ""
        if client not in self._scans.get(adapter, ()):
            raise RefusalError("Failed", "No discovery started")
        self._end_scan(adapter, client)

    def _end_scan(self, adapter: str, client: str) -> None:
        scans = self._scans[adapter]
        if client not in scans:
            return
        scans.discard(client)
        if scans or adapter not in self.objects:
            return
        self._change_now(adapter, ADAPTER, {"Discovering": False})
        for path in self.objects:
            if path.startswith(f"{adapter}/dev_"):
                self._change_now(path, DEVICE, {}, ("RSSI",))

    def _register_monitor(self, message: Message) -> None:
        self._monitors.add((message.sender or "", message.path or ""))

    def _unregister_monitor(self, message: Message) -> None:
        self._monitors.discard((message.sender or "", message.path or ""))

    def _connect(self, message: Message) -> None:
        self._change_now(message.path or "", DEVICE, {"Connected": True, "ServicesResolved": True})

    def _disconnect(self, message: Message) -> None:
        self._change_now(
            message.path or "", DEVICE, {"Connected": False, "ServicesResolved": False}
        )

    def _change(
        self, path: str, face: str, changed: Properties, gone: tuple[str, ...]
    ) -> list[str]:
        properties = self.objects[path][face]
        properties |= changed
        return [name for name in gone if properties.pop(name, None) is not None]

    def _change_now(
        self, path: str, face: str, changed: Properties, gone: tuple[str, ...] = ()
    ) -> None:
        """Change and signal from within a method call, which can't wait."""
        lost = self._change(path, face, changed, gone)
        body = [face, variants(changed), lost]
        self._send(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", body)
