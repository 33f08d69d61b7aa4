"""Listeners as the configuration asks for them, and the certificates that those with TLS show."""

import asyncio
import contextlib
import os
import shutil
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.app import listening
from gateway.app.entrances import entrances_of
from gateway.app.listening import Certificates, network_listeners, unix_listener
from gateway.broker.listeners import Listener
from gateway.broker.server import Broker
from gateway.config.listener_tables import TlsListener
from gateway.config.load import parse
from gateway.config.schema import MqttSettings
from gateway.errors import ConfigError
from gateway.mqtt.ports import PrincipalKind, Rejected
from gateway.uplink.certificate import fingerprint
from tests.fakes.certificates import Made, client_side, make, make_server, shake_hands
from tests.fakes.waiting import eventually


def settings_of(text: str) -> MqttSettings:
    loaded = parse(text, Path("gateway.toml"))
    assert loaded.parked == ()
    return loaded.settings.mqtt


def refuse(_credentials, done) -> None:
    done(Rejected(4, "nobody"))


def made_of(text: str, folder: Path) -> dict[str, Listener]:
    mqtt = settings_of(text)
    certificates = Certificates(mqtt.tls, folder, lambda name: folder / name)
    return network_listeners(Broker(refuse), mqtt, entrances_of(mqtt), certificates)


def test_every_listener_that_is_switched_on_is_made(tmp_path):
    found = made_of(
        "[mqtt.tcp]\nenabled = false\n[mqtt.tls]\nenabled = true\n"
        "[mqtt.websocket]\nenabled = true\n"
        "[[mqtt.listeners]]\nname = 'lan'\n[[mqtt.listeners]]\nname = 'wss'\nkind = 'websocket'\n"
        "tls = true\n[[mqtt.listeners]]\nname = 'off'\nenabled = false\n",
        tmp_path,
    )
    assert {name: listener.is_encrypted for name, listener in found.items()} == {
        "tls": True,
        "websocket": False,
        "lan": False,
        "wss": True,
    }
    assert found["tls"].name == "mqtt-tls"


@pytest.mark.parametrize(
    ("more", "is_for_children"),
    [
        ("", True),
        ("kinds = ['user', 'device']", False),
        ("proxy_protocol = true", False),
        ("kind = 'websocket'", False),
        ("tls = true\nclient_certificates = 'optional'", True),
        ("tls = true\nclient_certificates = 'required'", False),
    ],
)
def test_children_are_invited_only_where_they_can_come_in(tmp_path, more, is_for_children):
    found = made_of(f"[[mqtt.listeners]]\nname = 'x'\n{more}\n", tmp_path)
    assert found["x"].is_for_children is is_for_children


def test_a_listener_has_the_rules_of_its_table():
    mqtt = settings_of(
        "[mqtt.tcp]\nkinds = ['user']\nroles = ['home']\nmost_connections = 7\n"
        "most_packet_bytes = 2048\nanonymous_roles = ['monitor']\n"
    )
    entrance = entrances_of(mqtt)["tcp"]
    assert entrance.kinds == {PrincipalKind.USER}
    assert entrance.roles == {"home"}
    assert (entrance.most_connections, entrance.most_packet_bytes) == (7, 2048)
    assert entrance.anonymous is not None
    assert entrance.anonymous.roles == {"monitor"}
    assert entrances_of(mqtt)["tls"].anonymous is None


async def test_the_unix_socket_has_its_mode(tmp_path):
    mqtt = settings_of("[mqtt.unix]\nmode = '600'\n")
    listener = unix_listener(Broker(refuse), mqtt, entrances_of(mqtt)["unix"], tmp_path / "s")
    async with contextlib.AsyncExitStack() as stack:
        await listener.open(stack)
        assert (tmp_path / "s").stat().st_mode & 0o777 == 0o600


# ---- certificates ----


def certificates(folder: Path, **keys: object) -> Certificates:
    return Certificates(TlsListener(**keys), folder, lambda name: folder / name)


@pytest.fixture
def given(tmp_path: Path) -> Iterator[tuple[Made, Made]]:
    """A CA and a server certificate of a person's own, as cert.pem and key.pem."""
    ca = make(tmp_path, "ca", is_ca=True)
    server = make_server(tmp_path, ca)
    put(tmp_path, server)
    yield ca, server


def put(folder: Path, server: Made) -> None:
    shutil.copy(server.chain_file, folder / "cert.pem")
    shutil.copy(server.key_file, folder / "key.pem")


def test_the_gateways_own_ca_vouches_until_somebody_gives_a_certificate(tmp_path, given):
    ca, server = given
    own = certificates(tmp_path).context("off")
    assert shake_hands(own, client_side(tmp_path / "tls" / "ca.crt"), "localhost")
    theirs = certificates(tmp_path, certificate_file="cert.pem", key_file="key.pem").context("off")
    assert fingerprint(shake_hands(theirs, client_side(ca), "localhost")) == server.fingerprint
    assert theirs.minimum_version is ssl.TLSVersion.TLSv1_2


