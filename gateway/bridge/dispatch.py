"""The way out for every command: may the sender, is it in time, which host; and its one answer."""

import json
import logging
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from gateway.bridge.devices import Device, Devices, encoded
from gateway.bridge.ports import CommandTaker, Finish, May, Publish
from gateway.model import (
    CODES,
    Clock,
    Command,
    CommandResult,
    DeviceUuid,
    Outcome,
    Scalar,
)

log = logging.getLogger(__name__)

PARENT = "parent"  # a command that came this way was judged there
USER_DEADLINE_MS = 10_000  # of a command from a plain topic, which names none
MOST_PAYLOAD_BYTES = 4096  # of devices/<slug>/set; a serial line takes no more


class Dispatcher:
    """Sends commands to the hosts of their devices; `finish` hears of each exactly once."""

    def __init__(
        self,
        devices: Devices,
        clock: Clock,
        *,
        may: May,
        publish: Publish,
        finish: Finish,
        node: DeviceUuid,
    ) -> None:
        self.counts = dict.fromkeys(Outcome, 0)
        self._devices = devices
        self._clock = clock
        self._may = may
        self._publish = publish
        self._finish = finish
        self._node = node
        self._hosts: dict[tuple[str, str], CommandTaker] = {}

    def attach(self, host: CommandTaker) -> None:
        """Send commands for devices of this host's link and driver to it."""
        self._hosts[host.source.link, host.source.driver] = host

    def detach(self, host: CommandTaker) -> None:
        """Send nothing to this host any more."""
        self._hosts.pop((host.source.link, host.source.driver), None)

    def send(self, command: Command) -> None:
        """Judge a command and give it to its host; the answer comes through `finish`, at once or later."""
        device = self._devices.by_uuid.get(command.device)
        done = partial(self._done, command, device)
        if device is None:
            self._end(done, command, Outcome.REFUSED, "this gateway has no such device")
        elif command.via != PARENT and not self._may(command.actor, command.device, "message.from"):
            self._end(done, command, Outcome.REFUSED, "forbidden: not in message.from")
        elif self._clock.uptime_ms() > command.deadline_ms:
            self._end(done, command, Outcome.EXPIRED, "its time had passed")
        elif (host := self._hosts.get((device.link, device.identity.driver))) is None:
            self._end(done, command, Outcome.REFUSED, f"link {device.link} is not configured")
        else:
            host.submit(command, device.identity.hardware_id, done)

    def from_topic(self, slug: str, payload: bytes, user: str) -> bool:
        """Take what a local user wrote to `devices/<slug>/set`; False for a device that is not here.

        It acts as the gateway itself, and is named in `via`. The answer goes to `devices/<slug>/result` too.
        """
        device = self._devices.by_slug.get(slug)
        if device is None:
            return False
        command = Command(
            str(uuid.uuid4()),
            device.identity.uuid,
            self._node,
            "set",
            _parameters(payload) or {},
            self._clock.uptime_ms() + USER_DEADLINE_MS,
            via=f"user:{user}",
        )
        if command.params:
            self.send(command)
        else:
            self._end(
                partial(self._done, command, device),
                command,
                Outcome.REFUSED,
                'write a JSON object such as {"relay":true}',
            )
        return True

    @staticmethod
    def _end(
        done: Callable[[CommandResult], None], command: Command, outcome: Outcome, detail: str
    ) -> None:
        done(CommandResult(command.id, outcome, detail))

    def _done(self, command: Command, device: Device | None, result: CommandResult) -> None:
        self.counts[result.outcome] += 1
        log.info(
            "command ended",
            extra={
                "command": command.id,
                "device": command.device,
                "actor": command.actor,
                "via": command.via or "",
                "outcome": result.outcome.value,
            },
        )
        if device is not None:
            self._publish(device.topic("result"), _answer(command, result), False)
        self._finish(command, result)


def _answer(command: Command, result: CommandResult) -> bytes:
    answer: dict[str, Any] = {
        "id": command.id,
        "code": CODES[result.outcome],
        "status": result.detail or result.outcome.value,
    }
    if result.data:
        answer["data"] = dict(result.data)
    return encoded(answer).encode("utf-8", "replace")


def _parameters(payload: bytes) -> dict[str, Scalar] | None:
    """Return the values of a `set`; None for anything but a flat JSON object."""
    if len(payload) > MOST_PAYLOAD_BYTES:
        return None
    try:
        value = json.loads(payload, parse_constant=_refused)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or not all(
        isinstance(each, (str, int, float, bool)) for each in value.values()
    ):
        return None
    return value


def _refused(constant: str) -> None:
    raise ValueError(constant)  # NaN and Infinity are not JSON
