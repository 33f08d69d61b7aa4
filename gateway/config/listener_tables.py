"""Tables of gateway.toml for the places where MQTT clients come in: addresses, TLS, proxies, and who may log in."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from gateway.config.fields import Table, key, listed, needed

LOOPBACK = "127.0.0.1"
NAME_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"
PATH_PATTERN = r"^/[A-Za-z0-9._~/-]*$"
MOST_PACKET_BYTES = 268_435_455  # the largest that MQTT's length can say

Kind = Literal["device", "child", "user"]
KINDS: tuple[Kind, ...] = ("device", "child", "user")
Asked = Literal["off", "optional", "required"]
Hosts = Annotated[
    tuple[str, ...],
    BeforeValidator(lambda given: (given,) if isinstance(given, str) else given),
    Field(strict=False, min_length=1),
]
Texts = Annotated[
    tuple[str, ...], Field(strict=False)
]  # inside a union, pydantic asks for this form


class Entry(Table):
    """Who may log in by a listener, and how much they may use."""

    kinds: tuple[Kind, ...] = key(
        KINDS, "Who may log in here.", strict=False, is_guard=True, min_length=1
    )
    roles: Texts | None = key(
        None, "Users need one of these roles, and have no other here. Unset: all of theirs.",
        is_guard=True,
    )  # fmt: skip
    anonymous_roles: tuple[str, ...] = listed(
        (), "What clients without user name may do. Empty: they are refused."
    )
    most_connections: int | None = key(
        None, "Connections by this listener. Unset: `mqtt.limits` alone.", ge=1
    )
    most_packet_bytes: int | None = key(
        None, "Largest packet by this listener. Unset: `mqtt.limits` alone.",
        unit="bytes", ge=1024, le=MOST_PACKET_BYTES,
    )  # fmt: skip


class Behind(Table):
    """A listener that stands behind a proxy."""

    proxy_protocol: bool = key(
        False, "Every connection begins with a PROXY header, version 1 or 2.", is_guard=True
    )
    trusted_proxies: tuple[str, ...] = key(
        ("127.0.0.0/8", "::1"), "Addresses and networks that may send one.",
        strict=False, is_guard=True,
    )  # fmt: skip


class Certified(Table):
    """A listener that may ask for client certificates."""

    client_certificates: Asked = key(
        "off",
        "Whether clients show a certificate: it then stands for a password. With `proxy_protocol` and without TLS "
        "here, the proxy asks for it and says whose it is.",
        is_guard=True,
    )


class Address(Table):
    """Where a listener is found."""

    enabled: bool = key(False, "Whether to listen.")
    bind: Hosts = key(
        (LOOPBACK,), "Address to listen on, or a list of them; `0.0.0.0` (and `::`) are all.",
        is_guard=True,
    )  # fmt: skip
    port: int = key(0, "TCP port; 0 takes a free one.", ge=0, le=65535)


class Pages(Table):
    """A listener for WebSockets."""

    paths: tuple[str, ...] = listed(("/mqtt", "/"), "Paths of the URL at which MQTT is served.")
    allowed_origins: tuple[str, ...] = listed(
        (), "Web pages of other hosts that may connect, such as `https://example.org`; `*`: all."
    )


class TcpListener(Behind, Entry, Address):
    """MQTT without encryption."""

    enabled: bool = key(True, "Listen for MQTT over plain TCP.")
    port: int = key(1883, "TCP port; 0 takes a free one.", ge=0, le=65535)


class TlsListener(Behind, Entry, Certified, Address):
    """MQTT over TLS; needed by children on other machines. Certificate and client CA hold for every listener with TLS."""

    enabled: bool = key(False, "Listen for MQTT over TLS.")
    bind: Hosts = key(
        ("0.0.0.0",),  # noqa: S104 - encrypted, authenticated
        "Address to listen on, or a list of them.", is_guard=True,
    )  # fmt: skip
    port: int = key(8883, "TCP port; 0 takes a free one.", ge=0, le=65535)
    certificate_file: str | None = key(
        None, "Certificate chain (PEM). Unset: the gateway signs its own; clients trust `tls/ca.crt`.",
        min_length=1,
    )  # fmt: skip
    key_file: str | None = key(None, "Private key (PEM) of `certificate_file`.", min_length=1)
    names: tuple[str, ...] = listed(
        (), "More host names and addresses for the gateway's own certificate."
    )
    client_ca_file: str | None = key(
        None, "CA (PEM) that vouches for client certificates. Unset: the gateway's own.",
        min_length=1, is_guard=True,
    )  # fmt: skip
    revoked_certificates: tuple[str, ...] = key(
        (), "SHA-256 fingerprints of client certificates that count no more.",
        strict=False, is_guard=True,
    )  # fmt: skip


class WebSocketListener(Behind, Entry, Certified, Pages, Address):
    """MQTT over WebSocket, for browsers."""

    port: int = key(8083, "TCP port; 0 takes a free one.", ge=0, le=65535)
    tls: bool = key(False, "Encrypt, with the certificate of `[mqtt.tls]`.", is_guard=True)


class UnixAddress(Table):
    """Where a Unix socket lies, and who may open it."""

    enabled: bool = key(True, "Listen on a Unix socket.")
    path: str | None = key(
        None, "Where it lies. Unset: `mqtt.sock` in the state directory.", min_length=1
    )
    mode: str = key(
        "0660", "Who may open it, as for `chmod`: the gateway's user and group.",
        pattern=r"^0?[0-7]{3}$", is_guard=True,
    )  # fmt: skip
    operators: bool = key(
        True, "Root and the gateway's own user log in without password, with role `admin`."
    )
    users: dict[str, str] = key(
        {}, 'Users that processes are by their user id, without password: `{ "1000" = "kitchen" }`.'
    )


class UnixListener(Entry, UnixAddress):
    """MQTT for programs of this machine, which the kernel introduces."""


class ListenerSettings(Behind, Entry, Certified, Pages, Address):
    """One more listener."""

    name: str = needed("Name of the listener in status and logs.", pattern=NAME_PATTERN)
    kind: Literal["tcp", "websocket"] = key("tcp", "What is spoken: MQTT, or MQTT over WebSocket.")
    enabled: bool = key(True, "Whether to listen.")
    tls: bool = key(False, "Encrypt, with the certificate of `[mqtt.tls]`.", is_guard=True)
