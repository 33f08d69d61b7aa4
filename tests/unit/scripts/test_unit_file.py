"""`systemd/gateway.service`: systemd understands it, and it is what the program expects."""

import re
import subprocess
from pathlib import Path

import pytest

from gateway.cli.main import EXIT_CONFIG

ROOT = Path(__file__).resolve().parents[3]
UNIT = ROOT / "systemd" / "gateway.service"


def settings() -> dict[str, str]:
    pairs = re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), re.MULTILINE)
    return dict(pairs)


@pytest.mark.needs("systemd-analyze")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text(), flags=re.MULTILINE)
    copy = tmp_path / UNIT.name
    copy.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", copy], check=False, capture_output=True, text=True
    )
    assert [line for line in done.stderr.splitlines() if UNIT.name in line] == []


def test_a_configuration_error_does_not_restart_it() -> None:
    assert settings()["RestartPreventExitStatus"] == str(EXIT_CONFIG)


def test_every_left_out_sandbox_option_is_really_left_out() -> None:
    assert (
        not {"PrivateDevices", "DevicePolicy", "ProtectClock", "MemoryDenyWriteExecute"}
        & settings().keys()
    )


def test_serial_ports_come_by_group_not_by_a_list_that_can_fail() -> None:
    assert "SupplementaryGroups" not in settings()
    assert settings()["User"] == "gateway"
