"""The brokers that are compared: how each is found, set up with logins and topic rules, and started."""

import contextlib
import getpass
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts._bench._broker.load import cache
from scripts._tools import SYSTEM_FOLDERS

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
START_S = 60.0  # nats makes its streams, ours hashes passwords
STOP_S = 10.0
AEDES = "aedes@1.2.0"
PATH = f"{os.environ.get('PATH', os.defpath)}:{SYSTEM_FOLDERS}"


class MissingError(Exception):
    """A contender is not installed; the text is the command that installs it."""


class DiedError(Exception):
    """A contender did not start, or ended by itself; the text is what it said last."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a contender is started for."""

    folder: Path
    port: int
    users: int
    is_durable: bool


@dataclass(frozen=True, slots=True)
class Running:
    """A started contender."""

    pid: int
    port: int
    is_alive: Callable[[], bool]


Command = Callable[[Setup], list[str]]
"""Writes what it needs into the folder and returns the command; raises MissingError."""


def tool(name: str, package: str) -> str:
    """Return the path of a program; raises MissingError with the Debian package it is in."""
    found = shutil.which(name, path=PATH)
    if found is None:
        raise MissingError(f"sudo apt-get install {package}")
    return found


MOSQUITTO_CONF = """
listener {port} 127.0.0.1
allow_anonymous false
password_file {folder}/passwords
acl_file {folder}/acl
user {user}
max_inflight_messages 0
max_queued_messages 0
persistence false
log_type none
"""


def mosquitto(setup: Setup) -> list[str]:
    """Debian's mosquitto: password file and access file on, queues without bound so that it drops nothing."""
    program, hasher = tool("mosquitto", "mosquitto"), tool("mosquitto_passwd", "mosquitto")
    passwords = setup.folder / "passwords"
    lines = (f"bench-{i}:secret-{i}\n" for i in range(setup.users))
    passwords.write_text("".join(lines), "ascii")
    subprocess.run([hasher, "-U", str(passwords)], check=True)
    # One rule for everybody: the least work that its access file can be. Ours has fifty grants.
    (setup.folder / "acl").write_text("pattern readwrite load/#\n", "ascii")
    conf = setup.folder / "mosquitto.conf"
    settings = {"port": setup.port, "folder": setup.folder, "user": getpass.getuser()}
    conf.write_text(MOSQUITTO_CONF.format_map(settings), "ascii")
    return [program, "-c", str(conf)]


NATS_CONF = """
listen: "127.0.0.1:-1"
server_name: bench
jetstream {{ store_dir: "{folder}/jetstream" }}
mqtt {{ listen: "127.0.0.1:{port}", max_ack_pending: 65535 }}
authorization {{
  default_permissions = {{ publish = ["load.>", "$MQTT.>"], subscribe = ["load.>", "$MQTT.>"] }}
  users = [
{users}
  ]
}}
"""


def nats(setup: Setup) -> list[str]:
    """Debian's nats-server: users with permissions; its MQTT sessions live in JetStream, on disk."""
    program = tool("nats-server", "nats-server")
    users = (f'    {{ user: "bench-{i}", password: "secret-{i}" }}' for i in range(setup.users))
    conf = setup.folder / "nats.conf"
    conf.write_text(
        NATS_CONF.format(folder=setup.folder, port=setup.port, users="\n".join(users)), "ascii"
    )
    return [program, "-c", str(conf)]


def aedes(setup: Setup) -> list[str]:
    """Aedes from npm, fetched once into the cache folder."""
    node, npm = tool("node", "nodejs"), tool("npm", "npm")
    folder = cache() / AEDES.replace("@", "-")
    modules = folder / "node_modules"
    if not (modules / "aedes").is_dir():
        folder.mkdir(exist_ok=True)
        words = [
            npm,
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "--prefix",
            str(folder),
            AEDES,
        ]
        if subprocess.run(words, check=False, stdout=sys.stderr).returncode:
            raise MissingError(f"npm install --prefix {folder} {AEDES}")
    program = [node, str(HERE / "aedes_server.cjs"), str(setup.port), str(setup.users)]
    return ["env", f"NODE_PATH={modules}", *program]


def amqtt(setup: Setup) -> list[str]:
    """Run amqtt as this checkout's lists pin it."""
    if importlib.util.find_spec("amqtt") is None:
        raise MissingError("pip install amqtt")
    module = "scripts._bench._broker.amqtt_server"
    return [sys.executable, "-m", module, str(setup.port), str(setup.users)]


def ours(setup: Setup) -> list[str]:
    """Ours on uvloop."""
    if importlib.util.find_spec("uvloop") is None:
        raise MissingError("pip install uvloop")
    return _ours(setup, "uvloop")


def ours_plain(setup: Setup) -> list[str]:
    """Ours on asyncio's own loop."""
    return _ours(setup, "plain")


def _ours(setup: Setup, loop: str) -> list[str]:
    module = "scripts._bench._broker.our_server"
    journal = [str(setup.folder)] if setup.is_durable else []
    return [sys.executable, "-m", module, str(setup.port), str(setup.users), loop, *journal]


CONTENDERS: dict[str, Command] = {
    "ours": ours,
    "ours_plain": ours_plain,
    "mosquitto": mosquitto,
    "aedes": aedes,
    "nats": nats,
    "amqtt": amqtt,
}
"""In the order of the table."""


@contextlib.contextmanager
def started(name: str, *, users: int, is_durable: bool) -> Iterator[Running]:
    """Start a contender on a free port of this machine, and end it in any case; raises MissingError, DiedError."""
    with tempfile.TemporaryDirectory(prefix="run-", dir=_disk()) as folder:
        setup = Setup(Path(folder), _free_port(), users, is_durable)
        words = CONTENDERS[name](setup)
        with (setup.folder / "said").open("w+b") as said:
            process = subprocess.Popen(words, cwd=ROOT, stdout=said, stderr=said, process_group=0)
            try:
                _wait_until_it_listens(process, setup)
                yield Running(process.pid, setup.port, lambda: process.poll() is None)
            finally:
                _end(process)


def _wait_until_it_listens(process: "subprocess.Popen[bytes]", setup: Setup) -> None:
    deadline = time.monotonic() + START_S
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", setup.port)) == 0:
                return
        if time.monotonic() > deadline or process.poll() is not None:
            said = (setup.folder / "said").read_text("utf-8", "replace").strip()
            raise DiedError(said[-300:] or "it said nothing")
        time.sleep(0.05)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the whole group that was started here."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(STOP_S)


def _disk() -> str:
    """Return a folder on a real file system: what is kept in memory alone (tmpfs) proves nothing of a disk."""
    folder = cache()
    kinds = {"tmpfs", "ramfs"}
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text("utf-8").splitlines()]
    holders = [(point, kind) for point, kind in mounts if folder.is_relative_to(point)]
    if holders and max(holders, key=lambda each: len(each[0]))[1] in kinds:
        return "/var/tmp"  # noqa: S108 - kept over a restart by definition, so never a tmpfs
    return str(folder)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
