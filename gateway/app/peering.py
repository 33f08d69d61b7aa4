"""Bridges to other brokers, made of the configuration: files read, principals known before sessions are restored."""

import logging
import ssl
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.app.parking import parking
from gateway.broker.entrance import BRIDGE
from gateway.broker.peers.bridge import PeerBridge
from gateway.broker.peers.loops import Loops
from gateway.broker.peers.refusals import Dial
from gateway.broker.peers.rules import Rules
from gateway.broker.peers.spec import BridgeSpec, principal_of
from gateway.config.listener_rules import LOOPBACKS
from gateway.config.load import Loaded
from gateway.config.problems import Parked
from gateway.config.schema import BridgeSettings
from gateway.config.secret_files import secret_of
from gateway.errors import ConfigError, GatewayError
from gateway.mqtt.journal import SessionKey
from gateway.mqtt.ports import Principal, PrincipalKind
from gateway.runtime.metrics import Metrics

if TYPE_CHECKING:
    from gateway.app.parts import Parts

log = logging.getLogger(__name__)

TLS_PORT, PLAIN_PORT = 8883, 1883


def bridge_principal(loaded: Loaded, key: SessionKey) -> Principal | None:
    """Return who the owner of a kept session is, if it is a bridge of this configuration.

    A bridge that is parked for now keeps what waits for it, and loses its subscriptions until it is mended.
    """
    if key.kind is not PrincipalKind.USER or not key.identity.startswith(BRIDGE):
        return None
    name = key.identity.removeprefix(BRIDGE)
    for item in loaded.settings.mqtt.bridges:
        if item.name == name:
            return principal_of(name, Rules(item.topics))
    if any(row.what in (f"bridge {name}", f"bridges {name}") for row in loaded.parked):
        return principal_of(name, Rules(()))
    return None


class Peering:
    """Every bridge of this node; one that cannot work is parked with its reason."""

    def __init__(self, parts: "Parts") -> None:
        self._parts = parts
        self.services: list[PeerBridge] = []

    def open(self) -> None:
        """Make the bridges; played-back devices of a demo never reach another broker."""
        parts = self._parts
        if parts.options.is_demo:
            return
        loops = Loops(parts.who.uuid, time.monotonic)
        for item in parts.settings.mqtt.bridges:
            with parking(f"bridge {item.name}", parts.park):
                _needs_own(parts.settings.mqtt.engine, item.name)
                bridge = PeerBridge(
                    self._spec(item), parts.mesh.broker, loops, self._reporting(item.name)
                )
                bridge.bound_queue()
                self.services.append(bridge)

    def state(self) -> list[dict[str, Any]]:
        """Return how each bridge is."""
        return [bridge.state() for bridge in self.services]

    def _spec(self, item: BridgeSettings) -> BridgeSpec:
        rules = Rules(item.topics)
        context = _context(item, self._parts.loaded) if item.tls else None
        if context is None and not item.host.startswith(LOOPBACKS):
            log.warning(
                "a bridge sends its password and everything else in clear: tls is false",
                extra={"bridge": item.name, "host": item.host},
            )
        password = None
        if item.password_file is not None:
            path = self._parts.loaded.resolve(item.password_file)
            password = secret_of(path, f"bridge {item.name}: password_file")
        dial = Dial(
            bridge=item.name,
            host=item.host,
            port=item.port or (TLS_PORT if item.tls else PLAIN_PORT),
            context=context,
            client_id=item.client_id or f"gateway-{self._parts.who.uuid[:8]}-{item.name}",
            username=item.username,
            password=password,
            keep_alive_s=item.keep_alive_s,
            state_topic=item.state_topic,
            is_kept=bool(rules.wanted_there),
        )
        return BridgeSpec(dial, rules, item.version, (item.most_queued, item.most_queued_bytes))

    def _reporting(self, name: str) -> "Reporting":
        return Reporting(f"bridge {name}", self._parts)


def _needs_own(engine: str, name: str) -> None:
    if engine != "own":
        raise ConfigError(
            f'bridge {name}: with mqtt.engine = "{engine}" it would not hear what clients publish',
            code="GW-1111",
            hint='set mqtt.engine = "own", or let the other broker bridge',
        )


class Reporting:
    """Shows what a person must mend as long as it is so."""

    def __init__(self, what: str, parts: "Parts") -> None:
        self._what = what
        self._parts = parts

    def __call__(self, error: GatewayError | None) -> None:
        """Show an error, or that it is over."""
        if error is None:
            self._parts.unpark(self._what)
        else:
            self._parts.park(Parked(self._what, error.code, error.text, error.hint))


def _context(item: BridgeSettings, loaded: Loaded) -> ssl.SSLContext:
    """Return how the other broker is checked; raises ConfigError GW-1148 that names the file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if item.ca_file is None:
        context.load_default_certs()
    else:
        ca = _file(item, "ca_file", loaded)
        try:
            context.load_verify_locations(ca)
        except OSError as error:
            raise _unusable(item, "ca_file", ca, str(error)) from error
    if item.certificate_file is not None:
        chain = _file(item, "certificate_file", loaded)
        key = _file(item, "key_file", loaded)
        try:
            context.load_cert_chain(chain, key, password=b"")  # never ask on a terminal
        except (OSError, ValueError) as error:
            raise _unusable(item, "certificate_file", chain, str(error)) from error
    return context


def _file(item: BridgeSettings, key: str, loaded: Loaded) -> Path:
    path = loaded.resolve(getattr(item, key))
    try:
        text = path.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(item, key, path, str(error)) from error
    if "-----BEGIN " not in text:
        raise _unusable(item, key, path, "it holds no PEM")
    return path


def _unusable(item: BridgeSettings, key: str, path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"bridge {item.name}: the {key} {path} cannot be used: {why}",
        code="GW-1148",
        hint="name a PEM file that the gateway's user can read; a key without a passphrase",
    )


def add_bridges(metrics: Metrics, parts: "Parts") -> None:
    """Add what each bridge does, labelled with its name."""

    def each(read: Any) -> Any:
        return lambda: [({"bridge": b.spec.name}, read(b)) for b in parts.peering.services]

    metrics.gauge(
        "gateway_bridge_connected_ratio",
        "1 while the bridge to another broker stands.",
        each(lambda bridge: int(bridge.is_connected)),
    )
    metrics.gauge(
        "gateway_bridge_queued_messages",
        "Messages that wait for the other broker.",
        each(lambda bridge: bridge.queued),
    )
    metrics.counter(
        "gateway_bridge_sent_messages_total",
        "Messages that the other broker took.",
        each(lambda bridge: bridge.counts.sent),
    )
    metrics.counter(
        "gateway_bridge_received_messages_total",
        "Messages that our own broker took from the other.",
        each(lambda bridge: bridge.counts.received),
    )
    metrics.counter(
        "gateway_bridge_dropped_messages_total",
        "Messages that did not cross, by reason.",
        lambda: _dropped(parts.peering.services),
    )


def _dropped(bridges: Iterable[PeerBridge]) -> list[tuple[dict[str, str], float]]:
    return [
        ({"bridge": bridge.spec.name, "reason": reason}, count)
        for bridge in bridges
        for reason, count in bridge.dropped.items()
    ]
