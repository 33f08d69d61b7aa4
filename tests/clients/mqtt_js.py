"""MQTT.js in a Node process of its own, driven by lines of JSON (`mqtt_js_driver.js`)."""

import asyncio
import base64
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from tests.clients.mqtt_wire import (
    SECONDS,
    V5,
    V31,
    V311,
    Message,
    RefusedError,
    Seen,
    Session,
    Target,
    Want,
)

HERE = Path(__file__).parent
SCHEMES = {"tcp": "mqtt", "tls": "mqtts", "ws": "ws", "wss": "wss"}
LINE_BYTES = 1 << 20  # a message of the largest size, in base64


class JsClient:
    """The client of browsers and of Node-RED, Zigbee2MQTT and their kind."""

    name: ClassVar[str] = "mqtt.js"
    title: ClassVar[str] = "MQTT.js (Node.js)"
    versions: ClassVar[tuple[int, ...]] = (V31, V311, V5)
    transports: ClassVar[frozenset[str]] = frozenset(SCHEMES)
    can: ClassVar[frozenset[str]] = frozenset(
        {"stays away", "present", "options", "identifiers", "properties", "aliases", "expiry"}
    )

    def __init__(self, target: Target, session: Session) -> None:
        self.target, self.session, self.seen = target, session, Seen()
        self.aliases_sent: list[str] = []
        """Topics of sent publishes that carried an alias: "" where the alias stood for it."""
        self.aliases_heard: list[int] = []
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def open(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            "node",
            str(HERE / "mqtt_js_driver.js"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "NODE_PATH": str(HERE / "node_modules"), "NODE_NO_WARNINGS": "1"},
            limit=LINE_BYTES,
        )
        self._reading = asyncio.get_running_loop().create_task(self._read())
        answer = await self._ask("open", **self._connect_words())
        if "refused" in answer:
            raise RefusedError(answer["refused"])
        self.seen.is_present = answer["present"]

    def _connect_words(self) -> dict[str, Any]:
        target, session, is_v5 = self.target, self.session, self.session.version == V5
        asked = {
            "sessionExpiryInterval": session.expiry_s or None,
            "receiveMaximum": session.receive_maximum,
            "topicAliasMaximum": session.alias_maximum or None,
        }
        options: dict[str, Any] = {
            "protocolVersion": session.version,
            "protocolId": "MQIsdp" if session.version == V31 else "MQTT",
            "clientId": session.client_id,
            "clean": session.clean,
            "username": target.user,
            "password": target.password,
            "reconnectPeriod": 0,
            "connectTimeout": int(SECONDS * 1000),
        }
        if is_v5:
            options["properties"] = {k: v for k, v in asked.items() if v is not None}
            options["autoAssignTopicAlias"] = bool(session.alias_maximum)
        words: dict[str, Any] = {
            "url": f"{SCHEMES[target.transport]}://{target.host}:{target.port}",
            "options": options,
            "ca": str(target.ca) if target.ca else None,
        }
        if target.transport in {"ws", "wss"}:
            words["url"] += target.path
        if session.will is not None:
            words["will"] = _written(session.will)
            if is_v5 and session.will_delay_s:
                words["will"]["properties"] = {"willDelayInterval": session.will_delay_s}
        return words

    async def subscribe(self, want: Want) -> int:
        options: dict[str, Any] = {"qos": want.qos}
        if self.session.version == V5:
            options |= {
                "nl": want.no_local,
                "rap": want.retain_as_published,
                "rh": want.retain_handling,
            }
            if want.identifier:
                options["properties"] = {"subscriptionIdentifier": want.identifier}
        return int((await self._ask("subscribe", pattern=want.pattern, options=options))["code"])

    async def publish(self, messages: Sequence[Message]) -> None:
        answer = await self._ask("publish", messages=[_written(each) for each in messages])
        assert answer["failed"] == []

    async def close(self) -> None:
        process, reading = self._process, self._reading
        if process is None or reading is None or process.stdin is None:
            return
        if not self.seen.closed.is_set():
            await self._ask("close")
        process.stdin.close()
        await asyncio.wait_for(process.wait(), SECONDS)
        await reading

    async def cut(self) -> None:
        await self._ask("cut")
        await asyncio.wait_for(self.seen.closed.wait(), SECONDS)

    async def _ask(self, verb: str, **words: Any) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdin is not None
        number = len(self._answers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        line = json.dumps({"verb": verb, "number": number, **words}) + "\n"
        self._process.stdin.write(line.encode())
        return await asyncio.wait_for(self._answers[number], SECONDS)

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            word = json.loads(line)
            match word["event"]:
                case "done" if not self._answers[word["number"]].done():
                    self._answers[word["number"]].set_result(word)
                case "message":
                    self.seen.messages.append(_received(word))
                    self.aliases_heard.append(word["alias"])
                case "alias":
                    self.aliases_sent.append(word["topic"])
                case "closed":
                    self.seen.closed.set()


def _written(message: Message) -> dict[str, Any]:
    return {
        "topic": message.topic,
        "payload": base64.b64encode(message.payload).decode(),
        "qos": message.qos,
        "retain": message.retain,
        "user": message.user,
        "content_type": message.content_type,
        "response_topic": message.response_topic,
        "correlation": message.correlation and base64.b64encode(message.correlation).decode(),
        "expiry_s": message.expiry_s,
    }


def _received(word: dict[str, Any]) -> Message:
    correlation = word.get("correlation")
    return Message(
        word["topic"],
        base64.b64decode(word["payload"]),
        word["qos"],
        word["retain"],
        tuple((name, value) for name, value in word["user"]),
        word.get("content_type"),
        word.get("response_topic"),
        base64.b64decode(correlation) if correlation else None,
        word.get("expiry_s"),
        tuple(word["identifiers"]),
    )
