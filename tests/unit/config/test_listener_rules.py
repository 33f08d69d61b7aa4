"""Faults of listeners: named with their line, and a listener with one is not opened."""

from pathlib import Path

import pytest

from gateway.config.load import Loaded, parse
from gateway.config.schema import Settings


def judged(text: str) -> Loaded:
    return parse(text, Path("gateway.toml"))


MORE = "[[mqtt.listeners]]\nname = 'more'\nport = 1999\n"

WRONG = [
    # text, the listener that stays shut, line, what the message must say
    ("[mqtt.tcp]\nroles = ['amdin']", "tcp", 2, "unknown role 'amdin'"),
    ("[mqtt.tls]\nenabled = true\nanonymous_roles = ['x']", "tls", 3, "unknown role 'x'"),
    ("[mqtt.tcp]\nkinds = ['users']", "tcp", 2, "user"),
    ("[mqtt.tcp]\nkinds = []", "tcp", 2, "kinds"),
    ("[mqtt.tcp]\nbind = 7", "tcp", 2, "bind"),
    ("[mqtt.tcp]\nproxy_protocol = 'yes'", "tcp", 2, "true or false"),
    ("[mqtt.tcp]\ntrusted_proxies = ['here']", "tcp", 2, "such as 10.0.0.5 or 10.0.0.0/24"),
    ("[mqtt.tcp]\ntrusted_proxies = ['10.0.0.1/8']", "tcp", 2, "10.0.0.1/8"),
    ("[mqtt.tcp]\nproxy_protocol = true\ntrusted_proxies = []", "tcp", 3, "nobody"),
    ("[mqtt.tls]\nenabled = true\nclient_certificates = 'yes'", "tls", 3, "required"),
    ("[mqtt.tls]\nenabled = true\nrole = ['monitor']", "tls", 3, "unknown key `role`"),
    ("[mqtt.tls]\nenabled = true\nclient_certificate = 'required'", "tls", 3, "unknown key"),
    ("[mqtt.tls]\nenabled = true\nclient_ca_file = 7", "tls", 3, "client_ca_file"),
    ("[mqtt.tls]\nenabled = true\nrevoked_certificates = ['ab']", "tls", 3, "64 hex digits"),
    ("[mqtt.tls]\nenabled = true\ncertificate_file = 'c'", "tls", 1, "certificate_file"),
    ("[mqtt.websocket]\nenabled = true\npaths = ['mqtt']", "websocket", 3, "begin with `/`"),
    (
        "[mqtt.websocket]\nenabled = true\nallowed_origins = ['example.org']",
        "websocket",
        3,
        "https://example.org",
    ),
    ("[mqtt.websocket]\nenabled = true\ntls = 1", "websocket", 3, "true or false"),
    (
        "[mqtt.websocket]\nenabled = true\nclient_certificates = 'required'",
        "websocket",
        3,
        "`tls = true`",
    ),
    ("[mqtt.unix]\nmode = '0999'", "unix", 2, "mode"),
    ("[mqtt.unix]\nusers = { anna = 'anna' }", "unix", 2, "id -u"),
    (
        "[mqtt.unix]\nusers = { 1000 = '6f1c2b1e-0000-4000-8000-000000000001' }",
        "unix",
        2,
        "devices use tokens",
    ),
    (f"{MORE}client_certificates = 'optional'", "more", 4, "`tls = true`"),
    (f"{MORE}trusted_proxies = ['x']", "more", 4, "addresses or networks"),
    (f"{MORE}kind = 'udp'", "more", 4, "websocket"),
    (MORE.replace("more", "tcp"), "tcp-too", 2, "another name"),
    (MORE.replace("more", "a b"), "more", 2, "letters, digits"),
]


@pytest.mark.parametrize(("text", "shut", "line", "says"), WRONG)
def test_a_listener_with_a_fault_is_named_with_its_line_and_not_opened(text, shut, line, says):
    loaded = judged(text)
    (parked, *_) = loaded.parked
    assert parked.line == line, parked
    assert says in parked.text
    mqtt = loaded.settings.mqtt
    if shut in ("tcp", "tls", "websocket", "unix"):
        assert not getattr(mqtt, shut).enabled
    else:
        assert shut not in {listener.name for listener in mqtt.listeners if listener.enabled}


def test_a_right_listener_beside_a_wrong_one_is_kept():
    loaded = judged(MORE.replace("more", "bad") + "roles = ['x']\n" + MORE)
    assert [listener.name for listener in loaded.settings.mqtt.listeners] == ["more"]


def test_a_wrong_key_that_keeps_nobody_out_leaves_the_listener_open():
    loaded = judged("[mqtt.tcp]\nport = 'x'")
    assert loaded.parked
    assert loaded.settings.mqtt.tcp.enabled


def test_one_address_or_several_may_be_given():
    assert judged("[mqtt.tcp]\nbind = '::1'").settings.mqtt.tcp.bind == ("::1",)
    both = judged("[mqtt.tcp]\nbind = ['127.0.0.1', '::1']")
    assert both.parked == ()
    assert both.settings.mqtt.tcp.bind == ("127.0.0.1", "::1")


def test_only_loopback_and_this_machine_listen_until_somebody_says_otherwise():
    mqtt = Settings().mqtt
    assert mqtt.tcp.enabled
    assert mqtt.tcp.bind == ("127.0.0.1",)
    assert mqtt.unix.enabled
    assert not mqtt.tls.enabled
    assert not mqtt.websocket.enabled
    assert not any(
        table.anonymous_roles for table in (mqtt.tcp, mqtt.tls, mqtt.websocket, mqtt.unix)
    )


def test_an_unknown_key_that_guards_nothing_closes_nothing() -> None:
    assert judged("[mqtt.tcp]\nprot = 1884\n").settings.mqtt.tcp.enabled


@pytest.mark.parametrize("wrong", ["revoked_certificates = 'ab'", "revoked_certificates = ['ab']"])
def test_who_was_revoked_holds_at_every_listener_or_none_that_asks_for_certificates(
    wrong: str,
) -> None:
    asking = "tls = true\nclient_certificates = 'required'\n"
    text = f"[mqtt.tls]\n{wrong}\n[mqtt.websocket]\nenabled = true\n{asking}{MORE}{asking}"
    plain = MORE.replace("more", "plain").replace("1999", "1998")
    mqtt = judged(text + plain).settings.mqtt
    assert not mqtt.websocket.enabled
    assert [listener.name for listener in mqtt.listeners] == ["plain"]
