"""Two hundred `kill -9` of a broker under load: what it acknowledged is delivered, nothing twice at QoS 2."""

import asyncio
import tempfile
from pathlib import Path

from tests.fault.mqtt_crowd import small, survives

KILLS, QUICK_KILLS = 200, 40
KILLS_A_ROUND = 20  # then everything must have been delivered; a new database begins


def run(*, quick: bool) -> dict[str, float]:
    """Return how many kills and messages there were; what was lost or doubled ends it with an AssertionError."""
    rounds = (QUICK_KILLS if quick else KILLS) // KILLS_A_ROUND
    sent = repeats = 0
    for round_ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="soak-") as folder:
            crowd = asyncio.run(
                survives(
                    small(Path(folder) / "log.db"),
                    kills=KILLS_A_ROUND,
                    seed=1000 + round_,
                    version=4 + round_ % 2,
                )
            )
        sent += sum(publisher.last for publisher in crowd.publishers)
        repeats += sum(count - 1 for each in crowd.receivers() for count in each.got.values())
        print(f"round {round_ + 1} of {rounds}: {sent} messages so far, {repeats} repeats at QoS 1")
    return {"kills": float(rounds * KILLS_A_ROUND), "messages": float(sent), "repeats": repeats}
