"""Local users of a real node: added while it runs and while it does not, changed and removed under their clients."""

import subprocess
from pathlib import Path

import pytest

from tests.fakes.broker_people import Person
from tests.fakes.nodes import Node, running

pytestmark = [pytest.mark.slow]

NO_RADIO = '[ble]\nenabled = "off"\n'


def added(node: Node, person: Person, *roles: str) -> subprocess.CompletedProcess[str]:
    words = [word for role in roles for word in ("--role", role)]
    return node.run(
        "broker", "user", "add", person.name, *words, "--password-stdin", stdin=person.password
    )


def test_a_user_comes_changes_and_goes_while_the_node_runs(tmp_path: Path) -> None:
    anna = Person("anna", "correct horse")
    node = Node(tmp_path / "node", config=NO_RADIO)
    with running(node):
        assert not anna.may_log_in(node)
        done = added(node, anna, "monitor")
        assert done.returncode == 0, done.stderr
        with anna.staying(node, "gateway/health") as client:
            assert node.run("broker", "user", "role", "anna", "--set", "home").stdout == (
                "anna has role home; 1 session ended\n"
            )
            client.ends()
        with anna.staying(node, "devices/#") as client:
            node.run("broker", "user", "password", "anna", "--password-stdin", stdin="battery\n")
            client.ends()
        assert not anna.may_log_in(node)
        anna.password = "battery"
        with anna.staying(node, "devices/#") as client:
            assert node.run("broker", "user", "remove", "anna").returncode == 0
            client.ends()
        assert not anna.may_log_in(node)
        for secret in ("correct horse", "battery"):
            assert secret not in node.log


def test_a_user_added_while_the_node_is_off_may_log_in_when_it_is_on(tmp_path: Path) -> None:
    anna = Person("anna", "correct horse")
    node = Node(tmp_path / "node", config=NO_RADIO)
    done = added(node, anna, "monitor")
    assert done.returncode == 0, done.stderr
    with running(node):
        assert anna.may_log_in(node)
        listed = node.run("broker", "user", "list").stdout
        assert listed.splitlines()[1].split()[:2] == ["anna", "monitor"]
    with running(node):  # and after a restart
        assert anna.may_log_in(node)


def test_what_waits_for_a_user_outlives_a_restart_but_not_the_user(tmp_path: Path) -> None:
    anna, ben = Person("anna", "correct horse"), Person("ben", "battery")
    node = Node(tmp_path / "node", config=NO_RADIO)
    for person in (anna, ben):
        assert added(node, person, "admin").returncode == 0

    def away() -> set[str]:
        rows = node.ask("GET", "/broker/sessions")
        return {row["identity"] for row in rows if not row["online"] and row["queued"]}

    with running(node):
        for person in (anna, ben):
            with person.staying(node, "news/#", client_id=person.name, clean_session=False):
                pass
        with anna.staying(node, client_id="writer") as writer:
            writer.client.publish("news/1", b"x", 1).wait_for_publish(5)
        assert away() == {"anna", "ben"}
    assert node.run("broker", "user", "remove", "ben").returncode == 0
    with running(node):
        assert away() == {"anna"}
        assert node.run("broker", "user", "role", "anna", "--set", "home").returncode == 0
        [row] = node.ask("GET", "/broker/sessions")
        assert row["subscriptions"] == []  # `home` does not read news
        assert "ben" not in node.run("broker", "user", "list").stdout


def test_a_user_of_the_file_holds_against_one_of_the_same_name(tmp_path: Path) -> None:
    theirs = Person("anna", "of the file")
    mine = Person("anna", "of the command")
    (tmp_path / "password").write_text("of the file\n")
    config = f'{NO_RADIO}[[mqtt.users]]\nname = "anna"\npassword_file = "{tmp_path / "password"}"\nroles = ["monitor"]\n'
    node = Node(tmp_path / "node", config=config)
    with running(node):
        assert "gateway.toml has a user 'anna' too" in added(node, mine, "monitor").stdout
        assert theirs.may_log_in(node)
        assert not mine.may_log_in(node)
