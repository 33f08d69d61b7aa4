"""The MQTT listeners that the configuration asks for, each with its rules, and the certificates of those with TLS."""

import asyncio
import ipaddress
import logging
import ssl
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path

from gateway.broker.behind_proxy import Networks
from gateway.broker.entrance import Entrance
from gateway.broker.listeners import Listener, ListenerSpec, Secure
from gateway.broker.server import Broker
from gateway.broker.unix_socket import UnixListener, UnixSpec
from gateway.broker.websocket import WebSocketRules
from gateway.config.listener_tables import (
    Address,
    Asked,
    Behind,
    Certified,
    Pages,
    TlsListener,
)
from gateway.config.schema import MqttSettings
from gateway.errors import ConfigError
from gateway.mqtt.ports import PrincipalKind
from gateway.uplink.certificate import OwnCertificate, fingerprint

log = logging.getLogger(__name__)

LOOK_EVERY_S = 600.0  # at the names, the time that is left, and a certificate of a person's own
MODES: Mapping[Asked, ssl.VerifyMode] = {
    "off": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}


class Certificates:
    """Service: gives TLS contexts, and lets new connections see a certificate that was renewed."""

    name = "certificate"
    required = False

    def __init__(self, tls: TlsListener, state_dir: Path, resolve: Callable[[str], Path]) -> None:
        self.own = OwnCertificate(state_dir, tls.names)
        self._tls = tls
        self._resolve = resolve
        self._given: weakref.WeakSet[ssl.SSLContext] = (
            weakref.WeakSet()
        )  # that show a certificate of a person's own
        self._seen = 0.0  # when that was written, as its files say

    def context(self, asked: Asked) -> ssl.SSLContext:
        """Return a context; raises ConfigError GW-1612, GW-1810 or GW-1123."""

        def prepare(context: ssl.SSLContext) -> None:
            if asked != "off":
                self._trust(context, MODES[asked])

        if self._tls.certificate_file is None:
            context = self.own.context(prepare)
            self._say()
            return context
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        prepare(context)
        self._seen = self._written()
        self._show(context)
        self._given.add(context)
        return context

    async def run(self) -> None:
        """Look now and then whether the certificate is due, or was replaced."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if self._tls.certificate_file is None:
                if await asyncio.to_thread(self.own.keep_up):
                    self.own.reload()
                    log.info("certificate renewed")
            else:
                self._look_again()

    def _look_again(self) -> None:
        """Show a certificate that a person has replaced; half a replacement is asked for again."""
        try:
            if self._written() == self._seen:
                return
            # OpenSSL forgets the old key before it finds that the new one does not fit: try that elsewhere.
            self._show(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
            for context in self._given:
                self._show(context)
        except ConfigError as error:
            log.warning("certificate not read", extra={"code": error.code, "error": error.text})
            return
        self._seen = self._written()
        log.info("certificate read again")

    def _say(self) -> None:
        ca = self.own.authority.ready()
        der = ssl.PEM_cert_to_DER_cert(ca.read_text("ascii"))
        log.info(
            "TLS with a certificate of our own",
            extra={"trust": str(ca), "ca_sha256": fingerprint(der), "key_pin": self.own.pin()},
        )
        if self.own.legacy is not None:
            log.info(
                "clients that name no host still see the certificate of before the CA",
                extra={
                    "file": str(self.own.legacy),
                    "next": "remove it once every child has joined again",
                },
            )

    def _trust(self, context: ssl.SSLContext, mode: ssl.VerifyMode) -> None:
        """Ask for client certificates that a CA vouches for."""
        given = self._tls.client_ca_file
        path = self.own.authority.ready() if given is None else self._resolve(given)
        try:
            context.load_verify_locations(path)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"the client CA {path} cannot be used: {error.strerror or error}",
                code="GW-1123",
                hint="name a file of PEM certificates in mqtt.tls.client_ca_file, or leave it out",
            ) from error
        context.verify_mode = mode

    def _show(self, context: ssl.SSLContext) -> None:
        tls = self._tls
        assert tls.certificate_file is not None
        try:
            context.load_cert_chain(
                self._resolve(tls.certificate_file),
                self._resolve(tls.key_file) if tls.key_file else None,
            )
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"the certificate {tls.certificate_file} cannot be used: {error.strerror or error}",
                code="GW-1810",
                hint="name a PEM certificate and its key in [mqtt.tls], or leave both out",
            ) from error

    def _written(self) -> float:
        """Return when certificate or key was last written; 0 where one is not there."""
        names = (self._tls.certificate_file, self._tls.key_file)
        try:
            return max(self._resolve(name).stat().st_mtime for name in names if name)
        except OSError:
            return 0.0


def network_listeners(
    broker: Broker,
    mqtt: MqttSettings,
    entrances: Mapping[str, Entrance],
    certificates: Certificates,
) -> dict[str, Listener]:
    """Return the listeners on TCP ports that are switched on, by name."""
    tables: dict[str, Address] = {
        "tcp": mqtt.tcp,
        "tls": mqtt.tls,
        "websocket": mqtt.websocket,
        **{listener.name: listener for listener in mqtt.listeners},
    }
    return {
        name: Listener(broker, _spec(name, table, entrances[name], certificates))
        for name, table in tables.items()
        if table.enabled
    }


def unix_listener(
    broker: Broker, mqtt: MqttSettings, entrance: Entrance, path: Path
) -> UnixListener:
    """Return the listener on the Unix socket."""
    return UnixListener(broker, UnixSpec(entrance, path, int(mqtt.unix.mode, 8)))


def _spec(
    name: str, table: Address, entrance: Entrance, certificates: Certificates
) -> ListenerSpec:
    is_encrypted = isinstance(table, TlsListener) or bool(getattr(table, "tls", False))
    asked: Asked = table.client_certificates if isinstance(table, Certified) else "off"
    return ListenerSpec(
        name,
        table.bind,
        table.port,
        tls=_secure(certificates, asked) if is_encrypted else None,
        entrance=entrance,
        websocket=_rules(table),
        proxies=_trusted(table),
        asks_certificates=asked != "off",
        is_for_children=_rules(table) is None
        and _trusted(table) is None
        and asked != "required"
        and PrincipalKind.CHILD in entrance.kinds,
    )


def _secure(certificates: Certificates, asked: Asked) -> Secure:
    return lambda: certificates.context(asked)


def _rules(table: Address) -> WebSocketRules | None:
    if not isinstance(table, Pages) or getattr(table, "kind", "websocket") != "websocket":
        return None
    return WebSocketRules(table.paths, tuple(origin.lower() for origin in table.allowed_origins))


def _trusted(table: Address) -> Networks | None:
    if not isinstance(table, Behind) or not table.proxy_protocol:
        return None
    return tuple(ipaddress.ip_network(network) for network in table.trusted_proxies)


def warn_of_anonymous(entrances: Mapping[str, Entrance], names: Mapping[str, object]) -> None:
    """Say at every start where clients without a name come in; `names` are the listeners that run."""
    for name, entrance in entrances.items():
        if entrance.anonymous is not None and name in names:
            log.warning(
                "anybody may use this listener without a name",
                extra={
                    "listener": name,
                    "roles": ",".join(sorted(entrance.anonymous.roles)),
                    "code": "GW-1126",
                },
            )
