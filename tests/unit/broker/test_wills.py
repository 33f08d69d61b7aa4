"""Wills: judged twice, delayed where asked, void when their client comes back, kept through a restart."""

from gateway.broker.server import Broker
from gateway.mqtt.journal import Kept, KeptWill, SessionKey
from gateway.mqtt.message import Message
from gateway.mqtt.ports import CONSUMED, Principal, PrincipalKind, Publish, Session, Verdict, Wait
from tests.fakes import raw_packets as raw
from tests.fakes.mqtt_broker import (
    DEVICE,
    PRINCIPALS,
    RawClient,
    authenticate,
    connect,
    packet,
    running,
    text,
)
from tests.fakes.mqtt_sessions import SlowJournal, message
from tests.fakes.raw_mqtt import RawMqtt
from tests.fakes.raw_scene import scene
from tests.fakes.waiting import eventually

WILL = ("home/will", b"gone", 0)


class KeepingJournal(SlowJournal):
    """Keeps wills, and the names under which they were forgotten."""

    def __init__(self) -> None:
        super().__init__()
        self.wills: list[KeptWill] = []
        self.forgotten: list[SessionKey] = []

    def will(self, key: SessionKey, message: Message | None, delay_s: int = 0) -> None:
        if message is None:
            self.forgotten.append(key)
        else:
            self.wills.append(KeptWill(key, message, delay_s))


def connect5(client_id: str, *, delay_s: int, expiry_s: int, clean: bool = True) -> bytes:
    """Return an MQTT 5 CONNECT with a will."""
    session = b"\x05\x11" + expiry_s.to_bytes(4, "big")
    delay = b"\x05\x18" + delay_s.to_bytes(4, "big")
    head = text("MQTT") + bytes((5, 0xC4 | 2 * clean)) + b"\0\x3c" + session
    return packet(
        0x10,
        head,
        text(client_id),
        delay,
        text("home/will"),
        text("gone"),
        text("admin"),
        text("secret"),
    )


async def test_a_delayed_will_waits_and_is_void_when_its_client_comes_back() -> None:
    async with running() as (broker, port):
        heard: list[bytes] = []
        broker.subscribe("home/will", lambda _, payload, __: heard.append(payload))
        for is_back in (False, True):
            client = await RawClient.open(port)
            client.send(connect5("c", delay_s=30, expiry_s=60))
            assert (await client.read())[1][:2] == b"\0\0"
            await client.gone()
            await eventually(lambda: len(broker.wills) == 1)
            broker.sweep(broker.now() + 29)
            assert heard == []
            if is_back:
                again = await RawClient.open(port)
                again.send(connect5("c", delay_s=0, expiry_s=0, clean=False))
                assert (await again.read())[1][:2] == b"\x01\0"
                assert len(broker.wills) == 0
                again.send(b"\xe0\x00")
                assert await again.is_closed()
            broker.sweep(broker.now() + 31)
            assert heard == ([] if is_back else [b"gone"])
            heard.clear()


async def test_a_delay_ends_with_the_session() -> None:
    async with running() as (broker, port):
        heard: list[bytes] = []
        broker.subscribe("home/will", lambda _, payload, __: heard.append(payload))
        client = await RawClient.open(port)
        client.send(connect5("c", delay_s=3600, expiry_s=5))
        await client.read()
        await client.gone()
        await eventually(lambda: len(broker.wills) == 1)
        broker.sweep(broker.now() + 6)
        assert heard == [b"gone"]


async def test_a_will_whose_receiver_must_be_looked_up_is_asked_again() -> None:
    async with running() as (broker, port):
        known: list[bool] = []
        taken: list[bytes] = []

        def take(session: Session, publish: Publish) -> Verdict:
            if not known:
                return Wait("registry")
            taken.append(publish.payload)
            return CONSUMED

        broker.claim("message", take)
        for is_answered in (True, False):
            client = await RawClient.login(port, DEVICE, will=("message", b"gone", 0))
            await client.gone()
            await eventually(lambda: len(broker.waiting) == 1)
            if is_answered:
                known.append(True)
                broker.resume(["registry"])
                assert taken == [b"gone"]
                known.clear()
            else:
                broker.sweep(broker.now() + 6)
                assert (taken, len(broker.waiting)) == ([b"gone"], 0)
                assert broker.refusals.total == 1


