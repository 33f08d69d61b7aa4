"""Bridges between a broker of ours in this process and another one, with all of it at hand."""

import asyncio
import contextlib
import datetime as dt
import ipaddress
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.broker.peers.bridge import PeerBridge
from gateway.broker.peers.loops import Loops
from gateway.broker.peers.refusals import Dial
from gateway.broker.peers.rules import Rules
from gateway.broker.peers.spec import BridgeSpec
from gateway.broker.peers.speech import Dialect
from gateway.broker.server import Broker
from gateway.config.schema import BridgeTopicSettings
from gateway.errors import GatewayError
from tests.fakes.mosquitto import PASSWORD
from tests.fakes.waiting import eventually


def out(pattern: str, **more: Any) -> BridgeTopicSettings:
    return BridgeTopicSettings(direction="out", filter=pattern, **more)


def into(pattern: str, **more: Any) -> BridgeTopicSettings:
    return BridgeTopicSettings(direction="in", filter=pattern, **more)


def both(pattern: str, **more: Any) -> BridgeTopicSettings:
    return BridgeTopicSettings(direction="both", filter=pattern, **more)


def loops_of(node: str = "node-a") -> Loops:
    return Loops(node, time.monotonic)


def dial(port: int, rules: Rules, **changed: Any) -> Dial:
    fields: dict[str, Any] = {
        "bridge": "home",
        "host": "127.0.0.1",
        "port": port,
        "context": None,
        "client_id": "gateway-home",
        "username": "bridge",
        "password": PASSWORD,
        "keep_alive_s": 30,
        "state_topic": None,
        "is_kept": bool(rules.wanted_there),
    }
    return Dial(**fields | changed)


class Told:
    """What a bridge reported for a person."""

    def __init__(self) -> None:
        self.errors: list[GatewayError | None] = []

    def __call__(self, error: GatewayError | None) -> None:
        self.errors.append(error)


@contextlib.asynccontextmanager
async def bridged(
    broker: Broker,
    port: int,
    rows: Iterable[BridgeTopicSettings],
    *,
    version: str = "auto",
    loops: Loops | None = None,
    waits: bool = True,
    is_answered: bool = False,
    dialect: Dialect | None = None,
    **changed: Any,
) -> AsyncIterator[tuple[PeerBridge, Told]]:
    """Run a bridge; with `waits` it stands when this yields, with `is_answered` its filters are granted, too."""
    rules, told = Rules(rows), Told()
    spec = BridgeSpec(dial(port, rules, **changed), rules, version, first_retry_s=0.05)
    bridge = PeerBridge(spec, broker, loops or loops_of(), told)
    bridge._dialect = dialect  # spoken last time, as far as the bridge knows
    task = asyncio.ensure_future(bridge.run())  # noqa: TID251 - a test's own background
    try:
        await eventually(lambda: bridge.is_connected or not waits or task.done(), what="the bridge")
        if is_answered and waits and (crossing := bridge._crossing) is not None:
            await eventually(lambda: not crossing.far._subscribing, what="SUBACK")
        if task.done():
            task.result()
        yield bridge, told
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.02)


def own_authority() -> tuple[bytes, bytes]:
    """Return a certificate that names 127.0.0.1 and is its own CA, with its key (PEM)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mosquitto")])
    now = dt.datetime.now(dt.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    return made.public_bytes(pem), key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
