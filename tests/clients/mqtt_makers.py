"""All the clients in one table, and what the tests need around it."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest

from tests.clients.mqtt_aiomqtt import AiomqttClient
from tests.clients.mqtt_amqtt import AmqttClient
from tests.clients.mqtt_gmqtt import GmqttClient
from tests.clients.mqtt_js import JsClient
from tests.clients.mqtt_mosquitto import MosquittoClient
from tests.clients.mqtt_paho import PahoClient
from tests.clients.mqtt_wire import NAMES, Client, Session, Target

MAKERS: tuple[type[Client], ...] = (
    PahoClient,
    AiomqttClient,
    GmqttClient,
    AmqttClient,
    JsClient,
    MosquittoClient,
)

TOOLS = {
    "mqtt.js": [pytest.mark.needs("npm:mqtt"), pytest.mark.needs("node")],
    "mosquitto": [pytest.mark.needs("mosquitto_pub"), pytest.mark.needs("mosquitto_sub")],
}
"""Client -> what must be installed for it."""

_numbers = itertools.count(1)


def fresh(word: str = "id") -> str:
    """Return a name nobody has used: a client id, or a topic of one test's own."""
    return f"{word}{next(_numbers)}"


def each_client(*, versions: Iterable[int] = NAMES, can: Iterable[str] = ()) -> Any:
    """Run a test with every client that has these abilities, in each of these versions it speaks."""
    return pytest.mark.parametrize(
        ("maker", "version"),
        [
            pytest.param(
                maker, version, id=f"{maker.name}-{NAMES[version]}", marks=TOOLS.get(maker.name, ())
            )
            for maker in MAKERS
            for version in versions
            if version in maker.versions and maker.can.issuperset(can)
        ],
    )


def each_transport() -> Any:
    """Run a test with every client over each transport it speaks, in its oldest and its newest version."""
    return pytest.mark.parametrize(
        ("maker", "transport", "version"),
        [
            pytest.param(
                maker,
                transport,
                version,
                id=f"{maker.name}-{transport}-{NAMES[version]}",
                marks=TOOLS.get(maker.name, ()),
            )
            for maker in MAKERS
            for transport in sorted(maker.transports)
            for version in sorted({min(maker.versions), max(maker.versions)})
        ],
    )


@contextlib.asynccontextmanager
async def opened(
    maker: type[Any], target: Target, version: int, client_id: str = "", **session: Any
) -> AsyncIterator[Any]:
    """Connect a client, and have it leave afterwards."""
    client = maker(target, Session(client_id or fresh("client"), version, **session))
    try:
        async with asyncio.timeout(30):
            await client.open()
        yield client
    finally:
        await client.close()