async def test_the_journal_holds_a_will_as_long_as_its_client_is_connected() -> None:
    journal = SlowJournal()
    async with running(journal=journal) as (_, port):
        client = await RawClient.login(port, "admin", "left", will=WILL)
        assert journal.notes == [("will", "left", b"gone")]
        client.send(b"\xe0\x00")
        assert await client.is_closed()
        assert journal.notes[1:] == [("will", "left", None)]
        plain = await RawClient.login(port, "admin", "plain")
        plain.send(b"\xe0\x00")
        assert await plain.is_closed()
        assert len(journal.notes) == 2


async def test_a_will_that_was_found_waits_for_its_client_and_is_then_published() -> None:
    journal = SlowJournal()
    broker = Broker(authenticate, journal=journal)
    heard: list[bytes] = []
    broker.subscribe("home/will", lambda _, payload, __: heard.append(payload))
    found = [
        KeptWill(SessionKey(PrincipalKind.USER, name, "c"), message("home/will", name.encode()), 0)
        for name in ("admin", "writer", "nobody")
    ]
    broker.restore(Kept(wills=found), lambda key: PRINCIPALS.get(key.identity))
    assert ("will", "c", None) in journal.notes  # of nobody
    broker.sweep(broker.now() + 31)
    assert sorted(heard) == [b"admin", b"writer"]


async def test_a_login_of_its_client_voids_a_will_that_was_found() -> None:
    async with running() as (broker, port):
        heard: list[bytes] = []
        broker.subscribe("home/will", lambda _, payload, __: heard.append(payload))
        key = SessionKey(PrincipalKind.USER, "admin", "c")
        found = KeptWill(key, message("home/will", b"gone"), 0)
        broker.restore(Kept(wills=[found]), lambda key: PRINCIPALS.get(key.identity))
        client = await RawClient.open(port)
        client.send(connect("admin", "c"))
        await client.read()
        broker.sweep(broker.now() + 31)
        assert heard == []


async def test_the_expiry_of_a_will_begins_when_it_is_published() -> None:
    async with scene(version=5) as made:
        heard = await made.client("heard")
        await heard.subscribe("home/will")
        told = {raw.Prop.MESSAGE_EXPIRY: 60, raw.Prop.CONTENT_TYPE: "text"}
        will = raw.RawWill("home/will", b"gone", properties=told)
        client = await made.client(keep_alive=0, will=will)
        made.pass_s(3600)
        await client.cut()
        await heard.message(payload=b"gone", properties=told)


async def test_the_expiry_of_a_will_that_was_found_begins_when_it_is_published() -> None:
    journal = KeepingJournal()
    async with running(journal=journal) as (_, port):
        client = await RawMqtt.open(port, 5)
        told = {raw.Prop.MESSAGE_EXPIRY: 60}
        await client.connect(will=raw.RawWill("home/will", b"gone", retain=True, properties=told))
        (kept,) = journal.wills
        await client.gone()
    broker = Broker(authenticate)
    broker.now = lambda: 100_000.0
    broker.restore(Kept(wills=[kept]), lambda key: PRINCIPALS.get(key.identity))
    broker.sweep(100_031.0)
    found = broker.routing.retained.get("home/will")
    assert found is not None
    assert (found.payload, found.expires_at) == (b"gone", 100_060.0)


async def test_a_will_is_forgotten_under_the_name_it_was_kept_under() -> None:
    journal = KeepingJournal()
    broker = Broker(authenticate, journal=journal)
    key = SessionKey(PrincipalKind.DEVICE, DEVICE, "c")
    found = KeptWill(key, message("message", b"gone"), 0)
    broker.restore(Kept(wills=[found]), lambda _: Principal(PrincipalKind.CHILD, DEVICE))
    broker.sweep(broker.now() + 31)
    assert journal.forgotten == [key]
