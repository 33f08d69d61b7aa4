"""A state directory with something odd in it: said with what to do, never a traceback."""

from pathlib import Path

import pytest

from gateway.app import identity
from gateway.app.http import unix_socket
from gateway.errors import ConfigError


def test_a_file_in_place_of_the_secrets_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text("")
    with pytest.raises(ConfigError, match="secrets") as caught:
        identity.load(tmp_path)
    assert caught.value.code == "GW-1807"


def test_a_folder_in_place_of_the_control_socket_is_named(tmp_path: Path) -> None:
    (tmp_path / "control.sock").mkdir()
    with pytest.raises(ConfigError, match="control") as caught:
        unix_socket(tmp_path / "control.sock")
    assert caught.value.code == "GW-1807"


def test_the_control_socket_is_this_users_alone(tmp_path: Path) -> None:
    sock = unix_socket(tmp_path / "control.sock")
    assert (tmp_path / "control.sock").stat().st_mode & 0o777 == 0o600
    sock.close()
