"""BTHome sensors, versions 1 and 2, plain and encrypted (bthome.io): Shelly BLU, b-parasite, ATC firmware and others.

An encrypted advert carries a counter: equal is a repeat, lower is somebody playing back what they recorded, so both
are dropped. Only a counter below 100 may follow a higher one, because a new battery makes a sensor count anew.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, NoReturn

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from drivers.tables.bthome import OBJECTS, Kind, Object, event_of, value_of
from gateway.driver.contract import Advert, Driver, LinkKind, Match, Request, counters_of
from gateway.errors import UnsupportedCommandError
from gateway.model.clock import Stamp
from gateway.model.command import Command, CommandResult
from gateway.model.reading import Event, HardwareId, Reading

V1_PLAIN = "0000181c-0000-1000-8000-00805f9b34fb"
V1_ENCRYPTED = "0000181e-0000-1000-8000-00805f9b34fb"
V2 = "0000fcd2-0000-1000-8000-00805f9b34fb"

IS_ENCRYPTED, HAS_ADDRESS = 0x01, 0x02  # bits of version 2's first byte
TAG_BYTES, COUNTER_BYTES = 4, 4
REPEAT_MS = 4000  # an equal packet id within this time is the same packet heard again
AHEAD = 64  # of 256 packet ids: further away means older, not newer
COUNTER_RESTART = 100
V1_AUTHENTICATED = b"\x11"

Address = Annotated[str, StringConstraints(pattern=r"^(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$")]


class Settings(BaseModel):
    """Keys of the `bthome` driver."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bindkeys: dict[Address, SecretStr] = Field(
        default_factory=dict,
        description="Address -> encryption key, 32 hex digits, of sensors that encrypt.",
    )

    def key_of(self, address: str) -> bytes | None:
        """Return a sensor's key; None where there is none, or where it is not 32 hex digits."""
        for known, secret in self.bindkeys.items():
            if known.upper() == address:
                try:
                    key = bytes.fromhex(secret.get_secret_value())
                except ValueError:
                    return None
                return key if len(key) == 16 else None
        return None


class BtHomeCodec:
    """The pure part, for one sensor."""

    def __init__(self, settings: Settings, origin: str) -> None:
        del origin
        self._settings = settings
        self._ciphers: dict[str, Decrypt | None] = {}
        self._counter = -1
        self._packet_id = -1
        self._packet_at = 0
        self.counters = dict.fromkeys(
            ("good", "repeated", "garbled", "undecryptable", "replayed", "downgraded"), 0
        )

    def feed(self, item: Advert, at: Stamp) -> Sequence[Reading | Event | CommandResult]:
        """Return what an advert says; an undecryptable or repeated one says nothing."""
        said: list[Reading | Event] = []
        for uuid, data in item.service_data.items():
            if uuid == V2:
                self._version_2(item.address, data, at, said)
            elif uuid == V1_PLAIN and not self._is_downgrade(item.address):
                self._say(item.address, _objects_1(data), at, said)
            elif uuid == V1_ENCRYPTED:
                plain = self._decrypted(item.address, b"\x1e\x18", data, V1_AUTHENTICATED)
                if plain is not None:
                    self._say(item.address, _objects_1(plain), at, said)
        return said

    def poll(self) -> Request[NoReturn] | None:
        """Return None: adverts come by themselves."""
        return None

    def encode(self, command: Command) -> Request[NoReturn]:
        """Refuse: nothing can be sent to an advert."""
        raise UnsupportedCommandError(
            f"a bthome sensor takes no commands, so not {command.action[:40]!r}",
            code="GW-1701",
            hint="it only advertises; there is no way to reach it",
        )

    def _version_2(self, address: str, data: bytes, at: Stamp, said: list[Reading | Event]) -> None:
        flags, payload = data[:1], data[1:]
        has_address = bool(flags) and bool(flags[0] & HAS_ADDRESS)
        if not flags or flags[0] >> 5 != 2 or (has_address and len(payload) < 6):
            self.counters["garbled"] += 1
            return
        if has_address:
            address = ":".join(f"{byte:02X}" for byte in payload[5::-1])
            payload = payload[6:]
        if flags[0] & IS_ENCRYPTED:
            plain = self._decrypted(address, b"\xd2\xfc" + flags, payload, None)
            if plain is None:
                return
            payload = plain
        elif self._is_downgrade(address):
            return
        self._say(address, _objects_2(payload), at, said)

    def _say(
        self,
        address: str,
        found: "tuple[list[Found], bool]",
        at: Stamp,
        said: list[Reading | Event],
    ) -> None:
        objects, is_whole = found
        if any(number == 0 and self._is_repeat(data[0], at) for number, data, _ in objects):
            self.counters["repeated"] += 1
            return
        self.counters["good" if objects and is_whole else "garbled"] += 1
        rows = [(OBJECTS[number], data, v1) for number, data, v1 in objects if number in OBJECTS]
        hardware_id = HardwareId(f"ble:{address}")
        for name, row, data, v1 in _named(rows):
            if row.kind is Kind.BUTTON or row.kind is Kind.DIMMER:
                event = event_of(row.kind, data)
                if event:
                    said.append(Event(hardware_id, f"{name}_{event}", at))
                continue
            value = value_of(row, data, v1)
            if value is not None:
                said.append(Reading(hardware_id, name, value, row.unit, at))

    def _is_repeat(self, packet_id: int, at: Stamp) -> bool:
        ahead = (packet_id - self._packet_id) % 256
        is_recent = self._packet_id >= 0 and 0 <= at.uptime_ms - self._packet_at <= REPEAT_MS
        if is_recent and not 0 < ahead < AHEAD:
            return True
        self._packet_id, self._packet_at = packet_id, at.uptime_ms
        return False

    def _is_downgrade(self, address: str) -> bool:
        # Whoever has a key expects secrecy: plain text under that address is somebody else's.
        if self._cipher(address) is None:
            return False
        self.counters["downgraded"] += 1
        return True

    def _cipher(self, address: str) -> "Decrypt | None":
        if address not in self._ciphers:
            if (
                len(self._ciphers) >= 8
            ):  # a codec hears one sensor, and perhaps forged addresses in it
                self._ciphers.clear()
            key = self._settings.key_of(address)
            self._ciphers[address] = None if key is None else _decrypt_with(key)
        return self._ciphers[address]

    def _decrypted(
        self, address: str, prefix: bytes, data: bytes, authenticated: bytes | None
    ) -> bytes | None:
        cipher = self._cipher(address)
        if cipher is None or len(data) <= TAG_BYTES + COUNTER_BYTES:
            self.counters["undecryptable"] += 1
            return None
        counter_bytes = data[-TAG_BYTES - COUNTER_BYTES : -TAG_BYTES]
        counter = int.from_bytes(counter_bytes, "little")
        if counter == self._counter or COUNTER_RESTART <= counter < self._counter:
            self.counters["repeated" if counter == self._counter else "replayed"] += 1
            return None
        nonce = bytes.fromhex(address.replace(":", "")) + prefix + counter_bytes
        plain = cipher(nonce, data[: -TAG_BYTES - COUNTER_BYTES] + data[-TAG_BYTES:], authenticated)
        if plain is None:
            self.counters["undecryptable"] += 1
            return None
        self._counter = counter
        return plain


