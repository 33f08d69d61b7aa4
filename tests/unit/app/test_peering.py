"""Who a bridge is on our own broker, and what of its files can be wrong."""

import ssl
from pathlib import Path

import pytest

from gateway.app.peering import _context, bridge_principal
from gateway.config.load import Loaded, parse
from gateway.errors import ConfigError
from gateway.mqtt.journal import SessionKey
from gateway.mqtt.ports import Grant, PrincipalKind
from tests.fakes.certificates import self_signed

HOME = (
    '[[mqtt.bridges]]\nname = "home"\nhost = "h"\ntopics = [{direction = "out", filter = "a/#"}]\n'
)


def key(identity: str, kind: PrincipalKind = PrincipalKind.USER) -> SessionKey:
    return SessionKey(kind, identity, identity)


def loaded(text: str, folder: Path = Path("/etc/gateway")) -> Loaded:
    return parse(text, folder / "gateway.toml")


def test_the_session_of_a_bridge_is_its_own_again_after_a_restart() -> None:
    found = bridge_principal(loaded(HOME), key("bridge:home"))
    assert found is not None
    assert (found.kind, found.name) == (PrincipalKind.USER, "bridge:home")
    assert found.grants == (Grant("a/#", read=True),)


def test_a_bridge_that_is_parked_keeps_its_session_and_may_do_nothing() -> None:
    found = bridge_principal(loaded(HOME + 'key_file = "k"\n'), key("bridge:home"))
    assert found is not None
    assert found.grants == ()
    wrong = bridge_principal(loaded(HOME + "port = 0\n"), key("bridge:home"))
    assert wrong is not None


@pytest.mark.parametrize(
    "owner",
    [
        key("bridge:gone"),
        key("home"),
        key("bridge:home", PrincipalKind.DEVICE),
    ],
)
def test_nobody_else_is_a_bridge(owner: SessionKey) -> None:
    assert bridge_principal(loaded(HOME), owner) is None


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ('ca_file = "none.pem"', "No such file"),
        ('ca_file = "text.pem"', "no PEM"),
        ('ca_file = "key.pem"', "certificate"),
        ('certificate_file = "cert.pem"\nkey_file = "other.pem"', "MISMATCH"),
        ('certificate_file = "cert.pem"\nkey_file = "none.pem"', "No such file"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, keys: str, says: str) -> None:
    (tmp_path / "text.pem").write_text("hello")
    certificate, private = self_signed("here")
    _, other = self_signed("there")
    for file, content in (("cert", certificate), ("key", private), ("other", other)):
        (tmp_path / f"{file}.pem").write_bytes(content)
    settings = loaded(HOME + keys, tmp_path)
    with pytest.raises(ConfigError) as raised:
        _context(settings.settings.mqtt.bridges[0], settings)
    assert raised.value.code == "GW-1148"
    assert says.lower() in raised.value.text.lower()
    assert "bridge home" in raised.value.text


def test_a_client_certificate_and_a_ca_are_taken(tmp_path: Path) -> None:
    certificate, private = self_signed("here")
    (tmp_path / "cert.pem").write_bytes(certificate)
    (tmp_path / "key.pem").write_bytes(private)
    keys = 'ca_file = "cert.pem"\ncertificate_file = "cert.pem"\nkey_file = "key.pem"'
    settings = loaded(HOME + keys, tmp_path)
    context = _context(settings.settings.mqtt.bridges[0], settings)
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
