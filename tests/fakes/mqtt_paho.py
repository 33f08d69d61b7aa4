"""paho-mqtt as an independent client: real library, own thread, what it saw in lists."""

import contextlib
from collections.abc import Iterator

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.fakes.waiting import eventually


class PahoClient:
    """A connected paho client."""

    def __init__(
        self, user: str, client_id: str, *, clean: bool = True, level: int = paho.MQTTv311
    ) -> None:
        self.messages: list[tuple[str, bytes, int, bool]] = []
        self.codes: list[int] = []
        self.subacks: list[list[int]] = []
        self.published: list[int] = []
        asked = (
            None if level == paho.MQTTv5 else clean
        )  # MQTT 5 says it with CONNECT: clean, for us
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id, clean_session=asked, protocol=level
        )
        self.client.username_pw_set(user, "secret")
        self.client.on_connect = lambda c, u, f, code, p: self.codes.append(code.value)
        self.client.on_message = lambda c, u, m: self.messages.append(
            (m.topic, m.payload, m.qos, m.retain)
        )
        self.client.on_subscribe = lambda c, u, mid, codes, p: self.subacks.append(
            [code.value for code in codes]
        )
        self.client.on_publish = lambda c, u, mid, code, p: self.published.append(mid)

    async def start(self, port: int) -> "PahoClient":
        self.client.connect_async("127.0.0.1", port, keepalive=30)
        self.client.loop_start()
        await eventually(lambda: self.codes, what="CONNACK")
        return self

    async def subscribe(self, pattern: str, qos: int = 0) -> int:
        before = len(self.subacks)
        self.client.subscribe(pattern, qos)
        await eventually(lambda: len(self.subacks) > before, what="SUBACK")
        return self.subacks[-1][0]


@contextlib.contextmanager
def paho_client(user: str, client_id: str = "", **options: object) -> Iterator[PahoClient]:
    """Make a client that is stopped afterwards."""
    client = PahoClient(user, client_id or f"{user[:8]}-paho", **options)  # type: ignore[arg-type]
    try:
        yield client
    finally:
        client.client.disconnect()
        client.client.loop_stop()
