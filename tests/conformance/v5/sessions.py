"""MQTT 5.0, 3.1.2.4, 3.1.3.1 and 4.1: client ids, and the sessions that they name."""

from tests.conformance.statements import Statements
from tests.conformance.v5.steps import is_resumed, kept, told
from tests.fakes.raw_packets import Prop
from tests.fakes.raw_scene import Scene

table = Statements()


@table("3.1.2-4", "Clean Start forgets the session that was there")
@table("3.1.4-4", "Clean Start is done as 3.1.2.4 says")
@table("3.2.2-2", "after Clean Start no session is present")
async def clean_start(scene: Scene) -> None:
    client = await kept(scene)
    await client.subscribe("t", qos=1)
    await client.disconnect()
    client = await scene.client("kept", clean=True)
    assert not is_resumed(client)
    await (await scene.client("other")).publish("t", b"x", 1)
    await client.nothing()


@table("3.1.2-5", "a session that is there is resumed, with its subscriptions and queue")
@table("3.1.2-23", "a session with an expiry interval outlives its connection")
@table("4.5.0-1", "a message is kept for whoever is away and subscribed")
async def resumed(scene: Scene) -> None:
    client = await kept(scene)
    await client.subscribe("t", qos=1)
    await client.disconnect()
    other = await scene.client("other")
    await other.publish("t", b"while away", 1)
    client = await kept(scene)
    await client.message(payload=b"while away", qos=1)
    await other.publish("t", b"back again", 1)
    await client.message(payload=b"back again")


@table("3.1.2-6", "without a session to resume, a new one is made")
async def new_session(scene: Scene) -> None:
    client = await kept(scene)
    assert not is_resumed(client)
    await client.subscribe("t", qos=1)
    await client.publish("t", b"x", 1)
    await client.message(payload=b"x")


@table("3.2.2-3", "Session Present tells whether there was a session")
async def session_present(scene: Scene) -> None:
    for expected in (False, True, True):
        client = await kept(scene)
        assert is_resumed(client) is expected
        await client.disconnect()


@table("3.1.3-2", "the client id tells sessions apart")
async def client_id_is_the_session(scene: Scene) -> None:
    one = await kept(scene, "one")
    await one.subscribe("t", qos=1)
    await one.disconnect()
    two = await kept(scene, "two")
    assert not is_resumed(two)
    await two.publish("t", b"x", 1)
    await two.nothing()
    one = await kept(scene, "one")
    assert is_resumed(one)
    await one.message(payload=b"x")


@table("3.1.3-6", "a client without an id gets one")
@table("3.1.3-7", "the id is told in CONNACK, and is as good as one of its own")
@table("3.2.2-16", "the assigned id is nobody else's")
async def assigned_client_id(scene: Scene) -> None:
    clients = [await scene.client("", props={Prop.SESSION_EXPIRY: 60}) for _ in range(3)]
    names = [told(client)[Prop.ASSIGNED_CLIENT_ID] for client in clients]
    assert len(set(names)) == 3
    assert all(names)
    await clients[0].subscribe("t", qos=1)
    await clients[0].disconnect()
    await clients[1].publish("t", b"x", 1)
    again = await kept(scene, names[0])
    assert is_resumed(again)
    assert Prop.ASSIGNED_CLIENT_ID not in told(again)
    await again.message(payload=b"x")


@table("3.1.4-3", "a client that connects again takes its session over")
async def taken_over(scene: Scene) -> None:
    old = await kept(scene)
    await old.subscribe("t", qos=1)
    new = await kept(scene)
    await old.expect_closed(0x8E)
    assert is_resumed(new)
    await new.publish("t", b"x", 1)
    await new.message(payload=b"x")


@table("4.1.0-1", "a session lives as long as its connection, whatever its expiry")
@table("4.1.0-2", "a session is forgotten once its expiry interval has passed")
async def session_expiry(scene: Scene) -> None:
    client = await kept(scene, expiry_s=10)
    await client.subscribe("t", qos=1)
    scene.pass_s(20)
    await client.publish("t", b"x", 1)
    await client.message(payload=b"x")
    for gone_s, is_present in ((5, True), (11, False)):
        await client.disconnect()
        scene.pass_s(gone_s)
        client = await kept(scene, expiry_s=10)
        assert is_resumed(client) is is_present
