"""Every key of gateway.toml: its type, default, unit, limits and meaning. Units stand in the names."""

from typing import Any, Literal

from gateway.config.fields import Table, key, listed, needed
from gateway.config.listener_tables import (
    LOOPBACK,
    NAME_PATTERN,
    ListenerSettings,
    TcpListener,
    TlsListener,
    UnixListener,
    WebSocketListener,
)

LOSS_WINDOWS_S = {"strict": 0.25, "balanced": 2.0, "gentle": 10.0}

LogLevel = Literal["debug", "info", "warning", "error"]


class NodeSettings(Table):
    """The node itself."""

    name: str = key(
        "gateway", "What people call this node; a label, not an identity.", min_length=1
    )
    state_dir: str | None = key(
        None,
        "Where identity, databases and secrets live. Unset: `.run/node` in a checkout, else "
        "`$STATE_DIRECTORY`, else `/var/lib/gateway`.",
        is_vital=True,
        min_length=1,
    )
    event_loop: Literal["auto", "asyncio", "uvloop"] = key(
        "auto", "What runs the node: uvloop where it is installed (extra `fast`), or Python's own."
    )


class MqttLimits(Table):
    """What one client, and all of them together, may use."""

    most_connections: int = key(1000, "Connections at the same time, all listeners.", ge=1)
    most_packet_bytes: int = key(
        262_144, "Largest MQTT packet taken.", unit="bytes", ge=1024, le=268_435_455
    )
    most_queued_bytes: int = key(
        1_048_576, "Unsent bytes kept for one slow client before QoS 0 is dropped.",
        unit="bytes", ge=4096,
    )  # fmt: skip
    connect_timeout_s: float = key(
        10.0, "A connection that sends no CONNECT within this time is closed.", unit="s", gt=0
    )
    most_keep_alive_s: int = key(
        3600, "Longest keep-alive honoured; a client that asks for more, or none, gets this.",
        unit="s", ge=5, le=65535,
    )  # fmt: skip
    most_waiting_messages: int = key(
        1000, "QoS 1 and 2 messages kept for one client that is away or slow; then the oldest go.",
        ge=1, le=60_000,
    )  # fmt: skip
    most_waiting_bytes: int = key(1_048_576, "Bytes of them.", unit="bytes", ge=4096)
    most_session_s: int = key(
        604_800, "Longest life of a session whose client is away.", unit="s", ge=60
    )
    most_messages_per_s: float = key(
        0.0, "Packets that one client may send in the long run; then it is read more slowly. 0: any number.",
        unit="1/s", ge=0,
    )  # fmt: skip
    most_bytes_per_s: float = key(0.0, "The same in bytes.", unit="bytes/s", ge=0)


class UserSettings(Table):
    """A local MQTT user; devices log in with uuid and token instead."""

    name: str = needed("Login name; not shaped like a uuid.", min_length=1, max_length=64)
    password_file: str = needed(
        "File with the password, or with the line that `gateway config password` prints.",
        min_length=1,
    )
    roles: tuple[str, ...] = listed(
        (), "Roles held: `home`, `zigbee2mqtt`, `tasmota`, `monitor`, `admin`, or one of yours."
    )


class RoleSettings(Table):
    """A named list of topics that users may read and write."""

    name: str = needed("Name of the role.", pattern=NAME_PATTERN)
    read: tuple[str, ...] = listed((), "Topic filters that may be subscribed to.")
    write: tuple[str, ...] = listed((), "Topic filters that may be published to.")


class BridgeTopicSettings(Table):
    """A rule of a bridge: what `filter` matches is `local_prefix` + topic here, `remote_prefix` + topic there."""

    direction: Literal["in", "out", "both"] = needed(
        "`out`: from here to the other broker, `in`: from there to here, or `both`."
    )
    filter: str = needed(
        "Topics without their prefixes, with `+` and `#` as in a subscription.", min_length=1
    )
    qos: Literal[0, 1, 2] = key(
        1, "Most that is carried: 1 is acknowledged end to end; 2 is served as 1."
    )
    local_prefix: str = key("", "In front of the topic here; ends in `/` where levels begin.")
    remote_prefix: str = key("", "In front of the topic there.")


