"""A bridge to Debian's mosquitto, in both versions of MQTT: every message crosses once, in order, and none in circles."""

import contextlib
import ssl
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt import client as paho

from gateway.broker.peers.loops import Loops
from gateway.broker.peers.speech import PLAIN, Dialect
from gateway.broker.server import Broker
from gateway.errors import BadTokenError
from tests.fakes import bridges
from tests.fakes.bridges import both, into, loops_of, out, own_authority
from tests.fakes.mosquitto import Mosquitto
from tests.fakes.mqtt_broker import DEVICE, running
from tests.fakes.mqtt_paho import PahoClient, paho_client
from tests.fakes.nodes import free_port
from tests.fakes.waiting import eventually

pytestmark = [pytest.mark.needs("mosquitto")]

VERSIONS = pytest.mark.parametrize("version", ["5", "3.1.1"])
bridged = partial(bridges.bridged, is_answered=True)  # what comes before SUBACK is nobody's
MANY = 300


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "mosquitto") as broker:
        yield broker


def numbers(client: PahoClient, topic: str) -> list[int]:
    return [int(message[1]) for message in client.messages if message[0] == topic]


def burst(client: PahoClient, topic: str, first: int = 0, count: int = MANY) -> None:
    for number in range(first, first + count):
        client.client.publish(topic, str(number), 1)


async def settled(*clients: PahoClient) -> None:
    """Return once everything that was said before has been delivered: a last word of each client came back."""
    for index, client in enumerate(clients):
        await client.subscribe(f"last/{index}", 1)
        client.client.publish(f"last/{index}", b"word", 1)
    for index, client in enumerate(clients):
        await eventually(lambda: any(m[0] == f"last/{index}" for m in client.messages))  # noqa: B023
    for client in clients:
        client.messages = [message for message in client.messages if not message[0].startswith("last/")]  # fmt: skip


@contextlib.contextmanager
def ends(port: int) -> Iterator[tuple[PahoClient, PahoClient]]:
    """Two clients, one for each side."""
    with paho_client("admin", "here") as here, paho_client("admin", "there") as there:
        yield here, there


@VERSIONS
async def test_each_rule_carries_its_topics_once_in_order_under_their_other_names(
    mosquitto: Mosquitto, version: str
) -> None:
    rows = [
        out("up/#", local_prefix="here/", remote_prefix="there/"),
        into("down/#", local_prefix="here/", remote_prefix="there/"),
        both("mid/#"),
    ]
    async with running() as (broker, port), bridged(broker, mosquitto.port, rows, version=version) as (bridge, _):  # fmt: skip
        with ends(port) as (here, there):
            await here.start(port)
            await there.start(mosquitto.port)
            for client in (here, there):
                await client.subscribe("#", 1)
            burst(here, "here/up/a")
            burst(there, "there/down/a")
            burst(here, "mid/a")
            burst(there, "mid/b")
            burst(here, "here/down/none", count=1)  # no rule
            burst(there, "there/up/none", count=1)
            await eventually(lambda: len(here.messages) == 4 * MANY + 1, seconds=20)
            await eventually(lambda: len(there.messages) == 4 * MANY + 1, seconds=20)
            await eventually(lambda: bridge.queued == 0)
            await settled(here, there)
    assert len(here.messages) == len(there.messages) == 4 * MANY + 1
    assert numbers(there, "there/up/a") == numbers(here, "here/down/a") == list(range(MANY))
    for client in (here, there):
        assert numbers(client, "mid/a") == numbers(client, "mid/b") == list(range(MANY))
    assert (bridge.counts.sent, bridge.counts.received) == (2 * MANY, 2 * MANY)
    assert bridge.counts.dropped == {}


@VERSIONS
async def test_what_is_published_while_the_other_broker_is_away_arrives_in_order(
    mosquitto: Mosquitto, version: str
) -> None:
    async with running() as (broker, port), bridged(broker, mosquitto.port, [out("a/#")], version=version) as (bridge, _):  # fmt: skip
        with ends(port) as (here, there):
            await here.start(port)
            mosquitto.stop()
            await eventually(lambda: not bridge.is_connected)
            burst(here, "a/b", count=800)
            await eventually(lambda: len(here.published) == 800)
            assert bridge.queued == 800
            mosquitto.start()
            await there.start(mosquitto.port)
            await there.subscribe("a/#", 1)
            burst(here, "a/b", 800, 1)
            await eventually(lambda: bridge.queued == 0, seconds=20)
            await settled(there)
    found = numbers(there, "a/b")
    assert found[-1] == 800
    assert found == list(range(801))[-len(found) :]
    assert bridge.counts.sent == 801


