"""Retry delays as an iterator: full jitter, so that a thousand peers do not return together."""

import random
from collections.abc import Iterator


def delays(
    first_s: float = 0.5,
    most_s: float = 60.0,
    *,
    factor: float = 2.0,
    entropy: random.Random | None = None,
) -> Iterator[float]:
    """Yield delays for ever: each uniform between half of the step and the step, which grows by `factor`.

    Half a step at the least: full jitter down to zero would let a dead peer be hammered.
    """
    dice = entropy if entropy is not None else random.Random()  # noqa: S311 - jitter, not a secret
    step = first_s
    while True:
        yield dice.uniform(step / 2, step)
        step = min(step * factor, most_s)
