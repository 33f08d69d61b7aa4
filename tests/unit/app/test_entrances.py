"""Who somebody is by certificate, user id or listener, before any password."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.app.entrances import Directory, EntranceAuthenticator, device_uuids
from gateway.config.load import parse
from gateway.config.roles import grants_of
from gateway.mesh.access import UNKNOWN
from gateway.model.device import normalised
from gateway.mqtt.ports import (
    Credentials,
    PeerCertificate,
    Principal,
    PrincipalKind,
    Rejected,
)

KNOWN, CHILD = (f"{n}{n}{n}{n}{n}{n}{n}{n}-aaaa-4bbb-8ccc-00000000000{n}" for n in (1, 2))
STRANGER = "99999999-aaaa-4bbb-8ccc-000000000009"
PRINT = "ab" * 32
WRONG = Rejected(4, "by password")


def user(name: str, *roles: str) -> Principal:
    return Principal(PrincipalKind.USER, name, grants_of(roles, ()), frozenset(roles))


USERS = {"anna": user("anna", "home", "monitor"), "root": user("root", "admin")}


class Records:
    """Access records of two devices, the second of which is not in memory at first."""

    def __init__(self, *, has_room: bool = True) -> None:
        self.unread = {CHILD}
        self.has_room = has_room

    def known(self, uuid: str) -> object:
        if uuid in self.unread:
            return UNKNOWN
        return object() if uuid in (KNOWN, CHILD) else None

    def want(self, uuids: tuple[str, ...], told: Callable[[], None]) -> bool:
        self.unread -= set(uuids)
        if self.has_room:
            told()
        return self.has_room


class Passwords:
    """Knows anna's password, and what was asked."""

    def __init__(self) -> None:
        self.asked: list[Credentials] = []

    def __call__(self, credentials, done) -> None:
        self.asked.append(credentials)
        known = credentials.username == "anna" and credentials.password == b"right"
        done(USERS["anna"] if known else WRONG)


def answer(
    config: str = "",
    *,
    username: str | None = None,
    password: bytes | None = None,
    certificate: PeerCertificate | None = None,
    uid: int | None = None,
    listener: str = "tls",
    records: Records | None = None,
) -> Principal | Rejected:
    settings = parse(config, Path("gateway.toml")).settings
    directory = Directory(USERS.get, records or Records(), lambda uuid: uuid == CHILD)
    judge = EntranceAuthenticator(Passwords(), directory, settings.mqtt)
    given = Credentials("c", username, password, "192.0.2.1:5", listener, certificate, uid)
    answers: list[Principal | Rejected] = []
    judge(given, answers.append)
    assert len(answers) == 1
    return answers[0]


def shown(common_name: str = "", *names: str) -> PeerCertificate:
    return PeerCertificate(common_name, names, PRINT)


# ---- certificates ----


@pytest.mark.parametrize(
    "certificate",
    [
        shown(KNOWN),
        shown(KNOWN.upper()),
        shown("a sensor", f"urn:uuid:{KNOWN}"),
        shown("", f"URN:UUID:{KNOWN.upper()}"),
        shown("anna", KNOWN, "sensor.example"),
        shown(KNOWN, f"urn:uuid:{KNOWN}"),
    ],
)
@pytest.mark.parametrize("username", [None, "", KNOWN, KNOWN.upper()])
def test_a_certificate_that_names_a_device_is_that_device(certificate, username):
    found = answer(username=username, certificate=certificate)
    assert found == Principal(PrincipalKind.DEVICE, normalised(KNOWN))


def test_a_child_is_a_child_by_certificate_too_and_is_looked_up_where_it_is_not_in_memory():
    assert answer(certificate=shown(CHILD)) == Principal(PrincipalKind.CHILD, normalised(CHILD))


def test_a_registry_that_is_busy_asks_to_come_again():
    found = answer(certificate=shown(CHILD), records=Records(has_room=False))
    assert isinstance(found, Rejected)
    assert found.code == 3


def test_a_certificate_makes_no_device():
    found = answer(certificate=shown(STRANGER))
    assert isinstance(found, Rejected)
    assert found.code == 5


@pytest.mark.parametrize("username", [None, "anna"])
def test_a_certificate_that_names_a_user_is_that_user(username):
    assert answer(username=username, certificate=shown("anna")) == USERS["anna"]


@pytest.mark.parametrize(
    "certificate",
    [
        shown("bob"),
        shown(""),
        shown(KNOWN, f"urn:uuid:{STRANGER}"),  # two devices are none
        shown("", "anna"),  # only the common name names a user
    ],
)
def test_a_certificate_that_names_nobody_here_lets_nobody_in(certificate):
    assert isinstance(answer(certificate=certificate), Rejected)


