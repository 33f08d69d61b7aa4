"""The node's own certificate."""

import subprocess
import sys

import pytest

from gateway.errors import ConfigError
from gateway.uplink.certificate import own_fingerprint, server_context


def test_it_is_made_once_with_a_private_key_file(tmp_path):
    server_context(tmp_path)
    pin = own_fingerprint(tmp_path)
    server_context(tmp_path)
    assert own_fingerprint(tmp_path) == pin
    assert len(pin) == 64
    assert (tmp_path / "secrets" / "node.key").stat().st_mode & 0o777 == 0o600


def test_a_missing_half_is_never_made_anew(tmp_path):
    server_context(tmp_path)
    (tmp_path / "secrets" / "node.key").unlink()
    with pytest.raises(ConfigError, match=r"node\.key") as caught:
        server_context(tmp_path)
    assert caught.value.code == "GW-1612"


def test_a_damaged_certificate_is_named(tmp_path):
    server_context(tmp_path)
    (tmp_path / "tls" / "node.crt").write_text("nothing")
    with pytest.raises(ConfigError):
        server_context(tmp_path)


def test_making_it_leaves_no_cryptography_in_the_process(tmp_path):
    code = (
        "import pathlib, sys\n"
        "from gateway.uplink.certificate import server_context\n"
        f"server_context(pathlib.Path({str(tmp_path)!r}))\n"
        "sys.exit('cryptography' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert (tmp_path / "tls" / "node.crt").exists()


@pytest.mark.parametrize("program", ["/bin/false", "/nowhere/python"])
def test_a_certificate_that_cannot_be_made_is_named(tmp_path, monkeypatch, program):
    monkeypatch.setattr(sys, "executable", program)
    with pytest.raises(ConfigError, match="none could be made") as caught:
        server_context(tmp_path)
    assert caught.value.code == "GW-1612"
    assert not (tmp_path / "secrets").exists()
