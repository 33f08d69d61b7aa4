"""Clients of other makers against a running node: what every version of MQTT promises."""

import pytest

from tests.clients.mqtt_makers import each_client, fresh, opened
from tests.clients.mqtt_paho import PahoClient
from tests.clients.mqtt_wire import V5, V31, V311, Message, RefusedError, Target, Want, plain
from tests.fakes.waiting import eventually

pytestmark = [
    pytest.mark.slow,
    # gmqtt and amqtt leave transports to the collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SECONDS = 20.0
MANY = 1000
SCRIPTS = ("köttbullar å", "温度/室内", "🌡", "ﷺ", "\ufeffbom", "a b", "e\u0301", "\U0010fffd")
PAYLOADS = (b"", bytes(range(256)), b"\0" * 3, b"\r\n")
WILD = (  # filter, topics that match it, topics that do not
    ("{}/+/x", ["{}/a/x", "{}//x"], ["{}/a/b/x", "{}/x"]),
    ("{}/#", ["{}", "{}/a", "{}/a/b"], ["{}a"]),
    ("+/{}", ["a/{}", "/{}"], ["{}", "a/b/{}"]),
    ("{}/+", ["{}/a", "{}/"], ["{}", "{}/a/b"]),
)
PACKET_BYTES = 262_144  # mqtt.limits.most_packet_bytes as it is shipped


def numbered(topic: str, qos: int, count: int) -> list[Message]:
    return [Message(topic, str(number).encode(), qos) for number in range(count)]


async def heard(client, count: int) -> list[tuple[str, bytes]]:
    """Return what a client has got once it is this much, and nothing comes after it."""
    await eventually(
        lambda: len(client.seen.messages) >= count, seconds=SECONDS, what=f"{count} messages"
    )
    return [plain(message) for message in client.seen.messages]


@each_client()
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_a_thousand_messages_go_out_in_order_and_once(target: Target, maker, version, qos):
    topic = fresh("out")
    async with (
        opened(PahoClient, target, V311) as reader,
        opened(maker, target, version) as client,
    ):
        assert await reader.subscribe(Want(topic, qos)) == qos
        sent = numbered(topic, qos, MANY)
        await client.publish(sent)
        assert await heard(reader, MANY) == [plain(message) for message in sent]
        assert {message.qos for message in reader.seen.messages} == {qos}


@each_client()
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_a_thousand_messages_come_in_in_order_and_once(target: Target, maker, version, qos):
    topic = fresh("in")
    async with (
        opened(maker, target, version) as client,
        opened(PahoClient, target, V311) as writer,
    ):
        assert await client.subscribe(Want(topic, qos)) == qos
        sent = numbered(topic, qos, MANY)
        await writer.publish(sent)
        assert await heard(client, MANY) == [plain(message) for message in sent]
        assert {message.qos for message in client.seen.messages} == {qos}


@each_client()
async def test_the_lower_qos_of_sender_and_subscriber_holds(target: Target, maker, version):
    async with opened(PahoClient, target, V311) as writer:
        for wanted in (0, 1, 2):
            topic = fresh("qos")
            async with opened(maker, target, version) as client:
                await client.subscribe(Want(topic, wanted))
                for sent in (0, 1, 2):
                    await writer.publish([Message(topic, b"x", sent)])
                    await heard(client, sent + 1)
                assert [m.qos for m in client.seen.messages] == [min(n, wanted) for n in (0, 1, 2)]


@each_client()
async def test_a_retained_message_waits_until_it_is_cleared(target: Target, maker, version):
    topic = fresh("kept")
    async with opened(maker, target, version) as client:
        await client.publish([Message(topic, b"first", 1, retain=True)])
        await client.publish([Message(topic, b"second", 1, retain=True)])
    async with opened(maker, target, version) as client:
        await client.subscribe(Want(topic, 1))
        assert await heard(client, 1) == [(topic, b"second")]
        assert client.seen.messages[0].retain
        await client.publish([Message(topic, b"third", 1, retain=True)])
        await heard(client, 2)
        assert not client.seen.messages[1].retain  # live, not replayed
        await client.publish([Message(topic, b"", 1, retain=True)])
        await heard(client, 3)
    async with opened(maker, target, version) as client:
        await client.subscribe(Want(topic, 1))
        await client.subscribe(Want(topic + "/end", 1)) if maker.name != "mosquitto" else None
        async with opened(PahoClient, target, V311) as writer:
            await writer.publish([Message(topic, b"live", 1)])
        assert await heard(client, 1) == [(topic, b"live")]


@each_client()
async def test_a_will_is_told_when_the_line_breaks_and_not_after_a_goodbye(
    target: Target, maker, version
):
    topic = fresh("will")
    will = Message(topic, b"gone", 1)
    async with opened(PahoClient, target, V311) as watcher:
        await watcher.subscribe(Want(topic, 1))
        async with opened(maker, target, version, will=will) as client:
            await client.subscribe(Want(fresh("quiet")))
        # A stopped mosquitto_sub says 0x04 from MQTT 5 on: disconnect, and tell my will.
        has_asked = maker.name == "mosquitto" and version == V5
        async with opened(PahoClient, target, V311) as writer:
            await writer.publish([Message(topic, b"between", 1)])
        async with opened(maker, target, version, will=will) as client:
            await client.subscribe(Want(fresh("quiet")))
            await client.cut()
        told = [b"gone"] * has_asked + [b"between", b"gone"]
        assert [payload for _, payload in await heard(watcher, len(told))] == told


@each_client()
async def test_a_retained_will_stays(target: Target, maker, version):
    topic = fresh("will")
    will = Message(topic, b"gone", 1, retain=True)
    async with opened(maker, target, version, will=will) as client:
        await client.subscribe(Want(fresh("quiet")))
        await client.cut()
    async with opened(PahoClient, target, V311) as watcher:
        await watcher.subscribe(Want(topic, 1))
        assert await heard(watcher, 1) == [(topic, b"gone")]
        await watcher.publish([Message(topic, b"", 1, retain=True)])


@each_client()
@pytest.mark.parametrize("qos", [1, 2])
async def test_a_kept_session_gets_what_it_missed(target: Target, maker, version, qos):
    topic, name = fresh("offline"), fresh("sleeper")
    kept = {"clean": False, "expiry_s": 600}
    async with opened(maker, target, version, name, **kept) as client:
        assert await client.subscribe(Want(topic, qos)) == qos
        assert not client.seen.is_present
    sent = numbered(topic, qos, 50)
    async with opened(PahoClient, target, V311) as writer:
        await writer.publish(sent)
    async with opened(maker, target, version, name, **kept) as client:
        if maker.name == "mosquitto":  # its connection begins with a filter
            await client.subscribe(Want(topic, qos))
        assert await heard(client, 50) == [plain(message) for message in sent]
        if "present" in maker.can and version != V31:  # 3.1's CONNACK does not say it
            assert client.seen.is_present
    async with opened(maker, target, version, name) as client:
        assert not client.seen.is_present  # a clean start ends it


@each_client(can=["stays away"])
async def test_a_second_connection_takes_the_client_id_over(target: Target, maker, version):
    name, topic = fresh("twin"), fresh("twins")
    async with opened(maker, target, version, name) as first:
        await first.subscribe(Want(topic, 1))
        async with opened(maker, target, version, name) as second:
            await second.subscribe(Want(topic, 1))
            await eventually(first.seen.closed.is_set, seconds=SECONDS, what="the first one closed")
            await second.publish([Message(topic, b"still here", 1)])
            assert await heard(second, 1) == [(topic, b"still here")]
        assert first.seen.messages == []


@each_client()
async def test_wildcards_match_what_they_should(target: Target, maker, version):
    async with opened(PahoClient, target, V311) as writer:
        for pattern, hits, misses in WILD:
            base = fresh("wild")
            async with opened(maker, target, version) as client:
                await client.subscribe(Want(pattern.format(base), 1))
                topics = [topic.format(base) for topic in misses + hits]
                await writer.publish([Message(topic, b"x", 1) for topic in topics])
                got = await heard(client, len(hits))
                assert [topic for topic, _ in got] == [topic.format(base) for topic in hits]


@each_client()
async def test_topics_of_any_script_and_payloads_of_any_bytes_arrive_unchanged(
    target: Target, maker, version
):
    base = fresh("script")
    sent = [Message(f"{base}/{level}", level.encode(), 1) for level in SCRIPTS]
    sent += [Message(f"{base}/{number}", payload, 1) for number, payload in enumerate(PAYLOADS)]
    async with opened(maker, target, version) as client:
        await client.subscribe(Want(f"{base}/#", 1))
        await client.publish(sent)
        assert await heard(client, len(sent)) == [plain(message) for message in sent]


@each_client()
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_a_packet_just_below_the_limit_passes(target: Target, maker, version, qos):
    topic = fresh("large")
    overhead = 1 + 3 + 2 + len(topic) + (2 if qos else 0) + 1  # the last: MQTT 5's empty properties
    payload = bytes(range(256)) * (PACKET_BYTES // 256)
    payload = payload[: PACKET_BYTES - overhead]
    async with opened(maker, target, version) as client:
        await client.subscribe(Want(topic, qos))
        await client.publish([Message(topic, payload, qos)])
        assert await heard(client, 1) == [(topic, payload)]


@each_client()
async def test_the_brokers_own_figures_can_be_read(target: Target, maker, version):
    async with opened(maker, target, version) as client:
        await client.subscribe(Want("$SYS/broker/#"))
        found: dict[str, bytes] = {}

        def has_come() -> bool:
            found.update(
                (m.topic.removeprefix("$SYS/broker/"), m.payload) for m in client.seen.messages
            )
            return {"version", "uptime", "clients/connected"} <= found.keys()

        await eventually(has_come, seconds=SECONDS, what="$SYS")
        assert found["version"].startswith(b"gateway")
        assert int(found["clients/connected"]) >= 1


@each_client()
async def test_a_wrong_password_is_refused(target: Target, maker, version):
    wrong = Target(target.port, password="guess")
    with pytest.raises(RefusedError) as refused:
        async with opened(maker, wrong, version):
            pass
    # paho tells 3.1.1's code 4 as MQTT 5's 134; Debian's tools and amqtt do not always tell it.
    assert refused.value.code in ({134, None} if version == V5 else {4, 134, None})