def test_the_fingerprint_of_the_ca_is_told_at_start(tmp_path, caplog):
    with caplog.at_level("INFO"):
        certificates(tmp_path).context("off")
    (record,) = [r for r in caplog.records if hasattr(r, "ca_sha256")]
    pem = (tmp_path / "tls" / "ca.crt").read_text()
    assert record.ca_sha256 == fingerprint(ssl.PEM_cert_to_DER_cert(pem))


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ({"certificate_file": "nowhere", "key_file": "nowhere"}, "GW-1810"),
        ({"certificate_file": "rubbish", "key_file": "rubbish"}, "GW-1810"),
        ({"client_ca_file": "nowhere"}, "GW-1123"),
        ({"client_ca_file": "rubbish"}, "GW-1123"),
    ],
)
def test_a_file_that_is_of_no_use_is_named(tmp_path, keys, code):
    (tmp_path / "rubbish").write_text("rubbish")
    with pytest.raises(ConfigError, match=r"nowhere|rubbish") as caught:
        certificates(tmp_path, **keys).context("required")
    assert caught.value.code == code


def test_clients_show_certificates_of_our_own_ca_or_of_the_one_named(tmp_path, given):
    ca, _ = given
    own = certificates(tmp_path)
    context = own.context("required")
    made = own.own.authority.sign_client("anna", 1)
    (tmp_path / "anna.pem").write_text(made["certificate"] + made["key"])
    trusting = client_side(tmp_path / "tls" / "ca.crt")
    trusting.load_cert_chain(tmp_path / "anna.pem")
    assert shake_hands(context, trusting, "localhost")
    named = certificates(tmp_path, client_ca_file=str(ca.chain_file)).context("required")
    with pytest.raises(ssl.SSLError):
        shake_hands(named, trusting, "localhost")
    other = client_side(tmp_path / "tls" / "ca.crt", make(tmp_path, "bob", by=ca))
    assert shake_hands(named, other, "localhost")


def test_a_server_certificate_of_ours_is_no_clients(tmp_path):
    own = certificates(tmp_path)
    context = own.context("required")
    client = client_side(tmp_path / "tls" / "ca.crt")
    client.load_cert_chain(tmp_path / "tls" / "server.crt", tmp_path / "secrets" / "node.key")
    with pytest.raises(ssl.SSLError):
        shake_hands(context, client, "localhost")


@contextlib.asynccontextmanager
async def looking(found: Certificates, monkeypatch):
    monkeypatch.setattr(listening, "LOOK_EVERY_S", 0.01)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(found.run())
        yield
        task.cancel()


async def test_a_certificate_that_somebody_replaced_is_shown_without_a_restart(
    tmp_path, given, monkeypatch
):
    ca, _ = given
    found = certificates(tmp_path, certificate_file="cert.pem", key_file="key.pem")
    context = found.context("off")
    newer = make_server(tmp_path, ca)
    async with looking(found, monkeypatch):
        put(tmp_path, newer)
        os.utime(tmp_path / "cert.pem", (2e9, 2e9))
        await eventually(
            lambda: (
                fingerprint(shake_hands(context, client_side(ca), "localhost")) == newer.fingerprint
            )
        )


async def test_half_a_replacement_is_waited_out(tmp_path, given, monkeypatch, caplog):
    ca, server = given
    found = certificates(tmp_path, certificate_file="cert.pem", key_file="key.pem")
    context = found.context("off")
    newer = make_server(tmp_path, ca)
    async with looking(found, monkeypatch):
        shutil.copy(newer.chain_file, tmp_path / "cert.pem")  # the key still is the old one
        os.utime(tmp_path / "cert.pem", (2e9, 2e9))
        await eventually(lambda: [r for r in caplog.records if getattr(r, "code", "") == "GW-1810"])
        assert shake_hands(context, client_side(ca), "localhost")
        put(tmp_path, newer)
        await eventually(
            lambda: (
                fingerprint(shake_hands(context, client_side(ca), "localhost")) == newer.fingerprint
            )
        )
    del server


async def test_our_own_is_renewed_while_the_node_runs(tmp_path, monkeypatch):
    found = certificates(tmp_path)
    context = found.context("off")
    trusting = client_side(tmp_path / "tls" / "ca.crt")
    before = shake_hands(context, trusting, "localhost")
    async with looking(found, monkeypatch):
        (tmp_path / "tls" / "server.json").unlink()
        await eventually(lambda: shake_hands(context, trusting, "localhost") != before)
