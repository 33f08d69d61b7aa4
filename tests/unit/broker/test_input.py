"""How bytes become packets, without a socket: alone, in bursts, cut, and too much in one tick."""

import asyncio

import pytest

from gateway.broker.connection import UNFLUSHED_BYTES, Connection
from gateway.broker.limits import Limits
from gateway.broker.server import Broker
from gateway.mqtt.ports import CONSUMED, Publish, Session, Verdict, Wait
from tests.fakes.mqtt_broker import DEVICE, OTHER, authenticate, connect, packet, publish, subscribe


class FakeTransport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: object) -> None:
        assert isinstance(data, bytes)
        self.written.append(data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def close(self) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


def client(broker: Broker, user: str, client_id: str = "c") -> tuple[Connection, FakeTransport]:
    connection, transport = broker.accept("test"), FakeTransport()
    connection.connection_made(transport)
    connection.data_received(connect(user, client_id))
    broker.routing.flush()
    assert transport.written.pop()[:2] == b"\x20\x02"
    return connection, transport


async def test_a_tick_with_much_input_is_written_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.broker.connection.CALM_S", 3600.0)
    broker = Broker(authenticate, limits=Limits(packet_bytes=UNFLUSHED_BYTES))
    reader, out = client(broker, "admin", "reader")
    reader.data_received(subscribe("a"))
    broker.routing.flush()
    out.written.clear()
    writer, _ = client(broker, "admin", "writer")
    big = publish("a", b"x" * (UNFLUSHED_BYTES // 2 - 100))
    for _ in range(2):
        writer.data_received(big)
        assert out.written == []
    writer.data_received(publish("a", b"x" * 300))
    assert out.written == [big + big]


async def test_what_one_read_in_a_calm_time_brings_is_written_at_once() -> None:
    broker = Broker(authenticate)
    reader, out = client(broker, "admin", "reader")
    reader.data_received(subscribe("a"))
    writer, answers = client(broker, "admin", "writer")
    out.written.clear()
    broker.routing.read_at = 0.0
    writer.data_received(publish("a", b"1", 1, 1) + publish("a", b"2", 1, 2))
    assert out.written == [publish("a", b"1") + publish("a", b"2")]
    assert answers.written == [b"\x40\x02\0\1\x40\x02\0\2"]


@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("size", [1, 60, 130, 20_000])
async def test_a_packet_means_the_same_alone_and_in_a_burst(qos: int, size: int) -> None:
    broker = Broker(authenticate)
    reader, out = client(broker, "admin", "reader")
    reader.data_received(subscribe("a/#", qos=qos))
    broker.routing.flush()
    out.written.clear()
    writer, answers = client(broker, "admin", "writer")
    for number in (1, 2):  # the second finds the topic known
        writer.data_received(publish("a/b", b"x" * size, qos, number))
    writer.data_received(b"".join(publish("a/b", b"x" * size, qos, n) for n in (3, 4)))
    broker.routing.flush()
    assert b"".join(out.written) == b"".join(
        publish("a/b", b"x" * size, qos, n) for n in (1, 2, 3, 4)
    )
    acks = b"".join(packet(0x40, bytes((0, n))) for n in (1, 2, 3, 4)) if qos else b""
    assert b"".join(answers.written) == acks
    assert broker.stats()["messages_in"] == 4
    for n in (1, 2, 3, 4):
        reader.data_received(packet(0x40, bytes((0, n)))) if qos else None
    assert broker.stats()["inflight"] == 0


async def test_a_lone_packet_that_waits_is_asked_again_and_keeps_its_place() -> None:
    broker = Broker(authenticate)
    taken: list[bytes] = []
    known: list[bool] = []

    def take(session: Session, publish: Publish) -> Verdict:
        if not known:
            return Wait("key")
        taken.append(publish.payload)
        return CONSUMED

    broker.claim("message", take)
    device, answers = client(broker, DEVICE)
    for number in (1, 2):
        device.data_received(publish("message", b"%d" % number, 1, number))
    known.append(True)
    broker.resume(["key"])
    broker.routing.flush()
    assert taken == [b"1", b"2"]
    assert b"".join(answers.written) == b"\x40\x02\0\1\x40\x02\0\2"


async def test_a_lone_qos_1_packet_without_a_valid_id_closes() -> None:
    broker = Broker(authenticate)
    for body in (b"\0\3a/b\0\0x", b"\0\3a/b\1", b"\0\3a/b"):
        writer, _ = client(broker, "admin")
        writer.data_received(publish("a/b", b"x", 1, 1))
        writer.data_received(packet(0x32, body))
        assert writer.closing is not None


@pytest.mark.parametrize("is_one_read", [True, False])
async def test_nothing_behind_a_disconnect_is_handled(is_one_read: bool) -> None:
    broker = Broker(authenticate)
    taken: list[bytes] = []
    known: list[bool] = []

    def take(session: Session, publish: Publish) -> Verdict:
        if not known:
            return Wait("key")
        taken.append(publish.payload)
        return CONSUMED

    broker.claim("message", take)
    broker.subscribe("lab/#", lambda _, payload, __: taken.append(payload))
    device, _ = client(broker, OTHER)
    packets = [
        publish("message", b"before", 1, 1),
        b"\xe0\x00",
        publish("lab/a", b"after", 1, 2),
        b"\xc0\x00",
    ]
    for data in [b"".join(packets)] if is_one_read else packets:
        device.data_received(data)
    assert taken == []
    known.append(True)
    broker.resume(["key"])
    assert taken == [b"before"]
    assert device.closing == "left"
    assert broker.connections == []


async def test_a_claim_that_fails_stops_nobody_elses_output() -> None:
    broker = Broker(authenticate)

    def fail(session: Session, publish: Publish) -> Verdict:
        raise RuntimeError("a mistake of ours")

    broker.claim("message", fail)
    reader, out = client(broker, "admin", "reader")
    reader.data_received(subscribe("a"))
    broker.routing.flush()
    out.written.clear()
    device, _ = client(broker, DEVICE)
    broker.routing.read_at = 0.0  # calm
    with pytest.raises(RuntimeError):
        device.data_received(publish("message", b"{}", 1, 1))
    broker.publish("a", b"x")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert out.written == [publish("a", b"x")]
