"""What a bridge owes to any broker: its limits, its acknowledgements, its dialect; and what it tells of refusals."""

import asyncio
import contextlib
import logging
import random
from dataclasses import replace

import pytest

from gateway.broker.limits import Limits
from gateway.broker.peers import bridge as module
from gateway.broker.peers.bridge import PeerBridge
from gateway.broker.peers.rules import Rules
from gateway.broker.peers.spec import BridgeSpec
from gateway.broker.peers.speech import BRIDGE, PLAIN, V5
from gateway.errors import BadTokenError, BrokerDownError, ConfigError
from gateway.mqtt import properties as props
from gateway.mqtt import reasons
from gateway.mqtt.client_packets import PublishPacket
from gateway.mqtt.packets import disconnect
from tests.fakes.bridges import both, bridged, dial, into, loops_of, out
from tests.fakes.mqtt_broker import running
from tests.fakes.mqtt_paho import PahoClient, paho_client
from tests.fakes.mqtt_sessions import SlowJournal
from tests.fakes.peer_broker import BRIDGE_BIT, FakePeer, peer
from tests.fakes.waiting import eventually

V311 = frozenset({4, 4 | BRIDGE_BIT})


def payloads(fake: FakePeer) -> list[bytes]:
    return [packet.payload for packet in fake.published]


def burst(client: PahoClient, count: int, *, qos: int = 1, size: int = 0) -> None:
    for number in range(count):
        client.client.publish("a/b", f"{number}".ljust(size), qos)


@pytest.mark.parametrize(
    ("speaks", "said", "window"),
    [
        (frozenset({5}), {props.RECEIVE_MAXIMUM: 3}, 3),
        (frozenset({5}), {}, 100),
        (V311, {}, 20),
        (frozenset({4}), {}, 20),
    ],
)
async def test_the_window_of_the_other_broker_is_never_exceeded(
    speaks: frozenset[int], said: props.Properties, window: int
) -> None:
    async with (
        running() as (broker, port),
        peer(properties=said, speaks=speaks, answers=False) as far,
        bridged(broker, far.port, [out("a/#")]),
    ):
        with paho_client("admin", "sender") as client:
            await client.start(port)
            burst(client, window * 2)
            await far.saw(window)
            await eventually(lambda: len(client.published) == window * 2)
            assert len(far.published) == window
            while len(far.published) < window * 2 or far.unanswered:
                far.answer(len(far.unanswered))
                await eventually(lambda: far.unanswered or len(far.published) == window * 2)
    assert far.most_unanswered == window
    assert payloads(far) == [f"{number}".encode() for number in range(window * 2)]


async def test_what_was_not_acknowledged_is_sent_again_on_the_next_connection() -> None:
    async with (
        running() as (broker, port),
        peer(answers=False) as far,
        bridged(broker, far.port, [out("a/#")]) as (bridge, _),
    ):
        with paho_client("admin", "sender") as client:
            await client.start(port)
            burst(client, 5)
            await far.saw(5)
            far.answer(2)
            await eventually(lambda: bridge.counts.sent == 2)
            far.answers = True
            far.hang_up()
            await far.saw(8)
    assert payloads(far) == [b"0", b"1", b"2", b"3", b"4", b"2", b"3", b"4"]


async def test_acknowledgements_out_of_order_lose_nothing() -> None:
    async with (
        running() as (broker, port),
        peer(answers=False) as far,
        bridged(broker, far.port, [out("a/#")]) as (bridge, _),
    ):
        with paho_client("admin", "sender") as client:
            await client.start(port)
            burst(client, 3)
            await far.saw(3)
            far.unanswered.reverse()
            far.answer(2)
            await eventually(lambda: bridge.counts.sent == 2)
            far.answers = True
            far.hang_up()
            await far.saw(6)
    assert payloads(far)[3:] == [b"0", b"1", b"2"]


