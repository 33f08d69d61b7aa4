"""What the control socket's broker operations do to a broker, and which requests they refuse."""

from typing import Any

import pytest

from gateway.app.bans import Bans
from gateway.app.broker_operations import BrokerDesk
from gateway.broker.server import Broker
from gateway.errors import GatewayError
from tests.fakes.mqtt_broker import DEVICE, RawClient, authenticate, connect, running
from tests.fakes.waiting import eventually


def desk_of(broker: Broker) -> tuple[BrokerDesk, Bans]:
    bans = Bans(authenticate)
    broker.authenticate = bans
    return BrokerDesk(broker, bans), bans


async def ask(desk: BrokerDesk, operation: str, **arguments: Any) -> Any:
    return await desk.operations[f"broker-{operation}"](arguments)


async def test_a_kicked_user_is_gone_and_may_come_back() -> None:
    async with running() as (broker, port):
        desk, _ = desk_of(broker)
        client = await RawClient.login(port, "admin", "one")
        other = await RawClient.login(port, "admin", "two")
        answer = await ask(desk, "kick", identity="admin", client_id="one", ban_s=0)
        assert answer == {"kicked": 1, "banned_s": 0}
        assert (await client.read())[0] == 0
        await RawClient.login(port, "admin", "one")
        other.send(b"\xc0\x00")
        assert (await other.read())[0] == 0xD0


async def test_a_banned_user_is_gone_and_may_not_come_back() -> None:
    async with running() as (broker, port):
        desk, _ = desk_of(broker)
        await RawClient.login(port, "admin")
        await ask(desk, "kick", identity="admin", ban_s=60)
        await eventually(lambda: not broker.connections)
        again = await RawClient.open(port)
        again.send(connect("admin"))
        assert await again.read() == (0x20, b"\0\x03")
        await eventually(lambda: not broker.connections)
        assert broker.refusals.connects_by_reason.total() == 1
        assert broker.stats()["failed_logins"] == 0
        await RawClient.login(port, "reader")


async def test_a_device_is_found_by_its_uuid_however_it_is_written() -> None:
    async with running() as (broker, port):
        desk, _ = desk_of(broker)
        await RawClient.login(port, DEVICE, "d")
        assert (await ask(desk, "kick", identity=DEVICE.upper()))["kicked"] == 1


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"identity": "nobody"}, "GW-1137"),
        ({"identity": "admin", "client_id": "other"}, "GW-1137"),
        ({}, "GW-1811"),
        ({"identity": "admin", "ban_s": "long"}, "GW-1811"),
        ({"identity": "admin", "ban_s": 1e9}, "GW-1811"),
        ({"identity": "admin", "ban_s": -1}, "GW-1811"),
    ],
)
async def test_a_kick_that_hits_nobody_is_refused(arguments: dict[str, Any], code: str) -> None:
    async with running() as (broker, port):
        desk, _ = desk_of(broker)
        await RawClient.login(port, "admin", "one")
        with pytest.raises(GatewayError) as caught:
            await ask(desk, "kick", **arguments)
        assert caught.value.code == code
        assert len(broker.connections) == 1


async def test_retained_messages_are_shown_and_cleared() -> None:
    async with running() as (broker, _):
        desk, _ = desk_of(broker)
        broker.publish("a/b", b"x", retain=True)
        assert (await ask(desk, "retained"))["count"] == 1
        assert (await ask(desk, "retained", filter="b/#"))["count"] == 0
        assert await ask(desk, "retained-clear", filter="a/+") == {"cleared": 1}
        for operation, pattern in (("retained", "a/#/b"), ("retained-clear", None)):
            with pytest.raises(GatewayError) as caught:
                await ask(desk, operation, filter=pattern)
            assert caught.value.code == "GW-1139"


async def test_clients_sessions_and_refusals_are_rows() -> None:
    async with running() as (broker, port):
        desk, _ = desk_of(broker)
        await RawClient.login(port, "admin", "one")
        [client] = await ask(desk, "clients")
        [session] = await ask(desk, "sessions")
        assert client["client_id"] == session["client_id"] == "one"
        assert await ask(desk, "refused") == []
