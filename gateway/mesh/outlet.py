"""One MQTT session as the mesh serves it: frames on its own topic, `config` events held together."""

import asyncio
from collections.abc import Mapping

from gateway.mesh.attachments import Frame
from gateway.model.device import DeviceUuid
from gateway.model.wire import compact
from gateway.mqtt.ports import LocalBroker, Session

CONFIG_GAP_S = 0.1  # topic rules, section 4: one config event per 100 ms, the newest wins


class MqttOutlet:
    """Matches `attachments.Outlet`; also answers the session's own requests."""

    def __init__(
        self, broker: LocalBroker, session: Session, uuid: DeviceUuid, token_hash: bytes | None
    ) -> None:
        self.uuid = uuid
        self.session = session
        self.token_hash = token_hash
        self.is_revoked = False  # its will may still come, and must not be sent
        self._broker = broker
        self._granted: dict[DeviceUuid, tuple[str, int]] = {}  # topic as the client spelled it, QoS
        self._held: dict[DeviceUuid, Frame] = {}
        self._timer: asyncio.TimerHandle | None = None

    def grant(self, emitter: DeviceUuid, topic: str, qos: int) -> None:
        """Note a granted subscription to a device's topic."""
        self._granted[emitter] = (topic, qos)

    def withdraw(self, emitter: DeviceUuid) -> None:
        """Note the end of a subscription."""
        self._granted.pop(emitter, None)

    def deliver(self, frame: Frame) -> None:
        """Send a frame; a config event that follows another within the gap waits, and may be overtaken."""
        if frame.kind != "config":
            self._send(frame)
        elif self._timer is None:
            self._send(frame)
            self._timer = asyncio.get_running_loop().call_later(CONFIG_GAP_S, self._gap_over)
        else:
            self._held[frame.emitter] = frame

    def reply(self, topic: str, data: object, request: Mapping[str, object]) -> None:
        """Answer a request of this very session, past all subscriptions: answers carry tokens."""
        frame = {"topic": topic, "data": data, "_request": request}
        self._broker.deliver(self.session, self.uuid, compact(frame))

    def fail(self, message: str, request: Mapping[str, object]) -> None:
        """Tell this session what went wrong with a request."""
        self.reply("error", {"message": message}, request)

    def close(self) -> None:
        """Forget what waits; the session is gone."""
        self._granted.clear()
        self._held.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _gap_over(self) -> None:
        held, self._held = self._held, {}
        self._timer = None
        for frame in held.values():
            self._send(frame)
        if held:
            self._timer = asyncio.get_running_loop().call_later(CONFIG_GAP_S, self._gap_over)

    def _send(self, frame: Frame) -> None:
        granted = self._granted.get(frame.emitter)
        if granted is None:
            return
        topic, qos = granted
        text = b'{"topic":"%b","data":%b}' % (frame.kind.encode(), frame.content)
        self._broker.deliver(self.session, topic, text, min(qos, frame.qos))
