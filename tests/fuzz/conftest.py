"""A fuzzing test that fails says from which seed."""

import logging
from collections.abc import Generator

import pytest

from tests.fuzz.seeds import LAST


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and LAST:
        told = (
            f"{LAST['what']}: FUZZ_SEED={LAST['seed']} FUZZ_ROUNDS=1 repeats the round that failed;"
            f" FUZZ_SEED={LAST['first']} all of them"
        )
        report.sections.append(("seed", told))
    return report


@pytest.fixture(autouse=True)
def _fresh() -> Generator[None, None, None]:
    """Forget another test's seed; keep no log of tens of thousands of violations."""
    LAST.clear()
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)
