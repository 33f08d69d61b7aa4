"""The node's own server certificate: its CA, its names, its renewal, and the key that children know it by."""

import json
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509

from gateway.errors import ConfigError
from gateway.uplink import authority as authority_module
from gateway.uplink.certificate import (
    OwnCertificate,
    fingerprint,
    key_pin,
    own_fingerprint,
    server_context,
)
from gateway.uplink.machine_names import MachineNames
from tests.fakes.certificates import self_signed, shake_hands

HOME = MachineNames(("gateway.local", "localhost"), ("127.0.0.1", "192.0.2.7"))


def made(folder: Path, names: MachineNames = HOME) -> OwnCertificate:
    own = OwnCertificate(folder, names=lambda _: names)
    own.renew()
    return own


def chain(folder: Path) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates((folder / "tls" / "server.crt").read_bytes())


def test_it_is_made_once_with_a_private_key_file(tmp_path):
    server_context(tmp_path)
    pin = own_fingerprint(tmp_path)
    server_context(tmp_path)
    assert own_fingerprint(tmp_path) == pin
    assert len(pin) == 64
    for secret in ("node.key", "ca.pem"):
        assert (tmp_path / "secrets" / secret).stat().st_mode & 0o777 == 0o600


def test_it_is_signed_by_a_ca_of_its_own_and_says_every_name_of_the_machine(tmp_path):
    made(tmp_path)
    leaf, issuer = chain(tmp_path)
    leaf.verify_directly_issued_by(issuer)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["gateway.local", "localhost"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "192.0.2.7"]
    assert issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert issuer.not_valid_after_utc.year > 2100


def test_who_trusts_the_ca_can_check_the_host_name(tmp_path):
    context = made(tmp_path).context()
    client = ssl.create_default_context(cafile=str(tmp_path / "tls" / "ca.crt"))
    assert shake_hands(context, client, "gateway.local")
    assert shake_hands(context, client, "192.0.2.7")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(context, client, "elsewhere.example")


def test_nothing_older_than_tls_1_2_is_spoken(tmp_path):
    context = made(tmp_path).context()
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_new_name_renews_it_under_the_same_ca_and_the_same_pin(tmp_path):
    before = made(tmp_path)
    pin, first = before.pin(), chain(tmp_path)
    more = MachineNames((*HOME.dns, "new.example"), HOME.addresses)
    after = made(tmp_path, more)
    assert after.pin() == pin
    second = chain(tmp_path)
    assert second[0] != first[0]
    assert second[1] == first[1]


def test_a_name_that_went_renews_nothing(tmp_path):
    made(tmp_path)
    assert not OwnCertificate(tmp_path, names=lambda _: MachineNames(("localhost",), ())).is_due()


@pytest.mark.parametrize(("days", "is_due"), [(330, False), (340, True), (-400, True)])
def test_it_is_renewed_before_it_ends_and_when_the_clock_was_wrong(
    tmp_path, monkeypatch, days, is_due
):
    own = made(tmp_path)
    now = authority_module.now_s()
    monkeypatch.setattr("gateway.uplink.certificate.now_s", lambda: now + days * 86_400)
    assert own.is_due() is is_due


def test_connections_after_a_renewal_see_the_new_certificate(tmp_path):
    names = [HOME]
    own = OwnCertificate(tmp_path, names=lambda _: names[0])
    context = own.context()
    client = ssl.create_default_context(cafile=str(tmp_path / "tls" / "ca.crt"))
    names[0] = MachineNames((*HOME.dns, "new.example"), HOME.addresses)
    assert own.is_due()
    assert own.renew()
    own.reload()
    assert shake_hands(context, client, "new.example")


def test_a_key_without_its_certificate_gets_a_new_one_for_the_same_pin(tmp_path):
    pin = made(tmp_path).pin()
    (tmp_path / "tls" / "server.crt").write_text("nothing")
    assert made(tmp_path).pin() == pin


def test_a_missing_key_is_never_made_anew(tmp_path):
    server_context(tmp_path)
    (tmp_path / "secrets" / "node.key").unlink()
    with pytest.raises(ConfigError, match=r"node\.key") as caught:
        server_context(tmp_path)
    assert caught.value.code == "GW-1612"


def test_a_damaged_key_is_named(tmp_path):
    server_context(tmp_path)
    (tmp_path / "secrets" / "node.key").write_text("nothing")
    with pytest.raises(ConfigError) as caught:
        server_context(tmp_path)
    assert caught.value.code == "GW-1612"


def test_a_ca_whose_key_went_is_never_made_anew_but_its_certificate_serves_on(tmp_path):
    made(tmp_path)
    (tmp_path / "secrets" / "ca.pem").unlink()
    made(tmp_path).context()
    with pytest.raises(ConfigError, match=r"ca\.pem"):
        made(tmp_path, MachineNames(("new.example",), ()))


