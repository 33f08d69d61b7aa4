"""Clients of other makers over TCP, TLS, WebSockets with and without TLS, and a Unix socket."""

import asyncio
import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from tests.clients.mqtt_makers import each_transport, fresh, opened
from tests.clients.mqtt_paho import PahoClient
from tests.clients.mqtt_wire import V5, V311, Message, RefusedError, Session, Target, Want, plain
from tests.fakes.certificates import make
from tests.fakes.waiting import eventually

pytestmark = [
    pytest.mark.slow,
    # gmqtt and amqtt leave transports to the collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SECONDS = 20.0
LARGE = (
    bytes(range(256)) * 1000
)  # below mqtt.limits.most_packet_bytes, above every buffer on the way

Places = dict[str, Target]


async def heard(client, count: int) -> list[tuple[str, bytes]]:
    await eventually(
        lambda: len(client.seen.messages) >= count, seconds=SECONDS, what=f"{count} messages"
    )
    return [plain(message) for message in client.seen.messages]


def by_topic(messages: list[tuple[str, bytes]]) -> dict[str, list[bytes]]:
    """Sort by topic, each of which keeps its order [MQTT-4.6.0-5]."""
    found: dict[str, list[bytes]] = {}
    for topic, payload in messages:
        found.setdefault(topic, []).append(payload)
    return found


@each_transport()
async def test_messages_go_both_ways(places: Places, maker, transport, version):
    async with (
        opened(PahoClient, places["tcp"], V311) as other,
        opened(maker, places[transport], version) as client,
    ):
        out, back = fresh("out"), fresh("back")
        await other.subscribe(Want(f"{out}/#", 2))
        await client.subscribe(Want(f"{back}/#", 2))
        sent = [Message(f"{out}/{qos}", b"%d" % n, qos) for qos in (0, 1, 2) for n in range(100)]
        await client.publish(sent)
        assert by_topic(await heard(other, 300)) == by_topic([plain(m) for m in sent])
        answers = [replace(m, topic=m.topic.replace(out, back)) for m in sent]
        await other.publish(answers)
        assert by_topic(await heard(client, 300)) == by_topic([plain(m) for m in answers])


@each_transport()
async def test_large_packets_pass_whole(places: Places, maker, transport, version):
    topic = fresh("large")
    async with opened(maker, places[transport], version) as client:
        await client.subscribe(Want(topic, 1))
        await client.publish([Message(topic, LARGE, 1)])
        assert await heard(client, 1) == [(topic, LARGE)]


@each_transport()
async def test_a_broken_line_tells_the_will_and_the_session_goes_on(
    places: Places, maker, transport, version
):
    name, topic, wills = fresh("sleeper"), fresh("offline"), fresh("will")
    kept = {"clean": False, "expiry_s": 600, "will": Message(wills, b"gone", 1)}
    async with opened(PahoClient, places["tcp"], V311) as other:
        await other.subscribe(Want(wills, 1))
        async with opened(maker, places[transport], version, name, **kept) as client:
            await client.subscribe(Want(topic, 1))
            await client.cut()
            assert await heard(other, 1) == [(wills, b"gone")]
        await other.publish([Message(topic, b"missed", 1)])
        async with opened(maker, places[transport], version, name, **kept) as client:
            if maker.name == "mosquitto":  # its connection begins with a filter
                await client.subscribe(Want(topic, 1))
            assert await heard(client, 1) == [(topic, b"missed")]


@pytest.mark.parametrize("transport", sorted(PahoClient.transports))
async def test_a_wrong_password_is_refused(places: Places, transport):
    # One client only: after 20 failures in a minute an address waits.
    with pytest.raises(RefusedError) as refused:
        async with opened(PahoClient, replace(places[transport], password="guess"), V5):
            pass
    assert refused.value.code == 134


@pytest.mark.parametrize("transport", ["tls", "wss"])
async def test_who_trusts_another_authority_says_nothing_to_the_node(
    places: Places, transport, tmp_path: Path
):
    stranger = make(tmp_path, "another authority", is_ca=True)
    client = PahoClient(
        replace(places[transport], ca=stranger.chain_file), Session(fresh("client"))
    )
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.to_thread(client.paho.connect, "127.0.0.1", places[transport].port)


async def test_websockets_are_served_at_two_paths(places: Places):
    for path in ("/mqtt", "/"):
        async with opened(PahoClient, replace(places["ws"], path=path), V311) as client:
            topic = fresh("path")
            await client.subscribe(Want(topic, 1))
            await client.publish([Message(topic, b"x", 1)])
            assert await heard(client, 1) == [(topic, b"x")]
