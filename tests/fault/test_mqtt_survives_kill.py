"""`kill -9` of a broker at any moment: every acknowledged message is delivered, none twice at QoS 2."""

from pathlib import Path

import pytest

from tests.fault.mqtt_crowd import survives


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize(("version", "seed"), [(4, 1), (5, 2), (4, 3), (5, 4)])
async def test_what_was_acknowledged_is_delivered_over_kills(
    tmp_path: Path, version: int, seed: int
) -> None:
    await survives(tmp_path / "log.db", kills=11, seed=seed, version=version)
