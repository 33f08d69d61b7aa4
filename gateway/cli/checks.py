"""The questions of `gateway doctor`; each answer that is not good says how to mend it.

None needs a running node; where one runs, its status makes the answers more exact.
"""

import grp
import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from gateway.config.listener_rules import LOOPBACKS
from gateway.config.listener_tables import (
    ListenerSettings,
    TcpListener,
    TlsListener,
    UnixListener,
    WebSocketListener,
)
from gateway.config.load import Loaded

CONNECT_TIMEOUT_S = 3.0
LEAST_FREE_BYTES = 100_000_000  # below this a commit may soon fail
MOST_ERROR_MS = 1000

Network = TcpListener | TlsListener | WebSocketListener | ListenerSettings


class Grade(StrEnum):
    """How good an answer is."""

    GOOD = "good"
    NOTE = "note"  # fine for some, worth to know
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one look found, and how to mend it."""

    grade: Grade
    text: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is examined. `status` is the running node's, or None."""

    loaded: Loaded | None
    fault: str  # why there is no configuration
    fix: str
    state: Path
    status: Mapping[str, Any] | None = field(default=None, repr=False)


def good(text: str) -> list[Answer]:
    """Return one good answer."""
    return [Answer(Grade.GOOD, text)]


def config(subject: Subject) -> list[Answer]:
    """Is the configuration right, all of it?"""
    if subject.loaded is None:
        return [Answer(Grade.BAD, subject.fault, subject.fix)]
    if subject.loaded.parked:
        return [
            Answer(Grade.BAD, f"{row.code} {row.text}", row.hint) for row in subject.loaded.parked
        ]
    path = subject.loaded.path
    return good(f"{path} is right" if path else "no file; the built-in defaults hold")


def ports(subject: Subject) -> list[Answer]:
    """Can each configured serial port be opened by this user, and by nobody else at the same time?"""
    links = subject.loaded.settings.serial if subject.loaded else ()
    if not links:
        return good(f"no serial port is configured{_found_ports()}")
    states = {row["name"]: row for row in (subject.status or {}).get("links", [])}
    return [_port(link.name, link.port, states.get(link.name)) for link in links]


def _found_ports() -> str:
    from gateway.links.ports import Places, snapshot  # noqa: PLC0415 - pyserial

    found = sorted(snapshot(Places()))
    return f"; there {'is' if len(found) == 1 else 'are'} {', '.join(found)}" if found else ""


def _port(name: str, path: str, state: Mapping[str, Any] | None) -> Answer:
    if state is not None and state.get("state") in {"open", "up"}:
        return Answer(Grade.GOOD, f"{name}: open ({path})")
    if not Path(path).exists():
        text = f"{name}: {path} is not there"
        return Answer(Grade.BAD, text, "plug it in; `gateway devices ports` lists stable names")
    if not os.access(path, os.R_OK | os.W_OK):
        group = _group_of(path)
        return Answer(
            Grade.BAD,
            f"{name}: this user may not open {path}; group {group} may",
            f"sudo usermod -aG {group} {os.environ.get('USER', 'gateway')}, then log in again",
        )
    from gateway.links.holders import holders  # noqa: PLC0415 - looks through /proc

    other = [holder for holder in holders(path) if holder.pid != os.getpid()]
    if other and state is None:
        who = ", ".join(str(holder) for holder in other)
        return Answer(Grade.BAD, f"{name}: {path} is held by {who}", "stop that program")
    if state is not None:
        text = f"{name}: {state.get('state')}: {state.get('reason') or path}"
        return Answer(Grade.BAD, text, str(state.get("hint") or "look at `gateway logs`"))
    return Answer(Grade.GOOD, f"{name}: {path} can be opened")


def _group_of(path: str) -> str:
    try:
        return grp.getgrgid(Path(path).stat().st_gid).gr_name
    except (OSError, KeyError):
        return "dialout"


def bluetooth(subject: Subject) -> list[Answer]:
    """Is there a system bus and an adapter, if BLE is wanted?"""
    from gateway.links.bluez import absence  # noqa: PLC0415

    wanted = subject.loaded.settings.ble.enabled if subject.loaded else "auto"
    if wanted == "off":
        return good("BLE is off")
    why = absence()
    if not why:
        return good("there is a system bus and an adapter")
    grade = Grade.BAD if wanted == "on" else Grade.NOTE
    fix = (
        "sudo apt install bluez, then: sudo systemctl enable --now bluetooth"
        if "D-Bus" in why
        else "plug a Bluetooth adapter in, and look at `rfkill list`"
    )
    return [Answer(grade, f"no BLE: {why}", fix)]


