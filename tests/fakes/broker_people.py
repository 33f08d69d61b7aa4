"""A person with a name and a password on a node's broker, on paho: may it log in, and is it still there?"""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.fakes.nodes import Node
from tests.fakes.waiting import soon

LOGIN_S = 10.0


class Guest:
    """One connection of a person that does not come back by itself."""

    def __init__(self, name: str, password: str, port: int, client_id: str, **options: Any) -> None:
        self.came = threading.Event()
        self.went = threading.Event()
        self.code = ""
        self.heard: list[tuple[str, bytes]] = []
        self.granted: list[int] = []
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id, reconnect_on_failure=False, **options
        )
        self.client.username_pw_set(name, password)
        self.client.on_connect = self._connected
        self.client.on_disconnect = lambda *_: self.went.set()
        self.client.on_message = lambda _c, _u, m: self.heard.append((m.topic, m.payload))
        self.client.on_subscribe = lambda _c, _u, _m, codes, _p: self.granted.extend(
            code.value for code in codes
        )
        self.client.connect("127.0.0.1", port, keepalive=30)
        self.client.loop_start()

    def _connected(self, _c: Any, _u: Any, _f: Any, code: Any, _p: Any) -> None:
        self.code = "" if not code.is_failure else str(code)
        self.came.set()

    def ends(self) -> None:
        """Return once the broker has ended the connection."""
        soon(self.went.is_set, what="the end of the session")

    def subscribe(self, topic: str, qos: int = 1) -> int:
        """Subscribe; returns what was granted."""
        before = len(self.granted)
        self.client.subscribe(topic, qos)
        soon(lambda: len(self.granted) > before, what=f"SUBACK of {topic}")
        return self.granted[-1]


@dataclass
class Person:
    """Who logs in."""

    name: str
    password: str

    def may_log_in(self, node: Node) -> bool:
        """Return whether the broker lets this person in."""
        with self._visiting(node, f"{self.name}-asks") as guest:
            return guest.code == ""

    @contextlib.contextmanager
    def staying(
        self, node: Node, *topics: str, client_id: str = "", **options: Any
    ) -> Iterator[Guest]:
        """Be logged in and subscribed within the block."""
        with self._visiting(node, client_id or f"{self.name}-stays", **options) as guest:
            assert guest.code == "", guest.code
            for topic in topics:
                assert guest.subscribe(topic) < 128, topic
            yield guest

    @contextlib.contextmanager
    def _visiting(self, node: Node, client_id: str, **options: Any) -> Iterator[Guest]:
        guest = Guest(self.name, self.password, node.mqtt_port, client_id, **options)
        try:
            assert guest.came.wait(LOGIN_S), "no CONNACK"
            yield guest
        finally:
            guest.client.disconnect()
            guest.client.loop_stop()