async def test_a_message_is_acknowledged_there_once_it_is_taken_here() -> None:
    async with (
        running() as (broker, port),
        peer() as far,
        bridged(broker, far.port, [into("a/#", remote_prefix="x/")]),
    ):
        with paho_client("admin", "reader") as client:
            await client.start(port)
            await client.subscribe("a/#", 1)
            for number in range(1, 300):
                far.publish(PublishPacket("x/a/b", b"%d" % number, 1, number=number))
            await eventually(lambda: len(far.acked) == 299)
            await eventually(lambda: len(client.messages) == 299)
    assert far.acked == list(range(1, 300))
    assert [message[1] for message in client.messages] == [b"%d" % n for n in range(1, 300)]


async def test_what_our_broker_refuses_is_acknowledged_counted_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with (
        running() as (broker, _),
        peer() as far,
        bridged(broker, far.port, [into("devices/#")]) as (bridge, _),
    ):
        for number in (1, 2, 3):
            far.publish(PublishPacket("devices/pump/reading", b"1", 1, number=number))
        await eventually(lambda: far.acked == [1, 2, 3])
        assert bridge.counts.dropped == {"here": 3}
        assert bridge.counts.received == 0
    assert len([r for r in caplog.records if r.message == "bridge dropped messages"]) == 1


async def test_a_retained_command_is_refused_a_live_one_passes() -> None:
    async with (
        running() as (broker, port),
        peer() as far,
        bridged(broker, far.port, [into("devices/+/set")]) as (bridge, _),
    ):
        with paho_client("admin", "reader") as client:
            await client.start(port)
            await client.subscribe("devices/+/set", 1)
            far.publish(PublishPacket("devices/pump/set", b"on", 1, retain=True, number=1))
            far.publish(PublishPacket("devices/pump/set", b"off", 1, number=2))
            await eventually(lambda: far.acked == [1, 2])
            await eventually(lambda: client.messages)
    assert [message[1] for message in client.messages] == [b"off"]
    assert bridge.counts.dropped == {"here": 1}


LIMITS = {
    props.MAXIMUM_QOS: 0,
    props.RETAIN_AVAILABLE: 0,
    props.MAXIMUM_PACKET_SIZE: 200,
}


async def test_what_the_other_broker_cannot_take_is_left_out_and_blocks_nothing() -> None:
    async with (
        running() as (broker, port),
        peer(properties=LIMITS) as far,
        bridged(broker, far.port, [out("a/#")]) as (bridge, _),
    ):
        with paho_client("admin", "sender") as client:
            await client.start(port)
            burst(client, 1, size=500)
            client.client.publish("a/b", b"kept", 1, retain=True)
            client.client.publish("a/b", b"live", 1)
            await far.saw(2)
            await eventually(lambda: bridge.queued == 0)
    assert [(p.payload, p.qos, p.retain) for p in far.published] == [(b"kept", 0, False), (b"live", 0, False)]  # fmt: skip
    assert bridge.counts.dropped == {"size": 1}
    assert bridge.counts.sent == 2


async def test_what_the_other_broker_refuses_is_counted_and_not_sent_again() -> None:
    async with (
        running() as (broker, port),
        peer(answers=False) as far,
        bridged(broker, far.port, [out("a/#")]) as (bridge, _),
    ):
        with paho_client("admin", "sender") as client:
            await client.start(port)
            burst(client, 2)
            await far.saw(2)
            far.answer(1, reasons.NOT_AUTHORIZED)
            far.answer(1)
            await eventually(lambda: bridge.queued == 0)
    assert bridge.counts.dropped == {"there": 1}
    assert bridge.counts.sent == 1


@pytest.mark.parametrize(
    ("speaks", "levels", "dialect"),
    [
        (frozenset({5}), [5], V5),
        (V311, [5, 4 | BRIDGE_BIT], BRIDGE),
        (frozenset({4}), [5, 4 | BRIDGE_BIT, 4], PLAIN),
    ],
)
async def test_the_newest_dialect_that_is_spoken_is_found_and_kept(
    speaks: frozenset[int], levels: list[int], dialect: object
) -> None:
    async with (
        running() as (broker, _),
        peer(speaks=speaks) as far,
        bridged(broker, far.port, [out("a/#")]) as (bridge, _),
    ):
        assert far.levels == levels
        assert bridge._dialect == dialect
        far.hang_up()
        await eventually(lambda: len(far.levels) == len(levels) + 1)
        assert far.levels[-1] == levels[-1]