@VERSIONS
async def test_what_comes_to_the_other_broker_while_the_bridge_is_away_is_fetched(
    mosquitto: Mosquitto, version: str
) -> None:
    rows = [into("a/#")]
    async with running() as (broker, port):
        with ends(port) as (here, there):
            await here.start(port)
            await here.subscribe("a/#", 1)
            await there.start(mosquitto.port)
            async with bridged(broker, mosquitto.port, rows, version=version):
                pass
            burst(there, "a/b")
            await eventually(lambda: len(there.published) == MANY)
            assert here.messages == []
            async with bridged(broker, mosquitto.port, rows, version=version):
                await eventually(lambda: len(here.messages) == MANY, seconds=20)
                await settled(here)
    assert numbers(here, "a/b") == list(range(MANY))


@VERSIONS
async def test_retained_messages_cross_as_such(mosquitto: Mosquitto, version: str) -> None:
    async with running() as (broker, port):
        with ends(port) as (here, there):
            await here.start(port)
            await there.start(mosquitto.port)
            here.client.publish("up/a", "old", 1, retain=True)
            there.client.publish("down/a", "old", 1, retain=True)
            await eventually(lambda: here.published and there.published)
            async with bridged(
                broker, mosquitto.port, [out("up/#"), into("down/#")], version=version
            ):
                here.client.publish("up/b", "new", 1, retain=True)
                there.client.publish("down/b", "new", 1, retain=True)
                await eventually(lambda: broker.routing.retained.get("down/a"))
                await eventually(lambda: broker.routing.retained.get("down/b"))
                await eventually(lambda: len(there.published) == 2)
                await settled(here, there)
                await there.subscribe("up/#", 1)
                await eventually(lambda: len(there.messages) == 2)
                here.client.publish("up/a", "", 1, retain=True)
                await eventually(lambda: len(there.messages) == 3)
    assert sorted(there.messages[:2]) == [("up/a", b"old", 1, True), ("up/b", b"new", 1, True)]
    assert there.messages[2][:2] == ("up/a", b"")


@VERSIONS
async def test_no_row_of_the_mesh_ever_leaves_or_enters(mosquitto: Mosquitto, version: str) -> None:
    async with running() as (broker, port), bridged(broker, mosquitto.port, [both("#"), both("+")], version=version) as (bridge, _):  # fmt: skip
        with (
            ends(port) as (here, there),
            paho_client(DEVICE, "device", level=paho.MQTTv311) as device,
        ):
            await here.start(port)
            await there.start(mosquitto.port)
            await device.start(port)
            await there.subscribe("#", 1)
            await here.subscribe("#", 1)
            for topic in ("whoami", "update", "message", "meshblu/request", DEVICE):
                device.client.publish(topic, "device", 1)
                here.client.publish(topic, "user", 1)
                there.client.publish(topic, "other", 1)
            await eventually(lambda: len(there.published) == 5)
            await eventually(lambda: len(here.published) == 5)
            broker.publish("$SYS/x", b"1")
            burst(here, "plain", count=1)
            await eventually(lambda: ("plain", b"0", 1, False) in there.messages)
            await settled(here, there)
    assert {message[1] for message in there.messages if message[0] != "plain"} == {b"other"}
    assert b"other" not in {message[1] for message in here.messages}
    assert set(bridge.counts.dropped) == {"rule"}


@VERSIONS
async def test_a_second_bridge_to_the_same_broker_makes_no_circle(
    mosquitto: Mosquitto, version: str
) -> None:
    loops = loops_of()
    async with (
        running() as (broker, port),
        bridged(
            broker,
            mosquitto.port,
            [both("#")],
            version=version,
            loops=loops,
            bridge="one",
            client_id="one",
        ),  # fmt: skip
        bridged(
            broker,
            mosquitto.port,
            [both("#")],
            version=version,
            loops=loops,
            bridge="two",
            client_id="two",
        ),  # fmt: skip
    ):
        with ends(port) as (here, there):
            await here.start(port)
            await there.start(mosquitto.port)
            await here.subscribe("#", 1)
            await there.subscribe("#", 1)
            burst(here, "a", count=50)
            await eventually(lambda: len(there.messages) >= 100)
            burst(there, "b", count=50)
            await eventually(lambda: len(here.messages) >= 150)
            await settled(here, there)
    assert sorted(numbers(here, "a")) == list(range(50))
    assert sorted(numbers(there, "a")) == sorted(2 * list(range(50)))  # each bridge carries it once
    assert sorted(numbers(here, "b")) == sorted(2 * list(range(50)))