def clock(subject: Subject) -> list[Answer]:  # noqa: ARG001 - every check has this shape
    """Can the wall clock be believed?"""
    from gateway.runtime.clock import EARLIEST_WALL_MS, synchronization  # noqa: PLC0415

    fix = "sudo timedatectl set-ntp true (or install chrony)"
    if time.time_ns() // 1_000_000 < EARLIEST_WALL_MS:
        return [Answer(Grade.BAD, f"the clock says {time.strftime('%Y-%m-%d')}", fix)]
    kernel = synchronization()
    if kernel.is_synchronized is None:
        return good("plausible; this system does not tell whether it is kept")
    if not kernel.is_synchronized:
        return [Answer(Grade.NOTE, "no time service keeps the clock", fix)]
    if kernel.error_ms > MOST_ERROR_MS:
        return [Answer(Grade.NOTE, f"kept, but may be off by {kernel.error_ms} ms", fix)]
    return good(f"kept by a time service, within {kernel.error_ms} ms")


def disk(subject: Subject) -> list[Answer]:
    """Can the state directory be written, and is there room for a full spool?"""
    there = next(
        path for path in (subject.state, *subject.state.absolute().parents) if path.exists()
    )
    if not os.access(there, os.W_OK):
        fix = f"sudo install -d -o {os.environ.get('USER', 'gateway')} {subject.state}"
        return [Answer(Grade.BAD, f"{there} cannot be written by this user", fix)]
    free = shutil.disk_usage(there).free
    if free < LEAST_FREE_BYTES:
        text = f"only {free // 1_000_000} MB free at {there}"
        return [Answer(Grade.BAD, text, "free space on that partition (`df -h`, `du -xh`)")]
    most = subject.loaded.settings.spool.most_bytes if subject.loaded else 0
    if free < most:
        text = f"{free // 1_000_000} MB free at {there}, less than a full spool needs"
        return [Answer(Grade.NOTE, text, f"free space, or set spool.most_bytes below {free}")]
    return good(f"{free // 1_000_000} MB free at {there}")


def parent(subject: Subject) -> list[Answer]:
    """Is there a parent, and does it answer?"""
    uplink = (subject.status or {}).get("uplink") or {}
    if uplink.get("state") in {"online", "up"}:
        return good(f"{uplink.get('parent') or 'the parent'} is connected")
    try:
        fields = json.loads((subject.state / "parent.json").read_text("utf-8"))
        address = str(fields["host"]), int(fields["port"])
    except FileNotFoundError:
        return good("none; this node is a mesh of its own (`gateway join` gives it a parent)")
    except (OSError, ValueError, KeyError, TypeError) as error:
        text = f"{subject.state / 'parent.json'} cannot be read: {error}"
        return [Answer(Grade.BAD, text, "run `gateway join` again with a new invitation")]
    where = f"{address[0]}:{address[1]}"
    try:
        socket.create_connection(address, CONNECT_TIMEOUT_S).close()
    except OSError as error:
        fix = "check the network and that node; what is not sent waits in the spool"
        return [Answer(Grade.BAD, f"{where} does not answer: {error.strerror or error}", fix)]
    if uplink:
        text = f"{where} answers, but the uplink is {uplink.get('state')}: {uplink.get('reason')}"
        return [Answer(Grade.NOTE, text, "look at `gateway logs --level uplink=debug -f`")]
    return good(f"{where} answers")


def listeners(subject: Subject) -> list[Answer]:
    """Do passwords and tokens cross the network in clear, or may anybody come in?"""
    if subject.loaded is None:
        return good("unknown without a configuration")
    mqtt = subject.loaded.settings.mqtt
    tables: list[tuple[str, Network, bool]] = [
        ("mqtt.tcp", mqtt.tcp, False),
        ("mqtt.tls", mqtt.tls, True),
    ]
    tables.append(("mqtt.websocket", mqtt.websocket, mqtt.websocket.tls))
    tables += [(f"listener {more.name}", more, more.tls) for more in mqtt.listeners]
    answers = [
        Answer(
            Grade.NOTE,
            f"{name} is open to the network without encryption ({host}:{table.port}): "
            "who listens there reads passwords and tokens",
            "use [mqtt.tls] for other machines, and bind this one to 127.0.0.1",
        )
        for name, table, is_encrypted in tables
        if table.enabled and not is_encrypted
        for host in table.bind
        if not host.startswith(LOOPBACKS)
    ]
    named: list[tuple[str, Network | UnixListener]] = [("mqtt.unix", mqtt.unix)]
    named += [(name, table) for name, table, _ in tables]
    answers += [
        Answer(
            Grade.NOTE,
            f"{name} lets anybody in without a name ({', '.join(table.anonymous_roles)})",
            "give each client a user: gateway broker user add NAME",
        )
        for name, table in named
        if table.enabled and table.anonymous_roles
    ]
    return answers or good("nothing crosses the network in clear, nobody is anonymous")


CHECKS: Sequence[tuple[str, Callable[[Subject], list[Answer]]]] = (
    ("configuration", config),
    ("serial ports", ports),
    ("Bluetooth", bluetooth),
    ("clock", clock),
    ("disk", disk),
    ("parent", parent),
    ("MQTT", listeners),
)
