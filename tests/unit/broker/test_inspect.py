"""What operators see: clients, sessions that are there or away, retained messages, refusals."""

from gateway.broker import inspect
from tests.fakes.mqtt_broker import DEVICE, RawClient, connect, publish, running, subscribe
from tests.fakes.waiting import eventually


async def test_a_client_is_shown_with_what_it_sent_and_was_sent() -> None:
    async with running() as (broker, port):
        client = await RawClient.login(port, "admin", "laptop", keep_alive=30)
        client.send(subscribe("a"), publish("a", b"12345"))
        await client.read()
        packet = await client.read()
        [row] = inspect.clients(broker)
        assert row["peer"].startswith("127.0.0.1:")
        assert 0 <= row["since_s"] < 5
        assert row["bytes_in"] > 40
        assert row["bytes_out"] == 4 + 5 + 2 + len(packet[1])
        expected = {
            "identity": "admin",
            "client_id": "laptop",
            "kind": "user",
            "version": 4,
            "listener": "test",
            "keep_alive_s": 30,
            "packets_in": 3,
            "messages_out": 1,
            "queued": 0,
            "queued_bytes": 0,
            "inflight": 0,
            "dropped": 0,
        }
        assert {name: row[name] for name in expected} == expected


async def test_what_waits_for_an_absent_client_is_shown() -> None:
    async with running() as (broker, port):
        client = await RawClient.login(port, "admin", "kept", clean=False)
        await client.subscribed("b/#", "a", qos=1)
        await client.gone()
        await eventually(lambda: not broker.connections)
        broker.publish("a", b"12345", qos=1)
        start = broker.now()
        broker.now = lambda: start + 60
        [row] = inspect.sessions(broker)
        assert (row["online"], row["queued"], row["queued_bytes"]) == (False, 1, 6)
        assert 59 <= row["offline_s"] <= 65
        assert row["expires_in_s"] == round(row["expiry_s"] - row["offline_s"], 1)
        assert row["subscriptions"] == [{"filter": "a", "qos": 1}, {"filter": "b/#", "qos": 1}]
        assert inspect.clients(broker) == []


async def test_sessions_that_are_there_are_shown_too() -> None:
    async with running() as (broker, port):
        await RawClient.login(port, "reader", "z")
        await RawClient.login(port, "admin", "y")
        rows = inspect.sessions(broker)
        assert [(row["identity"], row["online"], row["subscriptions"]) for row in rows] == [
            ("admin", True, []),
            ("reader", True, []),
        ]


async def test_retained_messages_are_listed_and_cleared_by_filter() -> None:
    async with running() as (broker, port):
        client = await RawClient.login(port, "admin")
        await client.subscribed("home/#")
        broker.now = lambda: 0.0
        for topic in ("home/b", "home/a", "other"):
            broker.publish(topic, b"123", qos=1, retain=True)
        for _ in range(2):
            await client.read()
        broker.now = lambda: 60.0
        found = inspect.retained(broker, "home/#")
        assert (found["count"], found["bytes"]) == (2, 6)
        assert [row["topic"] for row in found["rows"]] == ["home/a", "home/b"]
        assert found["rows"][0] == {
            "topic": "home/a",
            "bytes": 3,
            "qos": 1,
            "age_s": 60.0,
            "expires_in_s": None,
        }
        assert inspect.clear_retained(broker, "home/+") == 2
        assert (await client.read())[1].startswith(b"\x00\x06home/")  # as when a client clears it
        assert inspect.retained(broker, "#")["count"] == 1


async def test_who_was_refused_is_shown_with_the_reason() -> None:
    async with running() as (broker, port):
        burglar = await RawClient.open(port)
        burglar.send(connect("admin", "burglar", password="guess"))
        await burglar.read()
        device = await RawClient.login(port, DEVICE, "dev")
        device.send(publish("plain", b"x", 1))
        await device.read()
        assert await device.subscribed("plain/#") == b"\x80"
        rows = inspect.refused(broker)
        assert [(r["what"], r["identity"], r["client_id"], r["reason"]) for r in rows] == [
            ("plain/#", DEVICE, "dev", "subscription refused"),
            ("plain", DEVICE, "dev", "no role grants writing it"),
            ("CONNECT", "admin", "burglar", "bad user name or password"),
        ]
        assert all(row["peer"].startswith("127.0.0.1:") for row in rows)
        assert all(0 <= row["last_s"] < 5 for row in rows)


async def test_clients_are_found_by_identity_and_client_id() -> None:
    async with running() as (broker, port):
        for name in ("one", "two"):
            await RawClient.login(port, "admin", name)
        assert len(inspect.find(broker, "admin", None)) == 2
        assert [c.client_id for c in inspect.find(broker, "admin", "two")] == ["two"]
        assert inspect.find(broker, "nobody", None) == []
