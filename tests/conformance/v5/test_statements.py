"""MQTT 5.0 statement by statement: what a server can break, this one does not."""

import pytest

from tests.conformance.statements import Statements
from tests.conformance.v5 import (
    acknowledging,
    connecting,
    delivering,
    limits,
    publishing,
    retaining,
    sessions,
    sharing,
    subscribing,
    wills,
)
from tests.conformance.v5.numbers import ELSEWHERE, EVERY, OF_CLIENTS
from tests.conformance.v5.test_violations import NUMBERS
from tests.fakes.raw_scene import Scene

MODULES = (
    connecting,
    sessions,
    limits,
    publishing,
    retaining,
    wills,
    acknowledging,
    delivering,
    subscribing,
    sharing,
)
TABLE = Statements(*(module.table for module in MODULES))


def test_every_statement_of_the_standard_has_a_row_or_a_reason() -> None:
    assert set(TABLE.rows) | NUMBERS | OF_CLIENTS | set(ELSEWHERE) == EVERY


def test_no_statement_has_both() -> None:
    assert not (set(TABLE.rows) | NUMBERS) & (OF_CLIENTS | set(ELSEWHERE))


@pytest.mark.parametrize("number", [f"MQTT-{number}" for number in TABLE.rows])
async def test_the_server_keeps(scene5: Scene, number: str) -> None:
    await TABLE.rows[number.removeprefix("MQTT-")].check(scene5)
