"""The event loop that was chosen is the one that runs."""

import asyncio
import sys

import pytest

from gateway.errors import ConfigError
from gateway.runtime.loop import loop_factory


@pytest.mark.parametrize(
    ("choice", "module"), [("auto", "uvloop"), ("uvloop", "uvloop"), ("asyncio", "asyncio")]
)
def test_the_choice_holds(choice: str, module: str) -> None:
    async def kind() -> str:
        return type(asyncio.get_running_loop()).__module__

    with asyncio.Runner(loop_factory=loop_factory(choice)) as runner:
        assert runner.run(kind()).startswith(module)


def test_without_uvloop_auto_is_pythons_own_and_asking_for_it_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert loop_factory("auto") is None
    with pytest.raises(ConfigError, match="GW-1404"):
        loop_factory("uvloop")