class BridgeSettings(Table):
    """A bridge to another MQTT broker."""

    name: str = needed("Name of the bridge in status, logs and topics.", pattern=NAME_PATTERN)
    host: str = needed("Name or address of the other broker.", min_length=1)
    port: int | None = key(None, "Its TCP port. Unset: 8883, or 1883 without TLS.", ge=1, le=65535)
    tls: bool = key(True, "Encrypt, and check the broker's certificate and name.")
    ca_file: str | None = key(
        None,
        "Certificates (PEM) that vouch for the broker. Unset: those of the system.",
        min_length=1,
    )
    certificate_file: str | None = key(
        None, "Our own certificate chain (PEM), where the broker asks for one.", min_length=1
    )
    key_file: str | None = key(None, "Private key (PEM) of `certificate_file`.", min_length=1)
    username: str | None = key(None, "User name at the other broker.", min_length=1)
    password_file: str | None = key(None, "File with the password of `username`.", min_length=1)
    client_id: str | None = key(
        None, "MQTT client id there. Unset: made of this node's uuid and the bridge's name.",
        min_length=1, max_length=128,
    )  # fmt: skip
    version: Literal["auto", "5", "3.1.1"] = key(
        "auto", "MQTT version: 5 where the broker speaks it, or one of the two."
    )
    keep_alive_s: int = key(30, "MQTT keep-alive.", unit="s", ge=5, le=3600)
    state_topic: str | None = key(
        None, "Topic at the other broker with `1` while the bridge stands, else `0`; retained.",
        min_length=1,
    )  # fmt: skip
    most_queued: int = key(
        10_000, "Messages kept for the other broker while it is away; then the oldest go.",
        ge=1, le=60_000,
    )  # fmt: skip
    most_queued_bytes: int = key(16_777_216, "Bytes of them.", unit="bytes", ge=4096)
    topics: tuple[BridgeTopicSettings, ...] = listed((), "What crosses; without a rule, nothing.")


class MqttSettings(Table):
    """The local MQTT broker."""

    engine: Literal["own", "amqtt"] = key(
        "own", "Which broker runs: this project's, or amqtt (plain topics and users only)."
    )
    accept_amqtt_risks: bool = key(
        False, 'Let `engine = "amqtt"` listen beyond loopback, although it checks less.'
    )
    tcp: TcpListener = TcpListener()
    tls: TlsListener = TlsListener()
    websocket: WebSocketListener = WebSocketListener()
    unix: UnixListener = UnixListener()
    listeners: tuple[ListenerSettings, ...] = listed((), "More listeners.")
    limits: MqttLimits = MqttLimits()
    users: tuple[UserSettings, ...] = listed((), "Local users.")
    roles: tuple[RoleSettings, ...] = listed((), "Roles of your own.")
    bridges: tuple[BridgeSettings, ...] = listed((), "Bridges to other brokers.")


class HttpSettings(Table):
    """The HTTP server: the mesh's API, pages, health, metrics."""

    enabled: bool = key(True, "Serve HTTP.")
    bind: str = key(LOOPBACK, "Address to listen on; `0.0.0.0` opens it to the network.")
    port: int = key(8080, "TCP port; 0 takes a free one.", ge=0, le=65535)


class UiSettings(Table):
    """The page at `/ui`."""

    enabled: bool = key(True, "Serve the page.")


class MeshSettings(Table):
    """The Meshblu-compatible mesh of this node."""

    registration: Literal["closed", "code", "open"] = key(
        "code",
        "Who may register a device: nobody new, holders of a session or one-time code, or anyone.",
    )


