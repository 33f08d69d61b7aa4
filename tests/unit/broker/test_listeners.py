"""Listeners: several addresses, TLS, and a taken port that is named."""

import asyncio
import contextlib
import datetime as dt
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.broker.listeners import Listener, ListenerSpec
from gateway.broker.server import Broker
from gateway.errors import ConfigError
from tests.fakes.mqtt_broker import authenticate, connect


def certificate(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
    )
    chain = folder / "chain.pem"
    chain.write_bytes(
        builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return context


async def test_one_listener_serves_several_addresses_on_one_port() -> None:
    async with contextlib.AsyncExitStack() as stack:
        listener = Listener(
            Broker(authenticate), ListenerSpec("lan", ("127.0.0.1", "127.0.0.2"), 0)
        )
        await listener.open(stack)
        assert [host for host, _ in listener.addresses] == ["127.0.0.1", "127.0.0.2"]
        assert len({port for _, port in listener.addresses}) == 1
        assert listener.ready.is_set()


async def test_clients_come_in_over_tls(tmp_path: Path) -> None:
    server = certificate(tmp_path)
    client = ssl.create_default_context(cafile=str(tmp_path / "chain.pem"))
    broker = Broker(authenticate)
    async with contextlib.AsyncExitStack() as stack:
        listener = Listener(broker, ListenerSpec("tls", ("127.0.0.1",), 0, tls=server))
        await listener.open(stack)
        reader, writer = await asyncio.open_connection(*listener.addresses[0], ssl=client)
        writer.write(connect("admin"))
        assert await reader.readexactly(4) == b"\x20\2\0\0"
        broker.close()
        assert await reader.read() == b""
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_a_taken_port_is_named_with_what_to_do() -> None:
    async with contextlib.AsyncExitStack() as stack:
        broker = Broker(authenticate)
        first = Listener(broker, ListenerSpec("one", ("127.0.0.1",), 0))
        await first.open(stack)
        port = first.addresses[0][1]
        with pytest.raises(ConfigError) as caught:
            await Listener(broker, ListenerSpec("two", ("127.0.0.1",), port)).open(stack)
        assert str(port) in caught.value.text
        assert caught.value.code == "GW-1103"
