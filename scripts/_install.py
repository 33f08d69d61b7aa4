"""Install the gateway as a service of this machine, or into an unpacked system; behind `scripts/install`.

Every step looks first and does only what is missing, so running it again upgrades or repairs.
"""

import argparse
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts._errors import ScriptError, exit_with
from scripts._slots import CURRENT, HOME, Slots
from scripts._target import USER, Target

SOURCE = Path(__file__).resolve().parent.parent
CONFIG_DIR, CONFIG = "/etc/gateway", "/etc/gateway/gateway.toml"
STATE_DIR = "/var/lib/gateway"
UNIT = "/etc/systemd/system/gateway.service"
COMMAND = "/usr/local/bin/gateway"
GROUPS = ("dialout", "bluetooth")
"""dialout owns serial ports, bluetooth may speak to BlueZ; either may be missing."""

DONE, KEPT = "done", "as it was"


@dataclass(frozen=True, slots=True)
class Step:
    """What it does in words, whether there is anything to do, and the doing."""

    title: str
    is_needed: Callable[[], bool]
    run: Callable[[], None]


class Installation:
    """The steps of installing into, and removing from, one target."""

    def __init__(self, target: Target, *, wheels: Path | None, starts: bool) -> None:
        self._target = target
        self._wheels = wheels
        self._starts = starts
        self._slots = Slots(target, SOURCE)
        self._is_changed = False

    def steps(self) -> list[Step]:
        """List the steps in order; each later one may rely on the earlier."""
        target, slots = self._target, self._slots
        steps = [
            Step(f"system user {USER}", lambda: USER not in target.users(), self._add_user),
            Step(f"groups of {USER}: {', '.join(GROUPS)}, as far as they exist",
                 lambda: bool(self._missing_groups()), self._join_groups),
            Step(f"code into {HOME}/{slots.next()}, then {CURRENT} points at it",
                 lambda: not slots.is_up_to_date(), self._build),
            Step(f"configuration {CONFIG}", lambda: not target.path(CONFIG).exists(), self._configure),
            Step(f"state directory {STATE_DIR}", lambda: not target.path(STATE_DIR).exists(), self._make_state),
            Step(f"unit {UNIT}", self._unit_differs, self._write_unit),
            Step(f"command {COMMAND}", lambda: not os.path.lexists(target.path(COMMAND)), self._link_command),
        ]  # fmt: skip
        if target.runs_systemd:
            verb = "enable and start" if self._starts else "enable"
            steps.append(Step(f"{verb} gateway.service", lambda: True, self._enable))
        return steps

    def removal(self) -> list[Step]:
        """List the steps that take the program away and leave configuration, state and user."""
        target = self._target
        return [
            Step(f"remove unit {UNIT}", target.path(UNIT).exists, self._remove_unit),
            Step(f"remove command {COMMAND}", self._is_our_command, target.path(COMMAND).unlink),
            Step(f"remove code {HOME}", target.path(HOME).exists,
                 lambda: shutil.rmtree(target.path(HOME))),
        ]  # fmt: skip

    def _add_user(self) -> None:
        self._target.run(
            "useradd", "--system", "--user-group", "--home-dir", STATE_DIR, "--no-create-home",
            "--shell", "/usr/sbin/nologin", USER,
        )  # fmt: skip

    def _missing_groups(self) -> list[str]:
        known = self._target.groups()
        return [name for name in GROUPS if name in known and USER not in known[name]]

    def _join_groups(self) -> None:
        self._target.run("usermod", "--append", "--groups", ",".join(self._missing_groups()), USER)
        self._is_changed = True

    def _build(self) -> None:
        self._slots.build(self._wheels)
        self._is_changed = True

    def _configure(self) -> None:
        folder = self._target.path(CONFIG_DIR)
        folder.mkdir(parents=True, exist_ok=True)
        self._target.give(CONFIG_DIR, user="root", group=USER, mode=0o750)
        shutil.copyfile(SOURCE / "gateway.toml", self._target.path(CONFIG))
        self._target.give(CONFIG, user="root", group=USER, mode=0o640)

    def _make_state(self) -> None:
        self._target.path(STATE_DIR).mkdir(parents=True)
        self._target.give(STATE_DIR, user=USER, group=USER, mode=0o700)

    def _unit_differs(self) -> bool:
        unit = self._target.path(UNIT)
        return not unit.exists() or unit.read_bytes() != self._unit_source().read_bytes()

    def _unit_source(self) -> Path:
        return SOURCE / "systemd" / "gateway.service"

    def _write_unit(self) -> None:
        unit = self._target.path(UNIT)
        unit.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self._unit_source(), unit)
        unit.chmod(0o644)
        self._is_changed = True

    def _link_command(self) -> None:
        link = self._target.path(COMMAND)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(f"{CURRENT}/bin/gateway")

    def _is_our_command(self) -> bool:
        link = self._target.path(COMMAND)
        return link.is_symlink() and str(link.readlink()).startswith(HOME)

    def _enable(self) -> None:
        self._target.run("systemctl", "daemon-reload")
        self._target.run("systemctl", "enable", "gateway.service")
        if self._starts:
            verb = "restart" if self._is_changed else "start"
            self._target.run("systemctl", verb, "gateway.service")

    def _remove_unit(self) -> None:
        if self._target.runs_systemd:
            self._target.run("systemctl", "disable", "--now", "gateway.service")
        self._target.path(UNIT).unlink()
        if self._target.runs_systemd:
            self._target.run("systemctl", "daemon-reload")


