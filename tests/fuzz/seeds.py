"""Seeds: new ones every run, told when a test fails (`conftest`), and taken from FUZZ_SEED to see one again."""

import os
import random
import time
from collections.abc import Iterator

SECONDS = float(os.environ.get("FUZZ_S", "2"))
"""How long each fuzzing test goes on."""


LAST: dict[str, object] = {}
"""What the round at hand began from."""


def seeded(what: str, seconds: float = SECONDS) -> Iterator[random.Random]:
    """Yield random sources until time is up; FUZZ_SEED=<seed> begins there, FUZZ_ROUNDS=1 ends after it."""
    given = os.environ.get("FUZZ_SEED")
    first = random.SystemRandom().randrange(1 << 48) if given is None else int(given)
    most = int(os.environ.get("FUZZ_ROUNDS", "0"))
    deadline = time.monotonic() + seconds
    count = 0
    while (count < most) if most else (time.monotonic() < deadline):
        LAST.update(what=what, first=first, seed=first + count)
        yield random.Random(first + count)
        count += 1
    print(f"{what}: {count} rounds from FUZZ_SEED={first}")
