"""parent.json and its token."""

import json

import pytest

from gateway.errors import ConfigError
from gateway.uplink.parent_file import ParentAddress, leave, load_parent, save_parent

PARENT = ParentAddress("127.0.0.1", 1883, None, "mesh", "p", "secret")


def test_a_parent_is_read_as_it_was_kept_and_its_token_is_private(tmp_path):
    save_parent(tmp_path, PARENT)
    assert load_parent(tmp_path) == PARENT
    assert (tmp_path / "secrets" / "parent-token").stat().st_mode & 0o777 == 0o600
    assert "secret" not in (tmp_path / "parent.json").read_text()
    assert "secret" not in repr(PARENT)


def test_a_node_without_a_parent_has_none(tmp_path):
    assert load_parent(tmp_path) is None
    assert not leave(tmp_path)


def test_leaving_removes_both_files(tmp_path):
    save_parent(tmp_path, PARENT)
    assert leave(tmp_path)
    assert load_parent(tmp_path) is None
    assert not (tmp_path / "secrets" / "parent-token").exists()


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"host": 1}'])
def test_a_damaged_file_is_named(tmp_path, text):
    save_parent(tmp_path, PARENT)
    (tmp_path / "parent.json").write_text(text)
    with pytest.raises(ConfigError, match=r"parent\.json") as caught:
        load_parent(tmp_path)
    assert caught.value.code == "GW-1610"


def test_plain_to_another_machine_is_not_believed_from_the_file_either(tmp_path):
    save_parent(tmp_path, PARENT)
    fields = json.loads((tmp_path / "parent.json").read_text()) | {"host": "192.0.2.1"}
    (tmp_path / "parent.json").write_text(json.dumps(fields))
    with pytest.raises(ConfigError):
        load_parent(tmp_path)
