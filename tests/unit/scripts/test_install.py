"""`scripts/install` without a root shell; the whole story is told in tests/e2e/test_install_in_chroot.py."""

from pathlib import Path

import pytest

from scripts import _install
from scripts._errors import ScriptError
from scripts._slots import Slots
from scripts._target import Target


@pytest.fixture
def machine(tmp_path: Path) -> Target:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (tmp_path / "etc" / "group").write_text(
        "root:x:0:\ndialout:x:20:anna\nbluetooth:x:108:gateway\n"
    )
    return Target(tmp_path)


def test_a_folder_that_is_no_system_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match="no unpacked system"):
        Target(tmp_path).users()


def test_only_groups_that_exist_and_lack_the_user_are_joined(machine: Target) -> None:
    installation = _install.Installation(machine, wheels=None, starts=False)
    assert installation._missing_groups() == ["dialout"]


def test_a_dry_run_only_says(capsys: pytest.CaptureFixture[str]) -> None:
    steps = [
        _install.Step("jump", lambda: True, lambda: pytest.fail("jumped")),
        _install.Step("sit", lambda: False, lambda: pytest.fail("sat")),
    ]
    _install.perform(steps, dry_run=True)
    assert capsys.readouterr().out.splitlines() == ["1/2 jump: would be done", "2/2 sit: as it was"]


def test_the_slot_to_build_is_the_one_not_in_use(machine: Target) -> None:
    slots = Slots(machine, _install.SOURCE)
    assert slots.next() == "a"
    machine.path("/opt/gateway").mkdir(parents=True)
    slots._flip("a")
    assert (slots.current(), slots.next()) == ("a", "b")


def test_the_command_of_somebody_else_is_not_removed(machine: Target) -> None:
    link = machine.path(_install.COMMAND)
    link.parent.mkdir(parents=True)
    link.symlink_to("/usr/bin/other")
    installation = _install.Installation(machine, wheels=None, starts=False)
    assert not installation._is_our_command()


def test_without_root_only_a_dry_run_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_install.os, "geteuid", lambda: 1000)
    _install.check_rights(dry_run=True)
    with pytest.raises(ScriptError, match="GW-1955"):
        _install.check_rights(dry_run=False)