def test_a_valid_certificate_serves_on_where_a_new_name_cannot_be_signed(tmp_path, caplog):
    pin = made(tmp_path).pin()
    (tmp_path / "secrets" / "ca.pem").unlink()
    moved = MachineNames(HOME.dns, ("127.0.0.1", "192.0.2.8"))
    own = OwnCertificate(tmp_path, names=lambda _: moved)
    client = ssl.create_default_context(cafile=str(tmp_path / "tls" / "ca.crt"))
    assert key_pin(shake_hands(own.context(), client, "gateway.local")) == pin
    assert "not renewed" in caplog.text


def test_one_that_has_ended_does_not(tmp_path, monkeypatch):
    made(tmp_path)
    (tmp_path / "secrets" / "ca.pem").unlink()
    own = OwnCertificate(tmp_path, names=lambda _: HOME)
    until_s = json.loads((tmp_path / "tls" / "server.json").read_text())["until_s"]
    monkeypatch.setattr("gateway.uplink.certificate.now_s", lambda: until_s)
    with pytest.raises(ConfigError, match=r"ca\.pem cannot be used"):
        own.context()


def test_the_ca_certificate_for_people_is_written_again_when_it_went(tmp_path):
    made(tmp_path)
    path = tmp_path / "tls" / "ca.crt"
    before = path.read_bytes()
    path.unlink()
    assert OwnCertificate(tmp_path).authority.ready().read_bytes() == before


def test_making_it_leaves_no_cryptography_in_the_process(tmp_path):
    code = (
        "import pathlib, sys\n"
        "from gateway.uplink.certificate import server_context\n"
        f"server_context(pathlib.Path({str(tmp_path)!r}))\n"
        "sys.exit('cryptography' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert (tmp_path / "tls" / "server.crt").exists()


@pytest.mark.parametrize("program", ["/bin/false", "/nowhere/python"])
def test_a_certificate_that_cannot_be_made_is_named(tmp_path, monkeypatch, program):
    monkeypatch.setattr(sys, "executable", program)
    with pytest.raises(ConfigError, match="none could be made") as caught:
        server_context(tmp_path)
    assert caught.value.code == "GW-1612"
    assert not (tmp_path / "secrets").exists()


# ---- a state directory of before the CA ----


def legacy(folder: Path) -> str:
    """Lay out what versions before the CA made; returns the fingerprint that their children pinned."""
    (folder / "tls").mkdir()
    (folder / "secrets").mkdir()
    certificate, key = self_signed("gateway")
    (folder / "tls" / "node.crt").write_bytes(certificate)
    (folder / "secrets" / "node.key").write_bytes(key)
    return fingerprint(ssl.PEM_cert_to_DER_cert(certificate.decode()))


def test_children_of_before_the_ca_still_see_the_certificate_they_pinned(tmp_path):
    pinned = legacy(tmp_path)
    context = made(tmp_path).context()
    child = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    child.check_hostname, child.verify_mode = False, ssl.CERT_NONE
    shown = shake_hands(context, child, None)
    assert fingerprint(shown) == pinned
    assert key_pin(shown) == own_fingerprint(tmp_path)  # and who joins today sees the same parent


def test_others_see_the_signed_certificate_there_too(tmp_path):
    legacy(tmp_path)
    context = made(tmp_path).context()
    client = ssl.create_default_context(cafile=str(tmp_path / "tls" / "ca.crt"))
    assert shake_hands(context, client, "gateway.local")


# ---- the pin ----


def test_the_pin_is_the_hash_of_the_public_key_info(tmp_path):
    from cryptography.hazmat.primitives import hashes, serialization

    for pem in (self_signed("one")[0], self_signed("two")[0]):
        certificate = x509.load_pem_x509_certificate(pem)
        digest = hashes.Hash(hashes.SHA256())
        digest.update(
            certificate.public_key().public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        der = certificate.public_bytes(serialization.Encoding.DER)
        assert key_pin(der) == digest.finalize().hex()
        assert all(key_pin(der[:cut]) == "" for cut in range(0, 200, 7))


def test_the_machine_is_called_by_its_name_its_mdns_name_and_its_addresses(tmp_path):
    made_now = OwnCertificate(tmp_path, ["mqtt.example.org", "198.51.100.9"])
    made_now.renew()
    said = json.loads((tmp_path / "tls" / "server.json").read_text())
    short = socket.gethostname().partition(".")[0].lower()
    assert {short, f"{short}.local", "localhost", "mqtt.example.org"} <= set(said["dns"])
    assert {"127.0.0.1", "::1", "198.51.100.9"} <= set(said["addresses"])
