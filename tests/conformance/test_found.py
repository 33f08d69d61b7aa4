"""What the fuzzing and the state machines found, each as one short story."""

import pytest

from gateway.broker.limits import Limits
from gateway.mqtt.queues import DropPolicy
from tests.fakes import raw_packets as raw
from tests.fakes.raw_packets import CONNACK, PUBACK, PUBLISH, RawWill
from tests.fakes.raw_pipe import PipeBroker
from tests.fakes.raw_scene import Scene


async def test_what_a_client_had_by_its_own_filter_is_not_given_to_a_group_at_its_end(
    scene5: Scene,
):
    """Only what came by the shared subscription goes to its other members (4.8.2)."""
    one, two = await scene5.client("one"), await scene5.client("two")
    await two.subscribe("$share/g/a", qos=1)
    await one.subscribe("a", "$share/g/a", qos=1)
    writer = await scene5.client("writer")
    sent = [b"%d" % index for index in range(4)]
    for payload in sent:
        await writer.publish("a", payload, 1)
    first = await two.gathered()
    for packet in first:
        await two.acknowledge(packet)
    assert 0 < len(first) < 4
    await scene5.cut(
        one
    )  # it acknowledged none: neither its own four nor what it had for the group
    rest = await two.gathered()
    assert sorted(packet.payload for packet in first + rest) == sent


async def test_what_came_by_one_group_is_not_given_to_another(scene5: Scene):
    one, two = await scene5.client("one"), await scene5.client("two")
    await one.subscribe("$share/g/a", qos=1)
    await two.subscribe("$share/h/a", qos=1)
    writer = await scene5.client("writer")
    await writer.publish("a", b"x", 1)
    await two.message(payload=b"x")
    await one.expect(PUBLISH)
    await one.subscribe("$share/h/a", qos=1)
    await scene5.cut(one)
    await two.nothing()


@pytest.mark.parametrize("code", [0x80, 0x81, 0x82, 0x83, 0x99])
async def test_a_client_that_leaves_because_of_a_fault_has_its_will_published(
    scene5: Scene, code: int
):
    """Only reason 0x00 of DISCONNECT deletes a will (3.1.2.5)."""
    reader = await scene5.client("reader")
    await reader.subscribe("will")
    client = await scene5.client("c", will=RawWill("will", b"x"))
    client.send(raw.disconnect(code))
    await reader.message(topic="will", payload=b"x")


async def test_a_will_that_waits_expires_from_its_publication_on(scene5: Scene):
    """Its message expiry is the expiry of the publication (MQTT 5.0, 3.1.3.2.4), however long it was lined up."""
    reader = await scene5.client("reader")
    await reader.subscribe("will")
    waits = {raw.Prop.WILL_DELAY: 20, raw.Prop.MESSAGE_EXPIRY: 5}
    kept = {raw.Prop.SESSION_EXPIRY: 60}
    will = RawWill("will", b"x", retain=True, properties=waits)
    await scene5.cut(await scene5.client("c", props=kept, will=will))
    scene5.pass_s(30)
    await reader.message(topic="will", properties={raw.Prop.MESSAGE_EXPIRY: 5})
    later = await scene5.client("later")
    await later.subscribe("will")
    await later.message(topic="will", retain=True)


async def test_no_local_keeps_a_clients_own_will_from_it(scene5: Scene):
    """It was published by a connection of the same client id [MQTT-3.8.3-3]."""
    kept = {raw.Prop.SESSION_EXPIRY: 60}
    client = await scene5.client("c", props=kept, will=RawWill("will", b"x", 1))
    await client.subscribe(("will", 1 | raw.NO_LOCAL), ("own", 1 | raw.NO_LOCAL))
    await client.publish("own", b"x", 1)
    await client.nothing()
    await scene5.cut(client)
    again = await scene5.client("c", props=kept, clean=False)
    await again.nothing()


async def test_a_mosquitto_bridge_is_told_to_try_without_its_mark(scene: Scene):
    """It adds 0x80 to the level, and goes on without it only after code 1 in the form of 3.1.1."""
    for level in (0x83, 0x84):
        client = await scene.socket()
        client.send(raw.connect("bridge", level=level))
        await client.expect(CONNACK, code=1)
        await client.expect_closed()


@pytest.mark.slow
@pytest.mark.parametrize("policy", list(DropPolicy))
def test_packet_ids_that_wait_are_never_given_again(policy: DropPolicy):
    """Ids are given when a message is queued; 65,535 dropped messages later they begin anew."""
    with PipeBroker(Limits(queued=3, drop=policy)) as bench:
        reader, writer = bench.pipe(5), bench.pipe(4)
        bench.send(reader, raw.connect("r", version=5, props={raw.Prop.RECEIVE_MAXIMUM: 2}))
        bench.send(reader, raw.subscribe(1, "a", qos=1, version=5))
        bench.send(writer, raw.connect("w"))
        for index in range(512):  # 65,536 messages: the next id is one that waits, if it is kept
            burst = (raw.publish("a", b"%d.%d" % (index, step), 1, 7) for step in range(128))
            bench.send(writer, b"".join(burst))
            writer.raw()
        open_ids: set[int] = set()
        payloads: list[bytes] = []
        for index in range(10):
            for packet in [packet for packet in reader.packets() if packet.kind == PUBLISH]:
                assert packet.number not in open_ids
                open_ids.add(packet.number)
                payloads.append(packet.payload)
            number = max(open_ids - {4})  # 4 is acknowledged last
            open_ids.discard(number)
            bench.send(reader, raw.ack(PUBACK, number))
            if index == 0:
                bench.send(writer, raw.publish("a", b"later", 1, 7))
            if len(payloads) == 2 + 3 + 1:
                break
        assert len(set(payloads)) == 2 + 3 + 1


def test_who_has_a_full_window_on_its_way_to_the_disk_is_passed_over_by_its_group():
    with PipeBroker(is_durable=True) as bench:
        one, two, writer = (bench.pipe(5) for _ in range(3))
        props = {raw.Prop.SESSION_EXPIRY: 100, raw.Prop.RECEIVE_MAXIMUM: 1}
        bench.send(one, raw.connect("one", version=5, props=props))
        bench.send(one, raw.subscribe(1, "a", "$share/g/a", qos=1, version=5))
        bench.send(two, raw.connect("two", version=5, props=props))
        bench.send(two, raw.subscribe(1, "$share/g/a", qos=1, version=5))
        bench.send(writer, raw.connect("writer", version=5))
        bench.send(writer, raw.publish("a", b"x", 1, version=5))
        for client in (one, two):
            assert [packet.payload for packet in client.packets() if packet.kind == PUBLISH] == [
                b"x"
            ]
