"""A wrong part of gateway.toml is named with line, found and expected; the rest is used."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from gateway.config.load import Loaded, load, parse
from gateway.config.schema import Settings
from gateway.errors import ConfigError, GatewayError

FILE = Path("/etc/gateway/gateway.toml")
LINK = '[[serial]]\nname = "{name}"\nport = "/dev/{name}"\ndriver = "line-json"\n'


def judged(text: str) -> Loaded:
    return parse(text, FILE)


WRONG = [
    # text, code, line, what the message must say
    ("serail = 1", "GW-1003", 1, "found the unknown key `serail`, expected `serial`?"),
    ("[http]\nprot = 80", "GW-1003", 2, "`port`?"),
    ("[http]\nzzzzz = 80", "GW-1003", 2, "expected one of bind, enabled, port"),
    ('[http]\n\nport = "80"', "GW-1005", 3, 'found "80", expected a whole number'),
    ("http.port = true", "GW-1005", 1, "found true, expected a whole number"),
    ("http = 80", "GW-1005", 1, "expected a table"),
    ("[http]\nbind = 80", "GW-1005", 2, "expected a text in quotes"),
    ("[http]\nenabled = 'yes'", "GW-1005", 2, "expected true or false"),
    ("[drivers]\nallow = 'x'", "GW-1005", 2, "expected a list"),
    ("[drivers]\nallow = ['x',\n 2,\n 3]", "GW-1005", 3, "expected a text"),
    ("[spool]\nprofile = 'x'", "GW-1006", 2, 'expected one of "strict", "balanced" or "gentle"'),
    ("[log]\nlevels = { a = 'x' }", "GW-1006", 2, "log.levels.a"),
    ("[http]\nport = 70000", "GW-1007", 2, "found 70000, expected a number of at most 65535"),
    ("[spool]\nack_delay_ms = -1", "GW-1007", 2, "at least 0"),
    ("[ble]\nadapter = ''", "GW-1008", 2, "not empty"),
    ("[[serial]]\nname = 'a'\nport = '/a'", "GW-1004", 1, "serial[0].driver: found nothing"),
    ("serial = 1", "GW-1005", 1, "expected [[serial]]"),
    ("[[serial]]\nname = 'a b'\nport='/a'\ndriver='d'", "GW-1008", 2, "letters, digits"),
    (LINK.format(name="a") * 2, "GW-1011", 6, "found the name 'a' twice"),
    (
        "[[mqtt.users]]\nname = 'a'\npassword_file = 'p'\nroles = ['king']",
        "GW-1013",
        4,
        "unknown role 'king'",
    ),
    (
        "[[mqtt.users]]\nname = '6f1c2b1e-0000-4000-8000-000000000001'\npassword_file = 'p'",
        "GW-1004",
        2,
        "not shaped like a device's uuid",
    ),
    (
        "[[mqtt.users]]\nname = 'bridge:home'\npassword_file = 'p'",
        "GW-1004",
        2,
        "does not begin with anonymous:, bridge:, unix:",
    ),
    ("[mqtt.tls]\nkey_file = 'k'", "GW-1004", 1, "certificate_file"),
]


@pytest.mark.parametrize(("text", "code", "line", "says"), WRONG)
def test_a_wrong_key_is_named_with_its_line(text: str, code: str, line: int, says: str) -> None:
    row = judged(text).parked[0]
    assert (row.code, row.line) == (code, line)
    assert says in row.text
    assert f"{FILE}:{line}: " in row.text
    assert row.hint


@pytest.mark.parametrize("name", ["bridge:home", "6f1c2b1e-0000-4000-8000-000000000001"])
def test_a_user_with_the_name_of_somebody_else_is_left_out(name: str) -> None:
    users = "[[mqtt.users]]\nname = '{}'\npassword_file = 'p'\n"
    assert [u.name for u in judged(users.format(name) + users.format("a")).settings.mqtt.users] == [
        "a"
    ]


def test_several_faults_are_told_at_once_in_the_order_of_the_file() -> None:
    loaded = judged("[http]\nport = 'x'\nprot = 1\n[spool]\nprofile = 1\n[nonsense]\n")
    assert [row.line for row in loaded.parked] == [2, 3, 5, 6]


def test_the_rest_of_the_file_is_used() -> None:
    loaded = judged("[http]\nport = 'x'\nbind = '::1'\n[spool]\nprofile = 'strict'\n")
    assert loaded.settings.http.port == 8080
    assert loaded.settings.http.bind == "::1"
    assert loaded.settings.spool.loss_window_s == 0.25


def test_a_wrong_serial_link_is_parked_and_the_others_stay() -> None:
    text = "[[serial]]\nname = 'bad'\n" + LINK.format(name="a") + LINK.format(name="b")
    loaded = judged(text)
    assert [link.name for link in loaded.settings.serial] == ["a", "b"]
    assert {row.what for row in loaded.parked} == {"serial bad"}


def test_a_port_given_out_twice_parks_the_second_link_and_names_its_line_in_the_file() -> None:
    bad = "[[serial]]\nname = 'bad'\n"
    loaded = judged(
        bad + LINK.format(name="a") + LINK.format(name="a").replace('e = "a"', 'e = "b"')
    )
    assert [link.name for link in loaded.settings.serial] == ["a"]
    assert [(row.what, row.line) for row in loaded.parked][-1] == ("serial b", 9)


def test_a_user_with_a_password_in_clear_is_told_where_to_put_it_and_it_is_not_echoed() -> None:
    loaded = judged("[[mqtt.users]]\nname = 'anna'\npassword = 'hunter2'\n")
    clear = next(row for row in loaded.parked if row.code == "GW-1010")
    assert "password_file" in clear.hint
    assert "hunter2" not in str(loaded.parked)


def test_a_wrong_state_directory_stops_the_start_because_state_elsewhere_is_another_node() -> None:
    with pytest.raises(ConfigError) as caught:
        judged("[node]\nstate_dir = 7\n")
    assert "node.state_dir" in caught.value.text


def test_amqtt_is_not_opened_to_the_network_by_accident() -> None:
    with pytest.raises(ConfigError) as caught:
        judged("[mqtt]\nengine = 'amqtt'\n[mqtt.tcp]\nbind = '0.0.0.0'\n")
    assert caught.value.code == "GW-1014"
    judged("[mqtt]\nengine = 'amqtt'\n[mqtt.tcp]\nbind = '127.0.0.1'\n")


def test_a_text_that_is_not_toml_names_its_line() -> None:
    with pytest.raises(ConfigError) as caught:
        judged("[http]\nport = = 1\n")
    assert caught.value.code == "GW-1001"
    assert f"{FILE}:2: " in caught.value.text


def test_a_file_that_is_not_there_or_not_text_is_an_error(tmp_path: Path) -> None:
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b'[node]\nname = "K\xfcche"\n')
    for path, says in ((tmp_path / "no.toml", "No such file"), (latin, "line 2 is not UTF-8")):
        with pytest.raises(ConfigError) as caught:
            load(path)
        assert caught.value.code == "GW-1002"
        assert says in caught.value.text


def test_no_file_at_all_gives_the_defaults() -> None:
    assert load(None) == Loaded(Settings())


def test_settings_can_not_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().http.port = 1


class Keys(BaseModel):
    """Settings of a driver."""

    model_config = ConfigDict(extra="forbid")
    bindkeys: dict[str, str] = {}
    window: int = 3


def check(driver: str, table: Mapping[str, Any]) -> BaseModel:
    if driver == "nosuch":
        raise GatewayError(
            "there is no driver nosuch", code="GW-1702", hint="see `gateway drivers`"
        )
    return Keys.model_validate(table)


def test_a_drivers_secret_comes_from_its_file_and_is_nowhere_shown(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("00112233\n")
    path = tmp_path / "gateway.toml"
    path.write_text("[drivers.settings.bthome.bindkey_files]\n'A4:C1' = 'key'\n")
    loaded = load(path, check=check)
    assert loaded.parked == ()
    assert loaded.driver_settings["drivers.bthome"] == Keys(bindkeys={"A4:C1": "00112233"})
    assert "00112233" not in repr(loaded)


@pytest.mark.parametrize(
    ("table", "code", "says"),
    [
        ("bindkey_files = { a = 'none' }", "GW-1009", "No such file"),
        ("bindkeys = { a = '0011' }", "GW-1010", "in clear"),
        ("window = 'x'", "GW-1012", "expected a whole number"),
        ("windo = 1", "GW-1012", "unknown key `windo`"),
    ],
)
def test_a_driver_that_refuses_its_table_is_parked(
    tmp_path: Path, table: str, code: str, says: str
) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(LINK.format(name="a") + f"[drivers.settings.bthome]\n{table}\n")
    loaded = load(path, check=check)
    (row,) = loaded.parked
    assert (row.what, row.code, row.line >= 5) == ("drivers bthome", code, True)
    assert says in row.text
    assert "0011" not in str(row)
    assert len(loaded.settings.serial) == 1


def test_a_link_whose_driver_refuses_its_settings_is_parked_alone() -> None:
    text = (
        LINK.format(name="a")
        + "settings = { window = 'x' }\n"
        + LINK.format(name="b")
        + LINK.format(name="c").replace("line-json", "nosuch")
    )
    loaded = parse(text, FILE, check=check)
    assert [link.name for link in loaded.settings.serial] == ["b"]
    assert [(row.what, row.code, row.line) for row in loaded.parked] == [
        ("serial a", "GW-1012", 5),
        ("serial c", "GW-1702", 13),
    ]
    assert loaded.driver_settings["serial.b"] == Keys()
