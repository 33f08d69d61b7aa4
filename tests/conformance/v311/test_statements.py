"""MQTT 3.1.1 statement by statement: what a server can break, this one does not."""

from pathlib import Path

import pytest

from tests.conformance.statements import Statements
from tests.conformance.v311 import connecting, framing, publishing, subscribing
from tests.conformance.v311.numbers import ALL, LEFT_OUT
from tests.fakes.raw_scene import Scene, durable_scene

TABLE = Statements(connecting.table, publishing.table, subscribing.table, framing.table)


def test_every_statement_of_the_standard_has_a_row_or_a_reason():
    assert set(TABLE.rows) | set(LEFT_OUT) == ALL


def test_no_statement_has_both():
    assert not set(TABLE.rows) & set(LEFT_OUT)


@pytest.mark.parametrize("number", [f"MQTT-{number}" for number in TABLE.rows])
async def test_the_server_keeps(scene: Scene, number: str):
    await TABLE.rows[number.removeprefix("MQTT-")].check(scene)


@pytest.mark.parametrize("number", [f"MQTT-{number}" for number in TABLE.rows])
async def test_the_server_keeps_with_a_disk(tmp_path: Path, number: str):
    """Deliveries and acknowledgements wait for commits here."""
    async with durable_scene(tmp_path) as scene:
        await TABLE.rows[number.removeprefix("MQTT-")].check(scene)
