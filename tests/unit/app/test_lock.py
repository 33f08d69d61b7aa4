"""One state directory, one gateway."""

import os
from pathlib import Path

import pytest

from gateway.app.lock import StateLock
from gateway.errors import ConfigError, StoreBusyError


def test_a_second_gateway_on_the_same_state_is_refused_and_told_who_holds_it(tmp_path: Path):
    held = StateLock(tmp_path)
    with pytest.raises(StoreBusyError, match=rf"process {os.getpid()}") as caught:
        StateLock(tmp_path)
    assert caught.value.code == "GW-1806"
    held.release()


def test_a_released_directory_can_be_taken_again(tmp_path: Path):
    StateLock(tmp_path).release()
    StateLock(tmp_path).release()


def test_a_state_directory_that_is_a_file_says_what_to_do(tmp_path: Path):
    path = tmp_path / "state"
    path.write_text("")
    with pytest.raises(ConfigError) as caught:
        StateLock(path)
    assert caught.value.code == "GW-1807"
    assert "--state" in caught.value.hint