async def test_properties_cross_both_ways() -> None:
    said: props.Properties = {
        props.PAYLOAD_FORMAT: 1,
        props.MESSAGE_EXPIRY: 60,
        props.CONTENT_TYPE: "text/plain",
        props.RESPONSE_TOPIC: "answers/1",
        props.CORRELATION_DATA: b"\x00\xff",
        props.USER_PROPERTY: [("b", "1"), ("a", "2"), ("b", "3")],
    }
    async with (
        running() as (broker, _),
        peer() as one,
        peer() as two,
        bridged(broker, one.port, [into("a/#")], bridge="one", client_id="one"),
        bridged(broker, two.port, [out("a/#")], bridge="two", client_id="two"),
    ):
        one.publish(PublishPacket("a/b", b"x", 1, number=1, properties=said))
        await two.saw(1)
    found = dict(two.published[0].properties)
    hops = found[props.USER_PROPERTY][3:]
    found[props.USER_PROPERTY] = found[props.USER_PROPERTY][:3]
    assert {**found, props.MESSAGE_EXPIRY: 60} == said
    assert found[props.MESSAGE_EXPIRY] <= 60
    assert [name for name, _ in hops] == ["gateway-hop"]


async def test_both_sides_are_asked_for_no_local_and_for_the_retain_flag() -> None:
    async with (
        running() as (broker, _),
        peer() as far,
        bridged(broker, far.port, [into("a/#"), both("b/#", qos=2)]) as (bridge, _),
    ):
        session = bridge._session()
        assert session is not None
        await eventually(lambda: far.filters)
        assert far.filters == [("a/#", 1 | 4 | 8), ("b/#", 1 | 4 | 8 | 1 << 4)]
        connect = far.connects[0]
    assert not connect.clean_start
    assert connect.expiry_s == 7 * 86_400
    assert connect.receive_maximum == 100


async def test_without_anything_coming_in_the_other_broker_keeps_no_session() -> None:
    async with (
        running() as (broker, _),
        peer(speaks=V311) as far,
        bridged(broker, far.port, [out("a/#")]),
    ):
        assert far.connects[0].clean_start


REFUSALS = [
    (5, reasons.NOT_AUTHORIZED, BadTokenError, "GW-1143", "refused"),
    (5, reasons.BAD_USER_NAME_OR_PASSWORD, BadTokenError, "GW-1143", "refused"),
    (5, reasons.CLIENT_IDENTIFIER_NOT_VALID, ConfigError, "GW-1144", "refused"),
    (5, reasons.SERVER_MOVED, ConfigError, "GW-1144", "refused"),
    (5, reasons.SERVER_BUSY, None, "GW-1141", "waiting"),
    (4, 5, BadTokenError, "GW-1143", "refused"),
    (4, 4, BadTokenError, "GW-1143", "refused"),
    (4, 2, ConfigError, "GW-1144", "refused"),
    (4, 3, None, "GW-1141", "waiting"),
]


