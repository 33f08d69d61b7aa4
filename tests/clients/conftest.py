"""npm's clients from the lock file, installed once and outside the tree where they are not there yet."""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.mqtt_wire import Target
from tests.fakes.nodes import Node, free_port, running

HERE = Path(__file__).parent
INSTALL_S = 300
SCRIPT_S = 30

MQTT_CONFIG = """
[mqtt.websocket]
enabled = true
port = {ws}
[[mqtt.listeners]]
name = "wss"
kind = "websocket"
tls = true
port = {wss}
[[mqtt.users]]
name = "tester"
password_file = "tester.password"
roles = ["admin"]
"""

RunScript = Callable[..., Awaitable[Any]]


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """Return the folder of the installed clients."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        if os.environ.get("CI"):
            pytest.fail("node and npm are missing; the published clients cannot be run")
        pytest.skip("node and npm are not installed")
    if (HERE / "node_modules").is_dir():
        return HERE / "node_modules"
    lock = (HERE / "package-lock.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "meshblu-gateway" / f"clients-{hashlib.sha256(lock).hexdigest()[:16]}"
    if not (folder / "installed").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, folder / name)
        words = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(words, cwd=folder, check=True, timeout=INSTALL_S, capture_output=True)
        (folder / "installed").touch()
    return folder / "node_modules"


@pytest.fixture
def run_script(node_modules: Path) -> RunScript:
    """Return a function that runs one of the scripts beside this file and reads the JSON it prints."""

    async def run(name: str, **options: Any) -> Any:
        process = await asyncio.create_subprocess_exec(
            "node",
            str(HERE / name),
            json.dumps(options),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "NODE_PATH": str(node_modules), "NODE_NO_WARNINGS": "1"},
        )
        try:
            async with asyncio.timeout(SCRIPT_S):
                out, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0, err.decode() + out.decode()
        return json.loads(out)

    return run


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Target]]:
    """Where a running node's listeners are, by transport; its one user may do whatever a role allows."""
    folder = tmp_path_factory.mktemp("mqtt")
    (folder / "tester.password").write_text("secret")
    ws, wss = free_port(), free_port()
    node = Node(folder, config=MQTT_CONFIG.format(ws=ws, wss=wss))
    ca, socket = node.state / "tls" / "ca.crt", node.state / "mqtt.sock"
    with running(node):
        yield {
            "tcp": Target(node.mqtt_port),
            "tls": Target(node.tls_port, transport="tls", ca=ca),
            "ws": Target(ws, transport="ws"),
            "wss": Target(wss, transport="wss", ca=ca),
            "unix": Target(transport="unix", socket=socket),
        }


@pytest.fixture
def target(places: dict[str, Target]) -> Target:
    """Where the running node's plain listener is."""
    return places["tcp"]
