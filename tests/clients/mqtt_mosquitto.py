"""Debian's mosquitto_sub and mosquitto_pub: one process for each filter, one for each batch of messages."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from itertools import groupby
from typing import Any, ClassVar

from tests.clients.mqtt_wire import (
    NAMES,
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

WORDS = {V31: "mqttv31", V311: "mqttv311", V5: "mqttv5"}
LINE_BYTES = 4 << 20
MARK = "\x1f"
FORMAT = MARK + MARK.join(("%t", "%q", "%r", "%x", "%C", "%D", "%E", "%R", "%S", "%P"))
"""Topic, QoS, retain, payload in hex, content type, correlation, expiry, response topic, identifier, user's."""


class MosquittoClient:
    """The command-line tools; a connection exists while a filter is subscribed to."""

    name: ClassVar[str] = "mosquitto"
    title: ClassVar[str] = "mosquitto_pub, mosquitto_sub, mosquitto_rr (C)"
    versions: ClassVar[tuple[int, ...]] = tuple(NAMES)
    transports: ClassVar[frozenset[str]] = frozenset({"tcp", "tls", "unix"})
    can: ClassVar[frozenset[str]] = frozenset({"properties", "expiry"})

    def __init__(self, target: Target, session: Session) -> None:
        self.target, self.session, self.seen = target, session, Seen()
        self._listening: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._granted: asyncio.Future[int] | None = None

    async def open(self) -> None:
        """Log in once, and leave: a connection that lasts begins with its filter."""
        if self.session.client_id and self.session.will is None and self.session.clean:
            words = [*login(self.target, self.session.version), "-i", self.session.client_id]
            process = await asyncio.create_subprocess_exec(
                "mosquitto_sub", *words, "-t", "nothing", "-E", stderr=asyncio.subprocess.PIPE
            )
            _, said = await asyncio.wait_for(process.communicate(), SECONDS)
            if process.returncode:
                raise RefusedError(process.returncode if b"refused" in said.lower() else None)

    async def subscribe(self, want: Want) -> int:
        session, loop = self.session, asyncio.get_running_loop()
        words = [*login(self.target, session.version), "-i", session.client_id]
        words += ["-t", want.pattern, "-q", str(want.qos), "-F", FORMAT, "-d"]
        words += [] if session.clean else ["-c"]
        if session.version == V5 and session.expiry_s:
            words += ["-x", str(session.expiry_s)]
        if session.will is not None:
            will = session.will
            words += ["--will-topic", will.topic, "--will-payload", will.payload.decode()]
            words += ["--will-qos", str(will.qos)] + ["--will-retain"] * will.retain
        self._granted = loop.create_future()
        # Without a terminal its C library would keep the lines back.
        self._listening = await asyncio.create_subprocess_exec(
            "stdbuf", "-oL", "mosquitto_sub", *words,
            stdout=asyncio.subprocess.PIPE, limit=LINE_BYTES,
        )  # fmt: skip
        self._reading = loop.create_task(self._read())
        return await asyncio.wait_for(self._granted, SECONDS)

    async def _read(self) -> None:
        assert self._listening is not None
        assert self._listening.stdout is not None
        async for line in self._listening.stdout:
            if line.startswith(MARK.encode()):
                self.seen.messages.append(_received(line.decode().rstrip("\n").split(MARK)[1:]))
            elif line.startswith(b"Subscribed") and self._granted and not self._granted.done():
                self._granted.set_result(int(line.rsplit(b":", 1)[1]))
        self.seen.closed.set()

    async def publish(self, messages: Sequence[Message]) -> None:
        for (topic, qos, retain, *more), group in groupby(messages, key=_alike):
            batch = list(group)
            words = [*login(self.target, self.session.version), "-t", topic, "-q", str(qos)]
            words += ["-r"] * retain + _properties(batch[0] if any(more) else None)
            has_lines = any(b"\n" in each.payload or not each.payload for each in batch)
            if len(batch) == 1:
                how = "-s" if batch[0].payload else "-n"
                await _run("mosquitto_pub", *words, how, stdin=batch[0].payload)
                continue
            assert not has_lines, "mosquitto_pub -l sends one message a line"
            lines = b"".join(each.payload + b"\n" for each in batch)
            await _run("mosquitto_pub", *words, "-l", stdin=lines)

    async def close(self) -> None:
        await self._end(signal.SIGTERM)

    async def cut(self) -> None:
        await self._end(signal.SIGKILL)

    async def _end(self, number: int) -> None:
        process, self._listening = self._listening, None
        if process is not None and self._reading is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)
            await asyncio.wait_for(process.wait(), SECONDS)
            await self._reading


def login(target: Target, version: int) -> list[str]:
    """Return the words that say where, who and which version."""
    where = ["--unix", str(target.socket)] if target.transport == "unix" else []
    where = where or ["-h", target.host, "-p", str(target.port)]
    tls = ["--cafile", str(target.ca)] if target.transport == "tls" else []
    return [*where, *tls, "-u", target.user, "-P", target.password, "-V", WORDS[version]]


async def _run(*words: str, stdin: bytes) -> None:
    process = await asyncio.create_subprocess_exec(
        *words, stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    _, said = await asyncio.wait_for(process.communicate(stdin), SECONDS)
    assert process.returncode == 0, said.decode()


def _alike(message: Message) -> tuple[Any, ...]:
    return (
        message.topic,
        message.qos,
        message.retain,
        message.user,
        message.content_type,
        message.response_topic,
        message.correlation,
        message.expiry_s,
    )


def _properties(message: Message | None) -> list[str]:
    if message is None:
        return []
    named = {
        "content-type": message.content_type,
        "response-topic": message.response_topic,
        "correlation-data": message.correlation and message.correlation.decode(),
        "message-expiry-interval": message.expiry_s,
    }
    words = [
        word
        for name, value in named.items()
        if value is not None
        for word in ("-D", "publish", name, str(value))
    ]
    for name, value in message.user:
        words += ["-D", "publish", "user-property", name, value]
    return words


def _received(parts: Sequence[str]) -> Message:
    topic, qos, retain, payload, kind, correlation, expiry, response, identifier, user = parts
    return Message(
        topic,
        bytes.fromhex(payload),
        int(qos),
        retain == "1",
        tuple((name, value) for name, _, value in (pair.partition(":") for pair in user.split())),
        kind or None,
        response or None,
        correlation.encode() or None,
        int(expiry) if expiry else None,
        (int(identifier),) if identifier else (),
    )
