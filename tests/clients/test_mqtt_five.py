"""Clients of other makers against a running node: what MQTT 5 adds."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from tests.clients.mqtt_js import JsClient
from tests.clients.mqtt_makers import TOOLS, each_client, fresh, opened
from tests.clients.mqtt_mosquitto import login
from tests.clients.mqtt_paho import PahoClient
from tests.clients.mqtt_wire import V5, V311, Message, Session, Target, Want, plain
from tests.fakes.waiting import eventually

pytestmark = [
    pytest.mark.slow,
    # gmqtt and amqtt leave transports to the collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SECONDS = 20.0


async def heard(client, count: int) -> list[Message]:
    await eventually(
        lambda: len(client.seen.messages) >= count, seconds=SECONDS, what=f"{count} messages"
    )
    return client.seen.messages


@each_client(versions=[V5], can=["properties"])
async def test_properties_arrive_as_they_were_sent(target: Target, maker, version):
    topic = fresh("properties")
    sent = Message(
        topic,
        b"21.5",
        1,
        user=(("unit", "C"), ("place", "cellar"), ("unit", "K")),
        content_type="text/plain",
        response_topic="answers/1",
        correlation=b"abc",
    )
    if maker.name == "mqtt.js":  # its user properties are an object: one name stands together
        sent = replace(sent, user=(("unit", "C"), ("unit", "K"), ("place", "cellar")))
    async with (
        opened(PahoClient, target, V5) as other,
        opened(maker, target, V5) as client,
    ):
        await client.subscribe(Want(topic, 1))
        await other.subscribe(Want(topic, 1))
        await client.publish([sent])
        assert await heard(other, 1) == [sent]
        assert await heard(client, 1) == [sent]


@each_client(versions=[V5], can=["properties"])
async def test_older_clients_get_the_message_without_properties(target: Target, maker, version):
    topic = fresh("older")
    async with (
        opened(PahoClient, target, V311) as older,
        opened(maker, target, V5) as client,
    ):
        await older.subscribe(Want(topic, 1))
        await client.subscribe(Want(topic, 1))
        await client.publish([Message(topic, b"new", 1, user=(("a", "b"),))])
        await older.publish([Message(topic, b"old", 1)])
        assert [plain(m) for m in await heard(older, 2)] == [(topic, b"new"), (topic, b"old")]
        assert [m.user for m in await heard(client, 2)] == [(("a", "b"),), ()]


@each_client(versions=[V5], can=["expiry"])
async def test_what_expired_is_not_delivered_and_what_has_not_says_what_is_left(
    target: Target, maker, version
):
    topic, name = fresh("expiry"), fresh("sleeper")
    kept = {"clean": False, "expiry_s": 600}
    async with opened(maker, target, V5, name, **kept) as client:
        await client.subscribe(Want(topic, 1))
    async with opened(PahoClient, target, V5) as writer:
        await writer.publish([Message(topic, b"short", 1, expiry_s=1)])
        await writer.publish([Message(topic, b"long", 1, expiry_s=100)])
        await writer.publish([Message(topic, b"for ever", 1)])
    over = asyncio.get_running_loop().time() + 1.5
    await eventually(lambda: asyncio.get_running_loop().time() > over)
    async with opened(maker, target, V5, name, **kept) as client:
        if maker.name == "mosquitto":  # its connection begins with a filter
            await client.subscribe(Want(topic, 1))
        got = await heard(client, 2)
        assert [message.payload for message in got] == [b"long", b"for ever"]
        assert 90 <= got[0].expiry_s < 100
        assert got[1].expiry_s is None


@each_client(versions=[V5], can=["expiry"])
async def test_a_retained_message_expires(target: Target, maker, version):
    topic = fresh("expiry")
    async with opened(maker, target, V5) as client:
        await client.publish([Message(topic, b"short", 1, retain=True, expiry_s=1)])
        await client.publish([Message(topic + "/x", b"long", 1, retain=True, expiry_s=100)])
    over = asyncio.get_running_loop().time() + 1.5
    await eventually(lambda: asyncio.get_running_loop().time() > over)
    async with opened(maker, target, V5) as client:
        await client.subscribe(Want(topic + "/#", 1))
        assert [message.payload for message in await heard(client, 1)] == [b"long"]


@each_client(versions=[V5])
async def test_a_shared_subscription_gives_each_message_to_one_member(
    target: Target, maker, version
):
    topic, group = fresh("shared"), fresh("group")
    async with (
        opened(maker, target, V5) as one,
        opened(maker, target, V5) as two,
        opened(PahoClient, target, V5) as third,
        opened(PahoClient, target, V311) as writer,
    ):
        for member in (one, two, third):
            assert await member.subscribe(Want(f"$share/{group}/{topic}/+", 1)) == 1
        members = (one, two, third)
        await writer.publish([Message(f"{topic}/{n % 7}", str(n).encode(), 1) for n in range(300)])
        await eventually(lambda: sum(len(m.seen.messages) for m in members) >= 300, seconds=SECONDS)
        counts = Counter(m.payload for member in members for m in member.seen.messages)
        assert counts == Counter(str(n).encode() for n in range(300))
        assert all(member.seen.messages for member in members)


@each_client(versions=[V5], can=["identifiers"])
async def test_a_message_names_the_subscriptions_it_came_by(target: Target, maker, version):
    topic = fresh("identified")
    async with opened(maker, target, V5) as client:
        await client.subscribe(Want(topic, 1, identifier=7))
        await client.subscribe(Want(topic + "/#", 1, identifier=268_435_455))
        await client.publish([Message(topic + "/a", b"one", 1)])
        assert (await heard(client, 1))[0].identifiers == (268_435_455,)
        await client.publish([Message(topic, b"both", 1)])
        # One copy that names both, or one for each: both are allowed [MQTT-3.3.4-2..5].
        await eventually(
            lambda: (
                {n for m in client.seen.messages[1:] for n in m.identifiers} == {7, 268_435_455}
            ),
            seconds=SECONDS,
        )


@each_client(versions=[V5], can=["options"])
async def test_no_local_keeps_what_one_sent_oneself_away(target: Target, maker, version):
    topic = fresh("local")
    async with (
        opened(maker, target, V5) as client,
        opened(PahoClient, target, V311) as other,
    ):
        await client.subscribe(Want(topic, 1, no_local=True))
        await client.publish([Message(topic, b"mine", 1)])
        await other.publish([Message(topic, b"yours", 1)])
        assert [m.payload for m in await heard(client, 1)] == [b"yours"]


@each_client(versions=[V5], can=["options"])
async def test_retain_as_published_keeps_the_flag_of_live_messages(target: Target, maker, version):
    topic = fresh("flag")
    async with (
        opened(maker, target, V5) as client,
        opened(PahoClient, target, V311) as other,
    ):
        await client.subscribe(Want(topic + "/kept", 1, retain_as_published=True))
        await client.subscribe(Want(topic + "/lost", 1))
        for level in ("kept", "lost"):
            await other.publish([Message(f"{topic}/{level}", b"x", 1, retain=True)])
        assert [m.retain for m in await heard(client, 2)] == [True, False]


@each_client(versions=[V5], can=["options"])
async def test_retain_handling_says_when_retained_messages_come(target: Target, maker, version):
    topic = fresh("handling")
    async with opened(maker, target, V5) as client:
        await client.publish([Message(topic, b"kept", 1, retain=True)])
        await client.subscribe(Want(topic, 1, retain_handling=2))  # never
        await client.subscribe(Want(topic, 1, retain_handling=1))  # only a new subscription
        await client.publish([Message(topic, b"live", 1)])
        assert [m.payload for m in await heard(client, 1)] == [b"live"]
        await client.subscribe(Want(topic, 1, retain_handling=0))  # always
        assert [m.payload for m in await heard(client, 2)] == [b"live", b"kept"]


@each_client(versions=[V5], can=["aliases"])
async def test_topic_aliases_of_the_broker_are_understood(target: Target, maker, version):
    topics = [f"{fresh('alias')}/a/long/name/{n}" for n in range(5)]
    async with (
        opened(maker, target, V5, alias_maximum=3) as client,
        opened(PahoClient, target, V311) as writer,
    ):
        for topic in topics:
            await client.subscribe(Want(topic, 1))
        sent = [Message(topics[n % 5], str(n).encode(), n % 2) for n in range(50)]
        await writer.publish(sent)
        got = await heard(client, 50)
        assert [plain(m) for m in got] == [plain(m) for m in sent]
        if isinstance(client, JsClient):
            assert max(client.aliases_heard) <= 3
            assert any(client.aliases_heard), "the broker used no alias, although it may"


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("maker", [pytest.param(JsClient, marks=TOOLS["mqtt.js"], id="mqtt.js")])
async def test_topic_aliases_of_a_client_are_understood(target: Target, maker, qos):
    topics = [f"{fresh('alias')}/{n}" for n in range(5)]
    async with (
        opened(maker, target, V5, alias_maximum=10) as client,
        opened(PahoClient, target, V311) as reader,
    ):
        for topic in topics:
            await reader.subscribe(Want(topic, 1))
        sent = [Message(topics[n % 5], str(n).encode(), qos) for n in range(50)]
        await client.publish(sent)
        assert [plain(m) for m in await heard(reader, 50)] == [plain(m) for m in sent]
        assert "" in client.aliases_sent, "the broker announced no topic alias maximum"


@pytest.mark.parametrize("qos", [1, 2])
async def test_no_more_is_in_flight_than_a_client_takes(target: Target, qos):
    topic = fresh("window")
    reader = PahoClient(target, Session(fresh("client"), V5, receive_maximum=3), acks_by_hand=True)
    async with opened(PahoClient, target, V311) as writer:
        await reader.open()
        try:
            await reader.subscribe(Want(topic, qos))
            await writer.publish([Message(topic, str(n).encode(), qos) for n in range(10)])
            for left in range(10, 0, -1):
                seen = 10 - left + min(3, left)
                await heard(reader, seen)
                await reader.subscribe(Want(fresh("echo")))  # answered after whatever was sent
                assert len(reader.seen.messages) == seen
                reader.ack()
            assert [m.payload for m in reader.seen.messages] == [b"%d" % n for n in range(10)]
        finally:
            await reader.close()


async def test_a_client_without_a_name_is_given_one(target: Target):
    async with opened(PahoClient, target, V5, " ") as client:
        assert not hasattr(client.connack, "AssignedClientIdentifier")
    nameless = PahoClient(target, Session("", V5))
    await nameless.open()
    assert nameless.connack.AssignedClientIdentifier
    await nameless.close()


async def test_the_broker_says_what_it_takes(target: Target):
    async with opened(PahoClient, target, V5) as client:
        said = client.connack
        assert 1 <= said.ReceiveMaximum <= 65535
        assert said.TopicAliasMaximum >= 1
        assert said.MaximumPacketSize == 262_144


async def test_a_session_lives_as_long_as_it_asked(target: Target):
    name, topic = fresh("short"), fresh("expiry")
    async with opened(PahoClient, target, V5, name, clean=False, expiry_s=1) as client:
        await client.subscribe(Want(topic, 1))
    async with opened(PahoClient, target, V5, name, clean=False, expiry_s=1) as client:
        assert client.seen.is_present
    over = asyncio.get_running_loop().time() + 2.5
    await eventually(lambda: asyncio.get_running_loop().time() > over)
    async with opened(PahoClient, target, V5, name, clean=False, expiry_s=1) as client:
        assert not client.seen.is_present


async def test_a_will_waits_for_its_delay_and_a_return_calls_it_off(target: Target):
    topic, name = fresh("delayed"), fresh("dying")
    will = Message(topic, b"gone", 1)
    options = {"clean": False, "expiry_s": 600, "will": will, "will_delay_s": 1}
    async with opened(PahoClient, target, V5) as watcher:
        await watcher.subscribe(Want(topic, 1))
        async with opened(PahoClient, target, V5, name, **options) as client:
            await client.cut()
        async with opened(PahoClient, target, V5, name, **options):
            over = asyncio.get_running_loop().time() + 2.0
            await eventually(lambda: asyncio.get_running_loop().time() > over)
            assert watcher.seen.messages == []
        async with opened(PahoClient, target, V5, name, **options) as client:
            cut = asyncio.get_running_loop().time()
            await client.cut()
        await heard(watcher, 1)
        assert asyncio.get_running_loop().time() - cut > 0.9


async def test_a_publish_without_readers_is_acknowledged_and_a_forbidden_one_says_so(
    target: Target,
):
    async with opened(PahoClient, target, V5) as client:
        await client.publish([Message(fresh("nobody"), b"x", 1)])
        await client.publish([Message("$gateway/1/x/y", b"x", 1)])
        assert client.codes.popitem()[1] == 0x87  # not authorised


@each_client(versions=[V5], can=["properties"])
async def test_a_question_is_answered_where_it_asked(target: Target, maker, version):
    questions, answers = fresh("ask"), fresh("answer")
    async with (
        opened(maker, target, V5) as asking,
        opened(PahoClient, target, V5) as answering,
    ):
        await answering.subscribe(Want(questions, 1))
        await asking.subscribe(Want(answers, 1))
        question = Message(questions, b"2+2", 1, response_topic=answers, correlation=b"q1")
        await asking.publish([question])
        asked = (await heard(answering, 1))[0]
        answer = Message(asked.response_topic, b"4", 1, correlation=asked.correlation)
        await answering.publish([answer])
        assert await heard(asking, 1) == [answer]


@pytest.mark.needs("mosquitto_rr")
@pytest.mark.parametrize("version", [V311, V5])
async def test_debians_request_tool_gets_its_answer(target: Target, version):
    questions, answers = fresh("ask"), fresh("answer")
    words = [*login(target, version), "-t", questions, "-e", answers, "-m", "2+2", "-W", "20"]
    async with opened(PahoClient, target, version) as answering:
        await answering.subscribe(Want(questions, 1))
        tool = await asyncio.create_subprocess_exec(
            "mosquitto_rr", *words, stdout=asyncio.subprocess.PIPE
        )
        asked = (await heard(answering, 1))[0]
        assert asked.payload == b"2+2"
        # Before MQTT 5 nothing in the message says where the answer belongs.
        assert asked.response_topic == (answers if version == V5 else None)
        await answering.publish([Message(answers, b"4", 1, correlation=asked.correlation)])
        out, _ = await tool.communicate()
        assert (tool.returncode, out) == (0, b"4\n")