def perform(steps: Sequence[Step], *, dry_run: bool) -> None:
    """Do the steps that are needed, saying so; with `dry_run` only say."""
    for number, step in enumerate(steps, 1):
        label = f"{number}/{len(steps)} {step.title}"
        if not step.is_needed():
            print(f"{label}: {KEPT}")
        elif dry_run:
            print(f"{label}: would be done")
        else:
            print(f"{label} ...", flush=True)
            step.run()
            print(f"{label}: {DONE}", flush=True)


def check_rights(*, dry_run: bool) -> None:
    """Refuse early, and in words, what would fail half-way."""
    if os.geteuid() != 0 and not dry_run:
        raise ScriptError(
            "installing a service needs root",
            code="GW-1955",
            hint="sudo scripts/install; or look first: scripts/install --dry-run",
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Install, or with `--remove` take away; 0 or a `ScriptError`."""
    args = _parse(argv)
    check_rights(dry_run=args.dry_run)
    os.environ.pop(
        "PYTHONPATH", None
    )  # ours, set by the shell file; no program we start shall see it
    os.umask(0o022)  # the service's user must be able to read what root writes
    target = Target(args.root.resolve())
    wheels = args.wheels.resolve() if args.wheels else None
    installation = Installation(target, wheels=wheels, starts=not args.no_start)
    if args.remove:
        perform(installation.removal(), dry_run=args.dry_run)
        print(
            f"kept: {CONFIG_DIR}, {STATE_DIR}, user {USER}. To remove them, and every reading in them:"
        )
        print(f"  rm -r {target.path(CONFIG_DIR)} {target.path(STATE_DIR)}; userdel {USER}")
        return 0
    target.python()
    perform(installation.steps(), dry_run=args.dry_run)
    if not target.runs_systemd:
        print("systemd does not run there; when it does: systemctl enable --now gateway")
    print(f"next: edit {CONFIG}, then `gateway doctor`")
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/install",
        description="Install the gateway as a service; run again to upgrade.",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be done, change nothing"
    )
    parser.add_argument("--root", type=Path, default=Path("/"), metavar="DIR",
                        help="an unpacked system to install into (an image's root folder)")  # fmt: skip
    parser.add_argument(
        "--wheels", type=Path, metavar="DIR", help="take packages from DIR, fetch nothing"
    )
    parser.add_argument(
        "--no-start", action="store_true", help="enable the service, do not start it"
    )
    parser.add_argument("--remove", action="store_true",
                        help="take the program away; configuration and state stay")  # fmt: skip
    return parser.parse_args(argv)


if __name__ == "__main__":
    exit_with("scripts/install", main)