@pytest.mark.parametrize("dialect", [None, PLAIN])
@VERSIONS
async def test_two_gateways_at_one_broker_hear_each_message_once(
    mosquitto: Mosquitto, version: str, dialect: Dialect | None
) -> None:
    if dialect is PLAIN and version == "5":
        version = "auto"
    changes: dict[str, Any] = {"version": version, "dialect": dialect}
    async with (
        running() as (one, one_port),
        running() as (two, two_port),
        bridged(
            one, mosquitto.port, [both("#")], loops=loops_of("one"), client_id="one", **changes
        ) as (first, _),
        bridged(
            two, mosquitto.port, [both("#")], loops=loops_of("two"), client_id="two", **changes
        ) as (second, _),
    ):
        with ends(one_port) as (here, there), paho_client("admin", "middle") as middle:
            await here.start(one_port)
            await there.start(two_port)
            await middle.start(mosquitto.port)
            for client in (here, middle, there):
                await client.subscribe("+/x", 1)
            for topic, client in (("a/x", here), ("b/x", middle), ("c/x", there)):
                burst(client, topic, count=100)
                client.client.publish(topic, "1000", 1)
                client.client.publish(topic, "1000", 1)  # the same words twice are two messages
            clients = (here, middle, there)
            await eventually(lambda: all(len(c.messages) >= 306 for c in clients), seconds=20)
            for client in clients:
                client.client.publish("last/x", "0", 1)
            await eventually(lambda: all(len(numbers(c, "last/x")) == 3 for c in clients))
            assert [len(client.messages) for client in clients] == [309, 309, 309]
            for client in clients:
                for topic in ("a/x", "b/x", "c/x"):
                    assert numbers(client, topic) == [*range(100), 1000, 1000]
    assert first.counts.sent == second.counts.sent == 103


@VERSIONS
async def test_a_wrong_password_is_told_and_a_right_one_ends_it(
    mosquitto: Mosquitto, version: str
) -> None:
    async with running() as (broker, _), bridged(broker, mosquitto.port, [out("a/#")], version=version, password="wrong", waits=False) as (bridge, told):  # fmt: skip
        await eventually(lambda: told.errors)
        found = bridge.state()
    assert isinstance(told.errors[0], BadTokenError)
    assert (found["state"], found["code"]) == ("refused", "GW-1143")
    assert "'bridge'" in found["reason"]
    assert "wrong" not in str(found)


@VERSIONS
async def test_a_ring_of_two_gateways_and_two_brokers_comes_to_rest(
    mosquitto: Mosquitto, tmp_path: Path, version: str
) -> None:
    def bridge(broker: Broker, far: Mosquitto, node: str, loops: Loops) -> Any:
        name = f"{node}-{far.port}"
        return bridged(broker, far.port, [both("#")], version=version, loops=loops, bridge=name, client_id=name)  # fmt: skip

    first, second = loops_of("first"), loops_of("second")
    with Mosquitto(tmp_path / "other") as other:
        async with (
            running() as (one, one_port),
            running() as (two, two_port),
            bridge(one, mosquitto, "one", first),
            bridge(one, other, "one", first),
            bridge(two, mosquitto, "two", second),
            bridge(two, other, "two", second),
        ):
            with ends(one_port) as (here, there), ends(one_port) as (left, right):
                clients = {here: one_port, there: two_port, left: mosquitto.port, right: other.port}
                for client, port in clients.items():
                    await client.start(port)
                    await client.subscribe("#", 1)
                burst(here, "a", count=20)
                await eventually(lambda: len(left.messages) == len(right.messages) == 40)
                await settled(here)
                counts = [numbers(client, "a") for client in clients]
    assert counts[0] == list(range(20))
    assert all(sorted(found) == sorted(2 * list(range(20))) for found in counts[1:])