class SpoolSettings(Table):
    """The durable log of what must go up to the parent."""

    profile: Literal["strict", "balanced", "gentle"] = key(
        "balanced",
        "How much a power cut may cost: 0.25, 2 or 10 s of what nobody waits for. Gentle spares "
        "the SD card most.",
    )
    ack_delay_ms: int = key(
        100, "A sender that waits for an acknowledgement waits this long for company; 0 is off.",
        unit="ms", ge=0, le=10_000,
    )  # fmt: skip
    offer_interval_ms: int = key(
        250, "A block is offered to the parent this long after its first record.",
        unit="ms", ge=10, le=60_000,
    )  # fmt: skip
    most_bytes: int = key(
        536_870_912, "Size at which the spool is full.", unit="bytes", ge=1_048_576
    )

    @property
    def loss_window_s(self) -> float:
        """Return what a power cut may cost, in seconds."""
        return LOSS_WINDOWS_S[self.profile]


class UplinkSettings(Table):
    """The line to the parent; which parent it is comes from `gateway join`."""

    enabled: bool = key(True, "Connect to the parent that this node has joined.")
    keep_alive_s: int = key(30, "MQTT keep-alive towards the parent.", unit="s", ge=5, le=3600)
    most_retry_s: float = key(
        60.0, "Longest wait between two attempts to reach the parent.", unit="s", ge=1
    )


class LogSettings(Table):
    """What is logged, and how."""

    level: LogLevel = key("info", "Least severe level that is logged.")
    format: Literal["text", "json"] = key("text", "One line of text, or one JSON object, a line.")
    levels: dict[str, LogLevel] = key(
        {}, 'Level of single components, for instance `uplink = "debug"`.'
    )


class BleSettings(Table):
    """Bluetooth Low Energy advertisements."""

    enabled: Literal["auto", "on", "off"] = key(
        "auto", "Whether to scan: when there is an adapter, always, or never."
    )
    mode: Literal["auto", "passive", "active"] = key(
        "auto", "Passive scanning spares sensors' batteries, active also hears scan responses."
    )
    adapter: str | None = key(None, "Adapter, such as `hci1`. Unset: the first one.", min_length=1)
    watchdog_s: float = key(
        60.0, "Silence after which the scanner is started anew.", unit="s", ge=5, le=3600
    )


class SerialSettings(Table):
    """A serial port and the driver that listens on it."""

    name: str = needed("Name of this link in status and logs.", pattern=NAME_PATTERN)
    port: str = needed(
        "Stable path, best from `/dev/serial/by-id/`; `gateway devices ports` lists them.",
        min_length=1,
    )
    driver: str = needed("Driver; `gateway drivers` lists them.", min_length=1)
    baud: int | None = key(None, "Speed. Unset: the driver's default.", unit="Bd", ge=50)
    bytesize: Literal[5, 6, 7, 8] = key(8, "Data bits.", unit="bits")
    parity: Literal["none", "even", "odd"] = key("none", "Parity bit.")
    stopbits: Literal[1, 2] = key(1, "Stop bits.", unit="bits")
    settings: dict[str, Any] = key({}, "The driver's own keys.")


class DriverSettings(Table):
    """Installed drivers."""

    allow: tuple[str, ...] = listed(
        (), "Third-party drivers that may be loaded; the shipped ones always may."
    )
    settings: dict[str, dict[str, Any]] = key(
        {}, "One table a driver, with its own keys: `[drivers.settings.bthome]`."
    )


class Settings(Table):
    """Everything that gateway.toml says; without a file, these defaults."""

    node: NodeSettings = NodeSettings()
    mqtt: MqttSettings = MqttSettings()
    http: HttpSettings = HttpSettings()
    ui: UiSettings = UiSettings()
    mesh: MeshSettings = MeshSettings()
    spool: SpoolSettings = SpoolSettings()
    uplink: UplinkSettings = UplinkSettings()
    log: LogSettings = LogSettings()
    ble: BleSettings = BleSettings()
    serial: tuple[SerialSettings, ...] = listed((), "Serial ports.")
    drivers: DriverSettings = DriverSettings()
