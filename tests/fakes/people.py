"""People and programs outside the gateway: an owner on HTTP, Debian's mosquitto clients, a device on paho."""

import base64
import contextlib
import json
import os
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.fakes.nodes import Node
from tests.fakes.waiting import soon

HTTP_S = 10.0


def http(
    node: Node, method: str, path: str, body: object = None, *, login: "Login | None" = None
) -> tuple[int, Any]:
    """Ask a node's HTTP server; returns status and JSON (text where it is none)."""
    request = urllib.request.Request(f"http://127.0.0.1:{node.http_port}{path}", method=method)
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("content-type", "application/json")
    if login is not None:
        secret = base64.b64encode(f"{login.uuid}:{login.token}".encode()).decode()
        request.add_header("authorization", f"Basic {secret}")
    try:
        with urllib.request.urlopen(request, timeout=HTTP_S) as answer:
            status, text = answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            status, text = error.code, error.read().decode()
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text


@dataclass(frozen=True)
class Login:
    """A device of a mesh, as its owner knows it."""

    uuid: str
    token: str


def register(node: Node, **properties: Any) -> Login:
    """Register a device as a person does: with a one-time code of `gateway mesh code`."""
    said = node.run("mesh", "code")
    assert said.returncode == 0, said
    body = {**properties, "registrationCode": said.stdout.strip()}
    status, document = http(node, "POST", "/devices", body)
    assert status == 201, document
    return Login(document["uuid"], document["token"])


class LocalUser:
    """A local user of a node's broker, with the settings that make one and Debian's clients that log in."""

    def __init__(self, folder: Path, name: str = "watcher") -> None:
        self._folder = folder
        self.name = name
        self._password = "correct horse"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "password").write_text(f"{self._password}\n")

    @property
    def settings(self) -> str:
        """Return what gateway.toml says of this user."""
        return (
            f'[[mqtt.users]]\nname = "{self.name}"\npassword_file = "{self._folder / "password"}"\n'
            'roles = ["tester"]\n'
            '[[mqtt.roles]]\nname = "tester"\nread = ["devices/#", "gateway/#"]\n'
            'write = ["devices/+/set"]\n'
        )

    def _env(self, node: Node) -> dict[str, str]:
        lines = ("-h 127.0.0.1", f"-p {node.mqtt_port}", f"-u {self.name}", f"-P {self._password}")
        for program in ("mosquitto_sub", "mosquitto_pub"):
            (self._folder / program).write_text("\n".join(lines) + "\n")
        return {**os.environ, "XDG_CONFIG_HOME": str(self._folder)}

    @contextlib.contextmanager
    def listening(self, node: Node, *topics: str) -> Iterator[list[tuple[str, str]]]:
        """Run mosquitto_sub; yields the (topic, payload) pairs that it prints, as they come."""
        words = ["mosquitto_sub", "-v", *(word for topic in topics for word in ("-t", topic))]
        heard: list[tuple[str, str]] = []
        before = node.status()["broker"]["subscriptions"]
        process = subprocess.Popen(words, env=self._env(node), stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        out = process.stdout

        def read() -> None:
            for line in out:
                topic, _, payload = line.rstrip("\n").partition(" ")
                heard.append((topic, payload))

        thread = threading.Thread(target=read)
        thread.start()
        try:
            soon(
                lambda: node.status()["broker"]["subscriptions"] >= before + len(topics),
                what="mosquitto_sub subscribed",
            )
            yield heard
        finally:
            process.kill()  # mosquitto_sub 2.0.11 may deadlock in its own handler of SIGTERM
            process.wait()
            thread.join()
            out.close()

    def publish(self, node: Node, topic: str, payload: str, *more: str) -> None:
        """Run mosquitto_pub."""
        words = ["mosquitto_pub", "-q", "1", "-t", topic, "-m", payload, *more]
        subprocess.run(words, env=self._env(node), check=True, timeout=10)


class Attached:
    """A device connected with paho: what it was sent, and which of its publishes were acknowledged."""

    def __init__(self, node: Node, login: Login) -> None:
        self.login = login
        self.frames: list[dict[str, Any]] = []
        self.acknowledged: set[int] = set()
        self.is_connected = False
        self._granted: list[int] = []
        client = paho.Client(
            CallbackAPIVersion.VERSION2, f"e2e-{login.uuid[:8]}", reconnect_on_failure=False
        )
        client.username_pw_set(login.uuid, login.token)
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_message = lambda _c, _u, message: self.frames.append(json.loads(message.payload))
        client.on_subscribe = lambda _c, _u, _m, codes, _p: self._granted.extend(
            code.value for code in codes
        )
        client.on_publish = lambda _c, _u, mid, _r, _p: self.acknowledged.add(mid)
        client.connect("127.0.0.1", node.mqtt_port, keepalive=30)
        client.loop_start()
        self.client = client
        try:
            soon(lambda: self.is_connected, what="CONNACK")
        except AssertionError:
            self.close()
            raise

    def _connected(self, _c: Any, _u: Any, _f: Any, code: Any, _p: Any) -> None:
        self.is_connected = not code.is_failure

    def _disconnected(self, *_: Any) -> None:
        self.is_connected = False

    def subscribe(self, topic: str) -> int:
        """Subscribe with QoS 1; returns what was granted."""
        before = len(self._granted)
        self.client.subscribe(topic, 1)
        soon(lambda: len(self._granted) > before, what=f"SUBACK of {topic}")
        return self._granted[-1]

    def send(self, **message: Any) -> int:
        """Send a Meshblu message with QoS 1; returns its packet id."""
        return self.client.publish("message", json.dumps(message), 1).mid

    def messages(self, topic: str) -> list[dict[str, Any]]:
        """Return the bodies of message frames of one Meshblu topic that came in."""
        bodies = [frame["data"] for frame in self.frames if frame.get("topic") == "message"]
        return [body for body in bodies if body.get("topic") == topic]

    def close(self) -> None:
        """Leave."""
        self.client.disconnect()
        self.client.loop_stop()


@contextlib.contextmanager
def attached(node: Node, login: Login) -> Iterator[Attached]:
    """Connect a device until the block ends."""
    device = Attached(node, login)
    try:
        yield device
    finally:
        device.close()


@contextlib.contextmanager
def repeatedly(act: Any, *, every_s: float) -> Iterator[None]:
    """Call `act()` again and again in a thread of its own until the block ends."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(every_s):
            act()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def wall_ms() -> int:
    """Return now as epoch milliseconds."""
    return time.time_ns() // 1_000_000
