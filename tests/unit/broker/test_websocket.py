"""MQTT over WebSocket: the request, frames against packets, control frames, and every kind of end."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from wsproto.events import CloseConnection, Ping, Pong, TextMessage

from gateway.broker import websocket as module
from gateway.broker.limits import Limits
from gateway.broker.listeners import Listener, ListenerSpec
from gateway.broker.server import Broker
from gateway.broker.websocket import WebSocketRules
from tests.fakes.mqtt_broker import authenticate, connect, publish, subscribe
from tests.fakes.waiting import eventually
from tests.fakes.websocket_client import Refused, WebSocketClient


@dataclass
class Door:
    broker: Broker
    port: int
    rules: WebSocketRules


@contextlib.asynccontextmanager
async def door(tls: ssl.SSLContext | None = None, **rules) -> AsyncIterator[Door]:
    broker = Broker(authenticate, limits=Limits(packet_bytes=1 << 16))
    found = WebSocketRules(**rules)
    async with contextlib.AsyncExitStack() as stack:
        spec = ListenerSpec("ws", ("127.0.0.1",), 0, tls=tls, websocket=found)
        listener = Listener(broker, spec)
        await listener.open(stack)
        yield Door(broker, listener.addresses[0][1], found)
        broker.close()
        await asyncio.sleep(0)


ACCEPTED = b"\x20\x02\x00\x00"


async def logged_in(port: int) -> WebSocketClient:
    client = await WebSocketClient.open(port)
    client.send(connect("admin"))
    assert await client.bytes_of(4) == ACCEPTED
    return client


# ---- the request ----


@pytest.mark.parametrize("path", ["/mqtt", "/", "/mqtt?token=x"])
@pytest.mark.parametrize("asked", [["mqtt"], ["other", "mqtt"], ["mqttv3.1"]])
async def test_a_client_that_asks_for_mqtt_gets_it(path, asked):
    async with door() as found:
        client = await WebSocketClient.open(found.port, path=path, subprotocols=asked)
        assert client.subprotocol == asked[-1]  # [MQTT-6.0.0-4]
        assert client.extensions == []
        client.send(connect("admin"))
        assert await client.bytes_of(4) == ACCEPTED
        await client.gone()


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"subprotocols": []}, 400),
        ({"subprotocols": ["stomp"]}, 400),
        ({"path": "/elsewhere"}, 404),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"host": "gateway.local:8083", "origin": "http://gateway.local.evil.example"}, 403),
    ],
)
async def test_a_request_that_is_not_for_us_is_answered_and_closed(options, status):
    async with door() as found:
        with pytest.raises(Refused) as caught:
            await WebSocketClient.open(found.port, **options)
        assert caught.value.status == status
        assert not found.broker.connections
        await eventually(lambda: found.rules.handshakes.count == 0)


@pytest.mark.parametrize(
    ("rules", "options"),
    [
        ({}, {"host": "gateway.local:8083", "origin": "http://gateway.local"}),
        ({}, {"host": "gateway.local:8083", "origin": "https://GATEWAY.local:8443"}),
        ({}, {"host": "[2001:db8::1]:8083", "origin": "http://[2001:db8::1]"}),
        ({"origins": ("https://app.example",)}, {"origin": "https://App.example"}),
        ({"origins": ("*",)}, {"origin": "https://anywhere.example"}),
        ({}, {}),  # no browser
    ],
)
async def test_pages_of_this_host_and_of_named_ones_may_connect(rules, options):
    async with door(**rules) as found:
        client = await WebSocketClient.open(found.port, **options)
        await client.gone()


RAW = {
    "MQTT": connect("admin"),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(20),
    "a POST": b"POST /mqtt HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi",
    "a page": b"GET /mqtt HTTP/1.1\r\nHost: x\r\n\r\n",
    "an old version": b"GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 8\r\n\r\n",
    "a host that is none": b"GET /mqtt HTTP/1.1\r\nHost: \xff\xfe\r\n\r\n",
    "a header too long": b"GET /mqtt HTTP/1.1\r\nHost: x\r\nCookie: " + b"a" * 70_000,
}


@pytest.mark.parametrize("name", RAW)
async def test_what_is_no_websocket_request_gets_400(name):
    async with door() as found:
        reader, writer = await asyncio.open_connection("127.0.0.1", found.port)
        writer.write(RAW[name])
        answer = await asyncio.wait_for(reader.read(), 5)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"Sec-WebSocket-Version: 13\r\n" in answer
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        assert not found.broker.connections


async def test_a_request_that_comes_byte_by_byte_is_understood():
    async with door() as found:
        client = await WebSocketClient.open(found.port, one_by_one=True)
        client.send(connect("admin"))
        assert await client.bytes_of(4) == ACCEPTED
        await client.gone()


async def test_a_socket_that_asks_for_nothing_is_closed_in_time(monkeypatch):
    monkeypatch.setattr(module, "HANDSHAKE_S", 0.05)
    async with door() as found:
        reader, writer = await asyncio.open_connection("127.0.0.1", found.port)
        writer.write(b"GET /mqtt HTTP/1.1\r\n")
        assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 408 ")
        writer.close()
        await writer.wait_closed()


async def test_too_many_requests_under_way_are_cut_off(monkeypatch):
    monkeypatch.setattr(module, "MOST_HANDSHAKES", 2)
    async with door() as found:
        waiting = [await asyncio.open_connection("127.0.0.1", found.port) for _ in range(2)]
        await eventually(lambda: found.rules.handshakes.count == 2)
        reader, writer = await asyncio.open_connection("127.0.0.1", found.port)
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 5) == b""
        for _, each in (*waiting, (reader, writer)):
            each.close()
            with contextlib.suppress(OSError):
                await each.wait_closed()
        await eventually(lambda: found.rules.handshakes.count == 0)
        await (await logged_in(found.port)).gone()


# ---- frames ----


async def test_packets_and_frames_do_not_have_to_match():
    async with door() as found:
        client = await WebSocketClient.open(found.port)
        stream = connect("admin") + subscribe("a", qos=0) + publish("a", b"x" * 300)
        for piece in (stream[:1], stream[1:9], b"", stream[9:40], stream[40:]):
            client.send(piece)
        back = publish("a", b"x" * 300)
        assert await client.bytes_of(4 + 5 + len(back)) == ACCEPTED + b"\x90\x03\0\1\0" + back
        await client.gone()


async def test_a_packet_in_fragments_of_one_message_is_put_together():
    async with door() as found:
        client = await WebSocketClient.open(found.port)
        raw = connect("admin")
        client.send_fragments(raw[:5], raw[5:6], raw[6:])
        assert await client.bytes_of(4) == ACCEPTED
        await client.gone()


async def test_what_the_broker_sends_in_a_tick_is_one_frame():
    async with door() as found:
        client = await logged_in(found.port)
        client.send(subscribe("a") + publish("a", b"1") + publish("a", b"2"))
        back = b"\x90\x03\0\1\0" + publish("a", b"1") + publish("a", b"2")
        assert await client.bytes_of(len(back)) == back
        assert len(client.frames) == 2  # CONNACK's, and this
        await client.gone()


async def test_a_ping_is_answered_and_does_not_reach_mqtt():
    async with door() as found:
        client = await logged_in(found.port)
        client.say(Ping(b"are you there"))
        assert (await client.event(Pong)).payload == b"are you there"
        client.send(b"\xc0\0")
        assert await client.bytes_of(2) == b"\xd0\0"
        await client.gone()


async def test_pings_of_a_client_that_does_not_read_cost_no_memory(monkeypatch):
    monkeypatch.setattr(module, "MOST_UNSENT_PONG_BYTES", 0)
    async with door() as found:
        client = await logged_in(found.port)
        client.say(Ping(b"one"))
        client.send(b"\xc0\0")
        assert await client.bytes_of(2) == b"\xd0\0"
        assert client.seen(Pong) == []
        await client.gone()


async def test_a_text_frame_closes_the_connection():  # [MQTT-6.0.0-1]
    async with door() as found:
        client = await logged_in(found.port)
        client.say(TextMessage("hello"))
        assert (await client.event(CloseConnection)).code == 1003
        await eventually(lambda: not found.broker.connections)
        await client.gone()


@pytest.mark.parametrize(
    "wrong",
    [
        b"\x82\x03abc",  # not masked
        b"\xc2\x81\0\0\0\0a",  # a reserved bit
        b"\x83\x81\0\0\0\0a",  # an unknown kind
        b"\x80\x81\0\0\0\0a",  # a continuation of nothing
        b"\x89\xfe\x00\x80" + bytes(4 + 128),  # a ping too long
        b"\x09\x80\0\0\0\0",  # a ping in fragments
    ],
)
async def test_a_frame_that_breaks_the_rules_closes_the_connection(wrong):
    async with door() as found:
        client = await logged_in(found.port)
        client.raw(wrong)
        assert (await client.event(CloseConnection)).code == 1002
        await eventually(lambda: not found.broker.connections)
        await client.gone()


async def test_a_broken_packet_ends_in_a_close_frame():
    async with door() as found:
        client = await logged_in(found.port)
        client.send(b"\xf0\0")
        assert (await client.event(CloseConnection)).code == 1000
        assert await client.is_over()
        await client.gone()


async def test_a_packet_above_the_limit_is_not_collected():
    async with door() as found:
        client = await logged_in(found.port)
        client.send(b"\x30\xff\xff\x7f" + b"x" * 1000)
        assert (await client.event(CloseConnection)).code == 1000
        await client.gone()


# ---- the end ----


async def test_a_client_that_says_goodbye_is_answered_and_its_will_is_published():
    async with door() as found:
        watcher = await logged_in(found.port)
        watcher.send(subscribe("will"))
        await watcher.bytes_of(5)
        client = await WebSocketClient.open(found.port)
        client.send(connect("admin", "other", will=("will", b"gone", 0)))
        assert await client.bytes_of(4) == ACCEPTED
        client.say(CloseConnection(code=1001, reason="leaving the page"))
        assert (await client.event(CloseConnection)).code == 1001
        back = publish("will", b"gone")
        assert await watcher.bytes_of(len(back)) == back
        await client.gone()
        await watcher.gone()


@pytest.mark.parametrize("how", ["eof", "abort"])
async def test_a_client_that_vanishes_leaves_nothing_behind(how):
    async with door() as found:
        client = await logged_in(found.port)
        assert len(found.broker.connections) == 1
        if how == "eof":
            client.writer.write_eof()
        else:
            client.writer.transport.abort()
        await eventually(lambda: not found.broker.connections)
        await client.gone()


async def test_a_broker_that_stops_says_goodbye():
    async with door() as found:
        client = await logged_in(found.port)
        found.broker.close()
        assert (await client.event(CloseConnection)).code == 1000
        assert await client.is_over()
        await client.gone()


async def test_a_client_that_does_not_read_is_held_back_as_over_tcp():
    async with door() as found:
        reader = await WebSocketClient.open(found.port, receive_bytes=4096)
        reader.send(connect("admin", "slow"))
        assert await reader.bytes_of(4) == ACCEPTED
        reader.send(subscribe("flood"))
        await reader.bytes_of(5)
        sender = await logged_in(found.port)
        (slow,) = [c for c in found.broker.connections if c.client_id == "slow"]
        for _ in range(400):
            sender.send(publish("flood", b"x" * 30_000))
            await sender.writer.drain()
            if slow.session is not None and slow.session.dropped:
                break
        await eventually(lambda: slow.session is not None and slow.session.dropped > 0)
        assert slow.transport is not None
        assert slow.transport.get_write_buffer_size() < 4 << 20
        reader.writer.transport.abort()
        await reader.gone()
        await sender.gone()
