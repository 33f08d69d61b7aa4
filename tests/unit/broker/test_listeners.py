"""Listeners: several addresses, TLS, client certificates, proxies, and a taken port that is named."""

import asyncio
import contextlib
import ipaddress
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest
from cryptography import x509

from gateway.broker import behind_proxy
from gateway.broker.entrance import Entrance
from gateway.broker.listeners import Listener, ListenerSpec
from gateway.broker.server import Broker
from gateway.broker.websocket import WebSocketRules
from gateway.errors import ConfigError
from gateway.mqtt.ports import Credentials, Principal, PrincipalKind, Rejected
from tests.fakes.certificates import Made, client_side, make, make_server, server_side
from tests.fakes.mqtt_broker import DEVICE, PRINCIPALS, RawClient, connect
from tests.fakes.waiting import eventually
from tests.fakes.websocket_client import WebSocketClient

ACCEPTED = (0x20, b"\0\0")


class Doorman:
    """Lets everybody in as admin and remembers what was said."""

    def __init__(self) -> None:
        self.seen: list[Credentials] = []
        self.answer: Principal | Rejected = PRINCIPALS["admin"]

    def __call__(
        self, credentials: Credentials, done: Callable[[Principal | Rejected], None]
    ) -> None:
        self.seen.append(credentials)
        done(self.answer)


@dataclass
class Door:
    listener: Listener
    doorman: Doorman
    broker: Broker

    @property
    def port(self) -> int:
        return self.listener.addresses[0][1]


@contextlib.asynccontextmanager
async def door(hosts: tuple[str, ...] = ("127.0.0.1",), **options) -> AsyncIterator[Door]:
    doorman = Doorman()
    broker = Broker(doorman)
    async with contextlib.AsyncExitStack() as stack:
        listener = Listener(broker, ListenerSpec("test", hosts, 0, **options))
        await listener.open(stack)
        yield Door(listener, doorman, broker)
        broker.close()
        await asyncio.sleep(0)


async def said(port: int, *packets: bytes, tls: ssl.SSLContext | None = None) -> RawClient:
    client = RawClient(*await asyncio.open_connection("127.0.0.1", port, ssl=tls))
    client.send(*packets)
    return client