def retained(client: PahoClient, topic: str) -> list[bytes]:
    return [payload for name, payload, _, _ in client.messages if name == topic]


@VERSIONS
async def test_a_retained_topic_of_both_sides_begins_as_it_is_here_and_is_not_exchanged_later(
    mosquitto: Mosquitto, version: str
) -> None:
    async with running() as (broker, port):
        with ends(port) as (here, there):
            await here.start(port)
            await there.start(mosquitto.port)
            here.client.publish("a/both", "here", 0, retain=True)
            there.client.publish("a/both", "there", 0, retain=True)
            there.client.publish("a/theirs", "there", 0, retain=True)
            await settled(here, there)
            async with bridged(broker, mosquitto.port, [both("a/#")], version=version) as (
                bridge,
                _,
            ):
                for client in (here, there):
                    await client.subscribe("a/#", 1)
                await eventually(lambda: retained(there, "a/both")[-1:] == [b"here"])
                await eventually(lambda: retained(here, "a/theirs") == [b"there"])
                assert retained(here, "a/both") == [b"here"]
                mosquitto.stop()
                await eventually(lambda: not bridge.is_connected)
                here.messages.clear()
                here.client.publish("a/both", "later", 0, retain=True)
                mosquitto.start()  # it has forgotten everything: our session there is new
                await eventually(lambda: bridge.is_connected)
                await settled(here)
                assert retained(here, "a/both") == [b"later"]


@VERSIONS
async def test_a_line_that_breaks_repeats_no_retained_message_of_both_sides(
    mosquitto: Mosquitto, version: str
) -> None:
    async with running() as (broker, port):
        with ends(port) as (here, there):
            await here.start(port)
            await there.start(mosquitto.port)
            async with bridged(broker, mosquitto.port, [both("a/#"), into("b/#")], version=version) as (bridge, _):  # fmt: skip
                for client in (here, there):
                    await client.subscribe("#", 1)
                here.client.publish("a/1", "x", 1, retain=True)
                there.client.publish("a/2", "x", 1, retain=True)
                there.client.publish("b/1", "x", 1, retain=True)
                await eventually(lambda: len(here.messages) == 3 and len(there.messages) == 3)
                crossing = bridge._crossing
                assert crossing is not None
                crossing.far._events.lost("a test cut it")
                await eventually(lambda: bridge._crossing not in (None, crossing))
                await eventually(lambda: len(here.messages) == 4)
                await settled(here, there)
    assert [topic for topic, *_ in here.messages] == ["a/1", "a/2", "b/1", "b/1"]
    assert len(there.messages) == 3


TLS = """listener {port} 127.0.0.1
certfile {folder}/cert.pem
keyfile {folder}/key.pem
cafile {folder}/cert.pem
require_certificate true
"""


@VERSIONS
async def test_over_tls_with_a_client_certificate_everything_crosses_also_in_bulk(
    tmp_path: Path, version: str
) -> None:
    certificate, key = own_authority()
    (tmp_path / "cert.pem").write_bytes(certificate)
    (tmp_path / "key.pem").write_bytes(key)
    port = free_port()
    bare = ssl.create_default_context(cafile=tmp_path / "cert.pem")
    shown = ssl.create_default_context(cafile=tmp_path / "cert.pem")
    shown.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    rows = [out("up/#"), into("down/#")]
    with Mosquitto(tmp_path / "broker", more=TLS.format(port=port, folder=tmp_path)) as far:
        async with running() as (broker, here_port):
            async with bridged(broker, port, rows, version=version, context=bare, waits=False) as (bridge, _):  # fmt: skip
                await eventually(lambda: bridge.state()["code"] in ("GW-1142", "GW-1144"))
            with ends(here_port) as (here, there):
                await here.start(here_port)
                await there.start(far.port)
                await here.subscribe("down/#", 1)
                await there.subscribe("up/#", 1)
                async with bridged(broker, port, rows, version=version, context=shown):
                    for number in range(MANY):
                        here.client.publish("up/a", str(number).ljust(3000), 1)
                        there.client.publish("down/a", str(number).ljust(3000), 1)
                    await eventually(lambda: len(here.messages) == MANY, seconds=20)
                    await eventually(lambda: len(there.messages) == MANY, seconds=20)
    assert numbers(there, "up/a") == numbers(here, "down/a") == list(range(MANY))