@pytest.mark.parametrize("holder", [KNOWN, "root"])
def test_who_claims_to_be_somebody_else_needs_that_ones_password(holder):
    assert answer(username="anna", password=b"wrong", certificate=shown(holder)) is WRONG
    assert answer(username="anna", password=b"right", certificate=shown(holder)) == USERS["anna"]
    assert answer(username="root", certificate=shown(KNOWN)) is WRONG


def test_a_revoked_certificate_lets_nobody_in_even_with_a_password():
    config = f'[mqtt.tls]\nrevoked_certificates = ["{":".join(["AB"] * 32)}"]'
    for options in ({}, {"username": "anna", "password": b"right"}):
        found = answer(config, certificate=shown("anna"), **options)
        assert isinstance(found, Rejected)
        assert found.code == 5


def test_two_devices_in_one_certificate_are_seen_as_two():
    assert len(device_uuids(shown(KNOWN, f"urn:uuid:{CHILD}"))) == 2


# ---- user ids ----


@pytest.mark.parametrize("uid", [0, os.getuid()])
@pytest.mark.parametrize("username", [None, ""])
def test_root_and_the_gateways_own_user_are_operators(uid, username):
    found = answer(username=username, uid=uid, listener="unix")
    assert isinstance(found, Principal)
    assert (found.kind, found.name, found.roles) == (
        PrincipalKind.USER,
        f"unix:{uid}",
        frozenset({"admin"}),
    )
    assert found.grants == grants_of(("admin",), ())


def test_operators_can_be_switched_off():
    found = answer("[mqtt.unix]\noperators = false", uid=0, listener="unix")
    assert isinstance(found, Rejected)


def test_another_user_id_is_nobody_but_may_log_in():
    assert answer(uid=54321, listener="unix") is WRONG
    found = answer(username="anna", password=b"right", uid=54321, listener="unix")
    assert found == USERS["anna"]


def test_a_user_id_may_stand_for_a_user():
    config = '[mqtt.unix.users]\n"54321" = "anna"\n"54322" = "gone"'
    assert answer(config, uid=54321, listener="unix") == USERS["anna"]
    assert answer(config, uid=54321, username="anna", listener="unix") == USERS["anna"]
    assert answer(config, uid=54321, username="root", listener="unix") is WRONG
    assert answer(config, uid=54322, listener="unix") is WRONG


def test_an_operator_who_names_somebody_needs_that_ones_password():
    assert answer(username="root", password=b"x", uid=0, listener="unix") is WRONG


# ---- listeners ----


def test_a_listener_narrows_what_users_may_do():
    found = answer(
        '[mqtt.tls]\nroles = ["monitor"]', username="anna", password=b"right", listener="tls"
    )
    assert isinstance(found, Principal)
    assert found.roles == {"monitor"}
    assert found.grants == grants_of(("monitor",), ())


def test_a_listener_for_other_roles_leaves_a_user_none():
    found = answer('[mqtt.tls]\nroles = ["admin"]', username="anna", password=b"right")
    assert isinstance(found, Principal)
    assert (found.roles, found.grants) == (frozenset(), ())


def test_a_listeners_roles_are_no_matter_to_devices():
    found = answer('[mqtt.tls]\nroles = ["admin"]', certificate=shown(KNOWN))
    assert found == Principal(PrincipalKind.DEVICE, normalised(KNOWN))


def test_nobody_is_anonymous_unless_that_is_switched_on():
    assert answer(certificate=shown("bob")) != WRONG
    assert answer() is WRONG
    config = '[mqtt.unix]\nanonymous_roles = ["home"]'
    found = answer(config, uid=54321, listener="unix")
    assert isinstance(found, Principal)
    assert (found.name, found.roles) == ("anonymous:unix", frozenset({"home"}))
    assert answer(config, listener="tls") is WRONG
    assert answer(config, username="x", uid=54321, listener="unix") is WRONG


def test_operators_and_the_nameless_are_found_again_by_name_after_a_restart():
    text = '[mqtt.tcp]\nanonymous_roles = ["home"]'
    settings = parse(text, Path("gateway.toml")).settings
    directory = Directory(USERS.get, Records(), lambda _: False)
    judge = EntranceAuthenticator(Passwords(), directory, settings.mqtt)
    for name, role in (("unix:0", "admin"), ("anonymous:tcp", "home")):
        found = judge.find(name)
        assert found is not None
        assert (found.name, found.roles) == (name, {role})
    assert judge.find("anonymous:tls") is None
    assert judge.find("anna") is None