@pytest.mark.parametrize(("level", "code", "told", "number", "state"), REFUSALS)
async def test_a_refusal_is_told_with_its_reason_and_what_to_do(
    level: int,
    code: int,
    told: type | None,
    number: str,
    state: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    version = "5" if level == 5 else "3.1.1"
    async with running() as (broker, _), peer(code=code) as far:
        with caplog.at_level(logging.WARNING):
            async with bridged(broker, far.port, [out("a/#")], version=version, waits=False) as (bridge, people):  # fmt: skip
                await eventually(lambda: len(far.connects) >= 3)
                found = bridge.state()
                assert [type(error) for error in people.errors] == ([told] if told else [])
                assert (found["code"], found["state"]) == (number, state)
                assert found["hint"]
                assert len([r for r in caplog.records if r.message == "bridge down"]) == 1
                far.code = 0
                await eventually(lambda: bridge.is_connected)
                assert bridge.state()["reason"] == ""
                assert people.errors[-1:] == ([None] if told else [])


async def test_a_version_that_is_not_spoken_is_told() -> None:
    async with (
        running() as (broker, _),
        peer(speaks=V311) as far,
        bridged(broker, far.port, [out("a/#")], version="5", waits=False) as (bridge, _),
    ):
        await eventually(lambda: bridge.state()["code"] == "GW-1144")
        assert "auto" in bridge.state()["hint"]


async def test_a_slow_broker_costs_a_bounded_amount_and_no_qos_1_message() -> None:
    async with (
        running() as (broker, port),
        peer(answers=False) as far,
        bridged(broker, far.port, [out("a/#")]) as (bridge, _),
    ):
        assert far._writer is not None
        far._writer.transport.pause_reading()  # type: ignore[attr-defined]
        with paho_client("admin", "sender") as client:
            await client.start(port)
            burst(client, 600, qos=0, size=20_000)
            burst(client, 10, size=20_000)
            await eventually(lambda: len(client.published) == 610, seconds=20)
            session = bridge._session()
            assert session is not None
            await eventually(lambda: session.dropped > 0)
            assert bridge._crossing is not None
            assert bridge._crossing.far._unsent_bytes < 1 << 20
            far.answers = True
            far._writer.transport.resume_reading()  # type: ignore[attr-defined]
            await eventually(lambda: len([p for p in far.published if p.qos]) == 10, seconds=20)
            await eventually(lambda: bridge.queued == 0)


@pytest.mark.parametrize("size", [1, 1000])
async def test_a_full_broker_of_ours_holds_the_other_one_back(size: int) -> None:
    async with (
        running() as (broker, _),
        peer() as far,
        bridged(broker, far.port, [into("a/#")]) as (bridge, _),
    ):
        broker.throttle("disk", is_full=True)
        for number in range(1, 1001):
            far.publish(PublishPacket("a/b", b"x" * size, 1, number=number))
        crossing = bridge._crossing
        assert crossing is not None
        await eventually(lambda: crossing._is_paused)
        assert crossing.near.unanswered <= 110
        assert far.acked == []
        broker.throttle("disk", is_full=False)
        await eventually(lambda: len(far.acked) == 1000)
        assert bridge.counts.received == 1000


async def test_the_state_is_published_on_both_sides() -> None:
    async with running() as (broker, _), peer() as far:
        async with bridged(broker, far.port, [out("a/#")], state_topic="gw/state"):
            await far.saw(1)
            found = broker.routing.retained.get("$SYS/broker/connection/home/state")
            assert found is not None
            assert found.payload == b"1"
            will = far.connects[0].will
            assert will is not None
            assert (will.topic, will.payload, will.retain) == ("gw/state", b"0", True)
        await far.saw(2)
        assert [(p.topic, p.payload, p.retain) for p in far.published] == [("gw/state", b"1", True), ("gw/state", b"0", True)]  # fmt: skip
        found = broker.routing.retained.get("$SYS/broker/connection/home/state")
        assert found is not None
        assert found.payload == b"0"


async def test_rules_that_changed_are_the_ones_that_hold() -> None:
    async with running() as (broker, port), peer() as far:
        async with bridged(broker, far.port, [out("a/#"), out("b/#")]):
            pass
        async with bridged(broker, far.port, [out("b/#"), out("c/#")]) as (bridge, _):
            with paho_client("admin", "sender") as client:
                await client.start(port)
                for topic in ("a/x", "b/x", "c/x"):
                    client.client.publish(topic, topic, 1)
                await far.saw(2)
            assert bridge.counts.dropped == {}
    assert [packet.topic for packet in far.published] == ["b/x", "c/x"]


async def test_the_queue_is_as_long_as_configured() -> None:
    async with (
        running() as (broker, port),
        peer(code=reasons.SERVER_BUSY) as far,
        bridged(broker, far.port, [out("a/#")], version="5", waits=False) as (bridge, _),
    ):
        bridge.spec = replace(bridge.spec, queue=(30, 1 << 20))
        await eventually(bridge._session)
        bridge.bound_queue()
        with paho_client("admin", "sender") as client:
            await client.start(port)
            burst(client, 50)
            await eventually(lambda: len(client.published) == 50)
        assert bridge.queued == 30
        far.code = 0
        await far.saw(30)
    assert payloads(far) == [b"%d" % number for number in range(20, 50)]


async def reading(stack: contextlib.AsyncExitStack, port: int, pattern: str) -> PahoClient:
    client = stack.enter_context(paho_client("admin", "reader"))
    await client.start(port)
    await client.subscribe(pattern, 1)
    return client


async def test_a_subscription_that_is_refused_is_shown_and_the_rest_crosses() -> None:
    async with (
        contextlib.AsyncExitStack() as stack,
        running() as (broker, port),
        peer(refuses=frozenset({"secret/#"})) as far,
        bridged(broker, far.port, [into("secret/#"), into("open/#")]) as (bridge, _),
    ):
        client = await reading(stack, port, "open/#")
        await eventually(lambda: bridge.state()["refused_filters"] == ["secret/#"])
        far.publish(PublishPacket("open/a", b"1", 1, number=1))
        await eventually(lambda: far.acked == [1])
        await eventually(lambda: client.messages)


@pytest.mark.parametrize("version", ["5", "3.1.1"])
@pytest.mark.parametrize("seed", range(3))
async def test_garbage_ends_the_connection_and_the_next_one_stands(version: str, seed: int) -> None:
    dice = random.Random(seed)
    async with (
        contextlib.AsyncExitStack() as stack,
        running() as (broker, port),
        peer() as far,
        bridged(broker, far.port, [into("a/#")], version=version) as (bridge, _),
    ):
        client = await reading(stack, port, "a/#")
        for _ in range(4):
            stood = len(far.connects)
            far.write(dice.randbytes(dice.randrange(1, 200)))
            far.hang_up()
            await eventually(lambda: len(far.connects) > stood and bridge.is_connected)  # noqa: B023
        far.publish(PublishPacket("a/b", b"last", 1, number=1))
        await eventually(lambda: any(message[1] == b"last" for message in client.messages))


async def test_a_bridge_ends_at_once_also_while_it_connects() -> None:
    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(writer)

    opened: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with (
        running() as (broker, _),
        bridged(broker, port, [out("a/#")], waits=False) as (bridge, _),
    ):
        await eventually(lambda: opened)
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 1
    assert not bridge.is_connected
    for writer in opened:
        writer.close()
    server.close()


async def test_the_other_broker_gets_no_acknowledgement_before_ours_has_the_message_on_disk() -> (
    None
):
    journal = SlowJournal()
    async with (
        running(journal=journal) as (broker, port),
        peer() as far,
        bridged(broker, far.port, [into("a/#")], waits=False) as (bridge, _),
    ):
        with paho_client("admin", "keeper", clean=False) as keeper:
            await keeper.start(port)
            keeper.client.subscribe("a/#", 1)
            await eventually(lambda: journal.commit() or (keeper.subacks and bridge.is_connected))
            for number in (1, 2):
                far.publish(PublishPacket("a/b", b"1", 1, number=number))
            session = broker.registry.live["bridge:home", "bridge:home"].session
            assert session is not None
            await eventually(lambda: len(session.acks) == 2)
            assert far.acked == []
            journal.commit()
            await eventually(lambda: far.acked == [1, 2])


async def test_what_is_too_large_for_our_broker_is_acknowledged_and_counted() -> None:
    async with (
        running(Limits(packet_bytes=2000)) as (broker, _),
        peer() as far,
        bridged(broker, far.port, [into("a/#")]) as (bridge, _),
    ):
        far.publish(PublishPacket("a/b", b"x" * 2000, 1, number=1))
        far.publish(PublishPacket("a/b", b"x", 1, number=2))
        await eventually(lambda: far.acked == [1, 2])
        assert bridge.counts.dropped == {"size": 1}
        assert bridge.counts.received == 1


async def test_a_bridge_whose_session_is_ended_by_an_operator_comes_back() -> None:
    async with (
        running() as (broker, _),
        peer() as far,
        bridged(broker, far.port, [out("a/#")]) as (bridge, _),
    ):
        for session in broker.sessions_of("bridge:home"):
            broker.kick(session, "by hand")
        await eventually(lambda: len(far.connects) == 2 and bridge.is_connected)


async def test_a_full_broker_of_ours_is_told() -> None:
    rules = Rules([out("a/#")])
    async with running(Limits(connections=0)) as (broker, _):
        bridge = PeerBridge(BridgeSpec(dial(1, rules), rules, "auto"), broker, loops_of())
        with pytest.raises(BrokerDownError, match="connection limit") as raised:
            await bridge.run()
    assert raised.value.code == "GW-1146"


@pytest.mark.parametrize("speaks", [frozenset({5}), V311])
async def test_a_bridge_that_is_ended_at_any_moment_loses_nothing_and_keeps_the_order(
    speaks: frozenset[int],
) -> None:
    dice = random.Random(11)
    async with running() as (broker, port), peer(speaks=speaks) as far:
        with paho_client("admin", "sender") as client:
            await client.start(port)
            async with bridged(broker, far.port, [out("a/#")]):
                pass
            for turn in range(30):
                for number in range(turn * 10, turn * 10 + 10):
                    client.client.publish("a/b", str(number), 1)
                async with bridged(broker, far.port, [out("a/#")], waits=False):
                    await asyncio.sleep(dice.random() * 0.03)
            async with bridged(broker, far.port, [out("a/#")]) as (bridge, _):
                await eventually(lambda: len(client.published) == 300)
                await eventually(lambda: bridge.queued == 0)
    first_times = list(dict.fromkeys(int(payload) for payload in payloads(far)))
    assert first_times == list(range(300))


async def test_the_keep_alive_of_the_other_broker_counts() -> None:
    async with (
        running() as (broker, _),
        peer(properties={props.SERVER_KEEP_ALIVE: 1}) as far,
        bridged(broker, far.port, [out("a/#")], keep_alive_s=3600),
    ):
        await eventually(lambda: far.pings, seconds=1.5)


async def test_a_session_that_another_client_takes_is_told() -> None:
    async with (
        running() as (broker, _),
        peer() as far,
        bridged(broker, far.port, [out("a/#")]) as (bridge, told),
    ):
        far.write(disconnect(reasons.SESSION_TAKEN_OVER))
        far.hang_up()
        await eventually(lambda: len(told.errors) == 2)
        assert [error and error.code for error in told.errors] == ["GW-1149", None]
        assert bridge.is_connected


async def test_what_waits_outlives_the_life_of_a_session_while_the_other_broker_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "REFRESH_S", 0.0)
    day = 86_400.0
    async with (
        running() as (broker, port),
        peer(code=reasons.SERVER_BUSY) as far,
        bridged(broker, far.port, [out("a/#")], version="5", waits=False) as (bridge, _),
    ):
        with paho_client("admin", "sender") as client:
            await client.start(port)
            await eventually(bridge._session)
            burst(client, 5)
            await eventually(lambda: len(client.published) == 5)
        start = broker.now()
        for days in (3, 6, 9):
            broker.now = lambda: start + days * day  # noqa: B023
            broker.sweep(broker.now())
            tries = len(far.connects)
            await eventually(lambda: len(far.connects) > tries, seconds=20)  # noqa: B023
            assert bridge.queued == 5
