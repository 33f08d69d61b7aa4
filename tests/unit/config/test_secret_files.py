"""Secrets are read from files, and only from files."""

from pathlib import Path

import pytest

from gateway.config.secret_files import secret_of, with_secrets
from gateway.errors import ConfigError


def test_a_file_key_becomes_the_secret_under_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("s3cret\n")
    table = {"password_file": "pw", "other": 1}
    assert with_secrets(table, tmp_path, "x") == {"password": "s3cret", "other": 1}


@pytest.mark.parametrize("raw", [b"", b"\n", b"\xff\xfe", b"x" * 5000])
def test_a_file_that_holds_no_secret_is_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "pw"
    path.write_bytes(raw)
    with pytest.raises(ConfigError) as caught:
        secret_of(path, "driver.password_file")
    assert caught.value.code == "GW-1009"
    assert "driver.password_file" in caught.value.text


def test_a_secret_in_clear_is_refused_without_being_echoed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        with_secrets({"token": "hunter2"}, tmp_path, "drivers.settings.x")
    assert caught.value.code == "GW-1010"
    assert "hunter2" not in str(caught.value)
