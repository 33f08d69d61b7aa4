"""A bridge that could not work, or must not, is parked as a whole with the line of what is wrong."""

from pathlib import Path

import pytest

from gateway.broker.access import Row, row_of
from gateway.config.bridge_rules import JOBS, REQUESTS, is_of_the_mesh
from gateway.config.load import Loaded, parse

FILE = Path("/etc/gateway/gateway.toml")
UUID = "6f1c2b1e-0000-4000-8000-000000000001"
HEAD = '[[mqtt.bridges]]\nname = "home"\nhost = "broker.lan"\n'
RULE = 'topics = [{direction = "out", filter = "devices/#"}]\n'


def judged(text: str) -> Loaded:
    return parse(text, FILE)


def rule(text: str) -> str:
    return f"{HEAD}topics = [\n{{{text}}},\n]"


WRONG = [
    # text, code, line, what the message must say
    (HEAD + RULE + 'password = "secret"', "GW-1010", 5, "`password_file`"),
    (HEAD + RULE + 'password_file = "f"', "GW-1004", 5, "`username` beside it"),
    (HEAD + RULE + 'key_file = "f"', "GW-1004", 5, "`certificate_file` beside it"),
    (HEAD + RULE + 'tls = false\nca_file = "f"', "GW-1140", 6, "without TLS"),
    (HEAD + RULE + 'state_topic = "$SYS/x"', "GW-1140", 5, "ordinary topic"),
    (HEAD + RULE + 'version = "4"', "GW-1006", 5, '"3.1.1"'),
    (HEAD, "GW-1140", 1, "no rule"),
    (rule('direction = "up", filter = "a"'), "GW-1006", 5, '"in", "out" or "both"'),
    (rule('direktion = "in", filter = "a"'), "GW-1003", 5, "`direction`?"),
    (rule('direction = "in", filter = "a#"'), "GW-1140", 5, "`#` in the last one"),
    (rule('direction = "in", filter = "a", local_prefix = "+/"'), "GW-1140", 5, "local_prefix"),
    (rule('direction = "in", filter = "$SYS/#"'), "GW-1140", 5, "ordinary topics"),
    (rule('direction = "out", filter = "#", remote_prefix = "$SYS/"'), "GW-1140", 5, "there"),
    (rule(f'direction = "out", filter = "{UUID}"'), "GW-1140", 5, "ordinary topics"),
    (rule('direction = "out", filter = "message"'), "GW-1140", 5, "ordinary topics"),
    (rule('direction = "out", filter = "meshblu/#"'), "GW-1140", 5, "ordinary topics"),
    (rule('direction = "both", filter = "$share/g/a"'), "GW-1140", 5, "ordinary topics"),
]


@pytest.mark.parametrize(("text", "code", "line", "says"), WRONG)
def test_what_is_wrong_is_named_with_its_line_and_the_bridge_is_left_out(
    text: str, code: str, line: int, says: str
) -> None:
    loaded = judged(text)
    rows = [row for row in loaded.parked if row.code == code]
    assert [row.line for row in rows] == [line]
    assert says in rows[0].text
    assert rows[0].hint
    assert loaded.settings.mqtt.bridges == ()


def test_a_wrong_bridge_leaves_the_others() -> None:
    text = HEAD + RULE + HEAD.replace("home", "other") + RULE + 'key_file = "f"'
    assert [bridge.name for bridge in judged(text).settings.mqtt.bridges] == ["home"]


def test_wide_filters_and_prefixes_are_right() -> None:
    text = rule('direction = "both", filter = "#", remote_prefix = "gw/", local_prefix = "site/"')
    loaded = judged(text)
    assert loaded.parked == ()
    assert loaded.settings.mqtt.bridges[0].topics[0].qos == 1


@pytest.mark.parametrize(
    "topic",
    [UUID, UUID.upper(), "$SYS/x", "$gateway/1/x/up", "$other", *sorted(REQUESTS), *(f"{x}/a" for x in sorted(JOBS))],
)  # fmt: skip
def test_every_row_of_the_mesh_is_known_here_too(topic: str) -> None:
    assert row_of(topic) in {Row.REQUEST, Row.UUID, Row.JOB, Row.SYNC, Row.SYS, Row.RESERVED}
    assert is_of_the_mesh(topic)


@pytest.mark.parametrize(
    "topic",
    ["devices/a/set", "devices/a/reading", "a", "meshblu", "message/a", f"{UUID}/a", "a/$b"],
)
def test_ordinary_topics_are_nobodys(topic: str) -> None:
    assert row_of(topic) in {Row.PLAIN, Row.SET, Row.STATE}
    assert not is_of_the_mesh(topic)