Decrypt = Callable[[bytes, bytes, bytes | None], bytes | None]


def _decrypt_with(key: bytes) -> Decrypt:
    # Only sensors with a key pay for the library: 3 MB and 30 ms of start on a fast machine.
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415
    from cryptography.hazmat.primitives.ciphers.aead import AESCCM  # noqa: PLC0415

    cipher = AESCCM(key, tag_length=TAG_BYTES)

    def decrypt(nonce: bytes, data: bytes, authenticated: bytes | None) -> bytes | None:
        try:
            return cipher.decrypt(nonce, data, authenticated)
        except InvalidTag:
            return None

    return decrypt


Found = tuple[int, bytes, int | None]
"""Object id, its data, and in version 1 the format that the device says they have."""


def _objects_1(data: bytes) -> tuple[list[Found], bool]:
    """Return a version 1 payload's objects, and whether they fill it exactly."""
    objects: list[Found] = []
    place = 0
    while place + 1 < len(data):
        control = data[place]
        size = control & 0x1F  # counts the object id too
        end = place + 1 + size
        if size < 2 or end > len(data):
            break
        objects.append((data[place + 1], data[place + 2 : end], control >> 5))
        place = end
    return objects, place == len(data)


def _objects_2(payload: bytes) -> tuple[list[Found], bool]:
    """Return a version 2 payload's objects up to the first unknown one: nobody knows how long that is."""
    objects: list[Found] = []
    place = 0
    while place < len(payload) and (row := OBJECTS.get(payload[place])) is not None:
        start, size = place + 1, row.size
        if not size:
            if start == len(payload):
                break
            start, size = start + 1, payload[start]
        if start + size > len(payload):
            break
        if size:
            objects.append((payload[place], payload[start : start + size], None))
        place = start + size
    return objects, place == len(payload)


Row = tuple[Object, bytes, int | None]


def _named(rows: Sequence[Row]) -> list[tuple[str, Object, bytes, int | None]]:
    """Give each object its own name: several of a kind are numbered, a flag that shares a name is `_state`."""
    groups = [(row.quantity, row.kind is Kind.FLAG) for row, _, _ in rows]
    seen: dict[tuple[str, bool], int] = {}
    named = []
    for (row, data, v1), group in zip(rows, groups, strict=True):
        quantity, is_flag = group
        name = f"{quantity}_state" if is_flag and (quantity, False) in groups else quantity
        if groups.count(group) > 1:
            seen[group] = seen.get(group, 0) + 1
            name = f"{name}_{seen[group]}"
        named.append((name, row, data, v1))
    return named


DRIVER = Driver(
    name="bthome",
    link=LinkKind.BLE_ADVERT,
    settings=Settings,
    open=BtHomeCodec,
    summary="BTHome 1 and 2 sensors and buttons, also encrypted (Shelly BLU and others)",
    match=Match(service_uuids=frozenset({V1_PLAIN, V1_ENCRYPTED, V2})),
    replay_period_ms=10_000,
    counters=counters_of,
)