async def cut_off(port: int, raw: bytes) -> bool:
    """Return whether the other side closes without a word."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(raw)
    try:
        return await asyncio.wait_for(reader.read(4), 5) == b""
    except ConnectionResetError:
        return True
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


# ---- addresses ----


async def test_one_listener_serves_several_addresses_on_one_port():
    async with door(("127.0.0.1", "127.0.0.2", "::1")) as found:
        assert [host for host, _ in found.listener.addresses] == ["127.0.0.1", "127.0.0.2", "::1"]
        assert len({port for _, port in found.listener.addresses}) == 1
        assert found.listener.where()[2] == f"[::1]:{found.port}"
        assert found.listener.ready.is_set()
    assert found.listener.where() == []


@pytest.mark.parametrize("proxies", [None, (ipaddress.ip_network("127.0.0.1"),)])
async def test_a_taken_port_is_named_with_what_to_do(proxies):
    async with door() as found:
        broker = Broker(Doorman())
        spec = ListenerSpec("two", ("127.0.0.1",), found.port, proxies=proxies)
        async with contextlib.AsyncExitStack() as stack:
            with pytest.raises(ConfigError) as caught:
                await Listener(broker, spec).open(stack)
        assert str(found.port) in caught.value.text
        assert caught.value.code == "GW-1103"


async def test_an_address_of_another_machine_is_named():
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1") as caught:
        async with door(("192.0.2.1",)):
            pass
    assert caught.value.code == "GW-1103"


# ---- who may enter ----


async def test_the_entrance_is_that_of_the_listener():
    only_devices = Entrance("devices", kinds=frozenset({PrincipalKind.DEVICE}))
    async with door(entrance=only_devices) as found:
        client = await said(found.port, connect("admin"))
        assert await client.read() == (0x20, b"\0\5")
        assert found.doorman.seen[0].listener == "devices"
        await client.gone()


async def test_a_listener_has_a_connection_limit_of_its_own_and_answers_at_it():
    async with door(entrance=Entrance("small", most_connections=1)) as found:
        one = await said(found.port, connect("admin", "one"))
        assert await one.read() == ACCEPTED
        two = await said(found.port, connect("admin", "two"))
        assert await two.read() == (0x20, b"\0\3")
        await one.gone()
        await two.gone()


async def test_a_client_without_a_name_is_let_in_where_that_is_switched_on():
    nobody = Principal(PrincipalKind.USER, "anonymous:test")
    async with door(entrance=Entrance("test", anonymous=nobody)) as found:
        client = await said(found.port, connect(None))
        assert await client.read() == ACCEPTED
        assert {c.principal for c in found.broker.connections} == {nobody}
        await client.gone()


# ---- TLS ----


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(tmp_path_factory.mktemp("ca"), "test CA", is_ca=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, ca: Made) -> Made:
    return make_server(tmp_path_factory.mktemp("server"), ca)


async def test_clients_come_in_over_tls(ca, server):
    async with door(tls=server_side(server)) as found:
        client = await said(found.port, connect("admin"), tls=client_side(ca))
        assert await client.read() == ACCEPTED
        assert found.doorman.seen[0].certificate is None
        found.broker.close()
        assert await client.is_closed()
        await client.gone()


async def test_a_context_that_cannot_be_made_keeps_the_listener_from_opening():
    def broken() -> ssl.SSLContext:
        raise ConfigError("no certificate", code="GW-1810", hint="make one")

    with pytest.raises(ConfigError, match="no certificate"):
        async with door(tls=broken):
            pass


async def test_a_client_certificate_is_told_to_who_judges(tmp_path, ca, server):
    uri = f"urn:uuid:{DEVICE}"
    names = [x509.UniformResourceIdentifier(uri), x509.DNSName("kitchen.example")]
    own = make(tmp_path, "kitchen", by=ca, names=names)
    tls = server_side(server, ca)
    async with door(tls=tls, asks_certificates=True) as found:
        client = await said(found.port, connect(None), tls=client_side(ca, own))
        assert await client.read() == ACCEPTED
        certificate = found.doorman.seen[0].certificate
        assert certificate is not None
        assert certificate.common_name == "kitchen"
        assert set(certificate.names) == {uri, "kitchen.example"}
        assert certificate.fingerprint == own.fingerprint
        await client.gone()


async def test_an_optional_certificate_may_be_left_out(ca, server):
    tls = server_side(server, ca)
    async with door(tls=tls, asks_certificates=True) as found:
        client = await said(found.port, connect("admin"), tls=client_side(ca))
        assert await client.read() == ACCEPTED
        assert found.doorman.seen[0].certificate is None
        await client.gone()


@pytest.mark.parametrize("what", ["none", "of another CA", "expired"])
async def test_a_required_certificate_must_be_a_good_one(tmp_path, ca, server, what):
    own = None
    if what == "of another CA":
        own = make(tmp_path, "admin", by=make(tmp_path, "other CA", is_ca=True))
    elif what == "expired":
        own = make(tmp_path, "admin", by=ca, days=-1)
    tls = server_side(server, ca, required=True)
    async with door(tls=tls, asks_certificates=True) as found:
        with contextlib.suppress(OSError):
            client = await said(found.port, connect("admin"), tls=client_side(ca, own))
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await client.read()
            await client.gone()
        assert found.doorman.seen == []


async def test_a_certificate_of_another_ca_is_no_proof_where_none_is_required(tmp_path, ca, server):
    own = make(tmp_path, "admin", by=make(tmp_path, "other CA", is_ca=True))
    async with door(tls=server_side(server, ca), asks_certificates=True) as found:
        with contextlib.suppress(OSError):
            client = await said(found.port, connect("admin"), tls=client_side(ca, own))
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await client.read()
            await client.gone()
        assert found.doorman.seen == []


async def test_websockets_work_over_tls_and_with_certificates(tmp_path, ca, server):
    own = make(tmp_path, "kitchen", by=ca)
    tls = server_side(server, ca)
    async with door(tls=tls, asks_certificates=True, websocket=WebSocketRules()) as found:
        client = await WebSocketClient.open(found.port, tls=client_side(ca, own))
        client.send(connect(None))
        assert await client.bytes_of(4) == b"\x20\2\0\0"
        certificate = found.doorman.seen[0].certificate
        assert certificate is not None
        assert certificate.common_name == "kitchen"
        await client.gone()


async def test_something_that_is_no_tls_does_not_disturb_others(ca, server):
    async with door(tls=server_side(server)) as found:
        assert await cut_off(found.port, connect("admin"))
        client = await said(found.port, connect("admin"), tls=client_side(ca))
        assert await client.read() == ACCEPTED
        await client.gone()


# ---- behind a proxy ----

LOCAL = (ipaddress.ip_network("127.0.0.0/8"),)
HEADERS = [
    b"PROXY TCP4 192.0.2.1 192.0.2.2 40000 1883\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\x9c\x40\7\x5b",
]


@pytest.mark.parametrize("header", HEADERS)
async def test_a_proxy_says_who_its_client_is(header):
    async with door(proxies=LOCAL) as found:
        client = await said(found.port, header + connect("admin"))
        assert await client.read() == ACCEPTED
        assert found.doorman.seen[0].peer == "192.0.2.1:40000"
        await client.gone()


@pytest.mark.parametrize("header", HEADERS)
async def test_a_header_may_come_byte_by_byte(header):
    async with door(proxies=LOCAL) as found:
        client = RawClient(*await asyncio.open_connection("127.0.0.1", found.port))
        for byte in header:
            client.send(bytes((byte,)))
            await client.writer.drain()
            await asyncio.sleep(0)
        client.send(connect("admin"))
        assert await client.read() == ACCEPTED
        assert found.doorman.seen[0].peer == "192.0.2.1:40000"
        await client.gone()


async def test_a_health_check_keeps_the_proxys_own_address():
    local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"
    async with door(proxies=LOCAL) as found:
        client = await said(found.port, local + connect("admin"))
        assert await client.read() == ACCEPTED
        assert found.doorman.seen[0].peer.startswith("127.0.0.1:")
        await client.gone()


@pytest.mark.parametrize("raw", [connect("admin"), b"PROXY nonsense here\r\n", b"PROX"])
async def test_without_a_header_the_door_stays_shut(raw, caplog, monkeypatch):
    monkeypatch.setattr(behind_proxy, "HEADER_S", 0.2)
    async with door(proxies=LOCAL) as found:
        with caplog.at_level(logging.WARNING):
            assert await cut_off(found.port, raw)
        assert found.doorman.seen == []
        assert not found.broker.connections


async def test_an_address_that_is_no_trusted_proxy_is_not_believed(caplog):
    async with door(proxies=(ipaddress.ip_network("198.51.100.0/24"),)) as found:
        with caplog.at_level(logging.WARNING):
            assert await cut_off(found.port, HEADERS[0] + connect("admin"))
        assert found.doorman.seen == []
        assert "GW-1120" in [getattr(record, "code", "") for record in caplog.records]


async def test_tls_begins_after_the_header_even_in_one_segment(ca, server):
    async with door(proxies=LOCAL, tls=server_side(server)) as found:
        into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = client_side(ca).wrap_bio(into, out, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            session.do_handshake()
        reader, writer = await asyncio.open_connection("127.0.0.1", found.port)
        writer.write(HEADERS[0] + out.read())
        while True:
            into.write(await asyncio.wait_for(reader.read(65_536), 5))
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                writer.write(out.read())
        session.write(connect("admin"))
        writer.write(out.read())
        answer = b""
        while len(answer) < 4:
            into.write(await asyncio.wait_for(reader.read(65_536), 5))
            with contextlib.suppress(ssl.SSLWantReadError):
                answer += session.read(100)
        assert answer == b"\x20\2\0\0"
        assert found.doorman.seen[0].peer == "192.0.2.1:40000"
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_websockets_work_behind_a_proxy():
    async with door(proxies=LOCAL, websocket=WebSocketRules()) as found:
        reader, writer = await asyncio.open_connection("127.0.0.1", found.port)
        writer.write(
            HEADERS[1] + b"GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
        )
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        await eventually(lambda: found.broker.connections)
        assert [c.peer for c in found.broker.connections] == ["192.0.2.1:40000"]
        writer.close()
        await writer.wait_closed()


WITH_CN = (
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11"
    + (12 + 3 + 5 + 3 + 7).to_bytes(2, "big")
    + b"\xc0\0\2\1\xc0\0\2\2\x9c\x40\7\x5b"
    + b"\x20\0\x0f\x03\0\0\0\0\x22\0\x07kitchen"
)


@pytest.mark.parametrize("asks", [True, False])
async def test_a_certificate_that_the_proxy_verified_counts_where_certificates_do(asks):
    async with door(proxies=LOCAL, asks_certificates=asks) as found:
        client = await said(found.port, WITH_CN + connect("admin"))
        assert await client.read() == ACCEPTED
        certificate = found.doorman.seen[0].certificate
        assert (certificate and certificate.common_name) == ("kitchen" if asks else None)
        await client.gone()


async def test_headers_that_never_come_are_not_waited_for_without_end(monkeypatch):
    monkeypatch.setattr(behind_proxy, "MOST_PENDING", 2)
    async with door(proxies=LOCAL) as found:
        waiting = [await asyncio.open_connection("127.0.0.1", found.port) for _ in range(2)]
        assert await cut_off(
            found.port, HEADERS[0]
        )  # accepted after the two: the kernel keeps the order
        for _, writer in waiting:
            writer.close()
            await writer.wait_closed()
        for _ in range(200):  # until the two are forgotten
            if not await cut_off(found.port, HEADERS[0] + connect("admin")):
                break
            await asyncio.sleep(0.01)
        assert len(found.doorman.seen) == 1


async def test_silent_sockets_at_a_tls_listener_take_only_the_room_for_handshakes(
    ca, server, monkeypatch
):
    monkeypatch.setattr(behind_proxy, "MOST_HANDSHAKES", 2)
    async with door(tls=server_side(server)) as found:
        silent = [await asyncio.open_connection("127.0.0.1", found.port) for _ in range(5)]
        late = asyncio.ensure_future(said(found.port, connect("admin"), tls=client_side(ca)))  # noqa: TID251 - waits beside
        await asyncio.sleep(0.05)
        assert not late.done()
        for _, writer in silent:
            writer.close()
        client = await asyncio.wait_for(late, 5)
        assert await client.read() == ACCEPTED
        await client.gone()


async def test_tls_at_a_name_with_several_addresses_listens_at_all(ca, server):
    async with door(("localhost",), tls=server_side(server)) as found:
        for address in {info[4][0] for info in socket.getaddrinfo("localhost", found.port)}:
            socket.create_connection((address, found.port), 5).close()


# ---- what is said of failures ----


def told(caplog: pytest.LogCaptureFixture, code: str) -> list[str]:
    return [record.reason for record in caplog.records if getattr(record, "code", "") == code]


async def test_a_handshake_that_fails_is_said_with_its_reason_once_a_minute(ca, server, caplog):
    async with door(tls=server_side(server, ca, required=True), asks_certificates=True) as found:
        for _ in range(3):
            with contextlib.suppress(OSError):
                client = await said(found.port, connect("admin"), tls=client_side(ca))
                with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                    await client.read()
                await client.gone()
        await eventually(lambda: found.listener.failed_handshakes.total == 3)
        assert told(caplog, "GW-1127") == ["peer did not return a certificate"]


async def test_a_client_that_does_not_trust_us_is_said_too(tmp_path, server, caplog):
    stranger = make(tmp_path, "other CA", is_ca=True)
    async with door(tls=server_side(server)) as found:

        def call() -> None:  # asyncio's own client hangs up without the alert
            with socket.create_connection(("127.0.0.1", found.port)) as sock:
                client_side(stranger).wrap_socket(sock, server_hostname="localhost")

        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.to_thread(call)
        await eventually(lambda: told(caplog, "GW-1127"))
        assert told(caplog, "GW-1127") == ["tlsv1 alert unknown ca"]


async def test_a_wrong_proxy_is_said_once_a_minute_and_a_health_check_never(caplog):
    async with door(proxies=LOCAL) as found:
        for _ in range(3):
            assert await cut_off(found.port, connect("admin"))
        assert len(told(caplog, "GW-1120")) == 1
        caplog.clear()
        _, writer = await asyncio.open_connection("127.0.0.1", found.port)
        writer.close()
        await writer.wait_closed()
        await asyncio.sleep(0.02)
        assert caplog.records == []
