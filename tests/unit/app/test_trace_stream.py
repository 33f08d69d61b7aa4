"""A trace's reader: lines as events, a bounded queue, and a count of what did not fit."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from gateway.app import trace_stream
from gateway.app.broker_operations import MOST_TRACES, trace_of
from gateway.app.trace_stream import TraceStream
from gateway.broker.tracing import Traced, Wanted
from gateway.errors import GatewayError
from tests.fakes.mqtt_broker import DEVICE, RawClient, publish, running


def events(raw: bytes) -> list[tuple[str, object]]:
    found = []
    for block in raw.decode().strip().split("\n\n"):
        event, _, data = block.partition("\n")
        found.append((event.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


async def closed(lines: AsyncIterator[bytes]) -> None:
    await lines.aclose()  # type: ignore[attr-defined]


async def test_lines_come_as_events_and_the_end_of_the_reader_is_the_end_of_the_trace() -> None:
    async with running() as (broker, port):
        client = await RawClient.login(port, "admin", "laptop")
        lines = trace_of(broker, {"identity": "admin"})
        assert (await anext(lines)).startswith(b":")
        client.send(publish("a", b"x"))
        [(event, row)] = events(await anext(lines))
        assert event == "line"
        assert isinstance(row, dict)
        assert (row["direction"], row["identity"], row["client_id"]) == (
            "received",
            "admin",
            "laptop",
        )
        assert row["text"] == "PUBLISH (d0, q0, r0, m0, 'a', 1 bytes)"
        await closed(lines)
        assert len(broker.tracing) == 0


async def test_what_does_not_fit_is_counted_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_stream, "MOST_WAITING", 150)
    async with running() as (broker, _):
        stream = TraceStream(broker, Wanted())
        lines = stream.lines()
        await anext(lines)
        for number in range(250):
            if stream.has_room():
                stream.tell(Traced(number, "sent", "a", "c", "p", "x"))
        first, second = events(await anext(lines)), events(await anext(lines))
        assert (len(first), len(second)) == (100, 51)
        assert second[-1] == ("lost", 100)
        assert stream.has_room()
        await closed(lines)


async def test_lines_of_a_busy_broker_come_in_bundles() -> None:
    async with running() as (broker, _):
        stream = TraceStream(broker, Wanted())
        lines = stream.lines()
        await anext(lines)
        stream.tell(Traced(0, "sent", "a", "c", "p", "x"))
        assert len(events(await anext(lines))) == 1
        began = asyncio.get_running_loop().time()
        later = asyncio.ensure_future(anext(lines))  # noqa: TID251 - reads while it is told
        await asyncio.sleep(0)
        for number in range(20):
            stream.tell(Traced(number, "sent", "a", "c", "p", "x"))
            await asyncio.sleep(0)
        assert len(events(await later)) == 20
        assert asyncio.get_running_loop().time() - began >= trace_stream.PAUSE_S
        await closed(lines)


async def test_a_stream_without_news_shows_that_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_stream, "AWAKE_S", 0.01)
    async with running() as (broker, _):
        lines = trace_of(broker, {})
        await anext(lines)
        assert (await anext(lines)).startswith(b": still")
        await closed(lines)


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"topic": "a/#/b"}, "GW-1139"),
        ({"topic": DEVICE}, "GW-1138"),
        ({"topic": "meshblu/#"}, "GW-1138"),
        ({"topic": "$gateway/#"}, "GW-1138"),
        ({"identity": ""}, "GW-1811"),
        ({"client_id": 5}, "GW-1811"),
    ],
)
async def test_what_cannot_be_traced_is_refused(asked: dict[str, object], code: str) -> None:
    async with running() as (broker, _):
        with pytest.raises(GatewayError) as caught:
            trace_of(broker, asked)
        assert caught.value.code == code


async def test_only_a_few_traces_run_at_once() -> None:
    async with running() as (broker, _):
        streams = [trace_of(broker, {}) for _ in range(MOST_TRACES)]
        for stream in streams:
            await anext(stream)
        with pytest.raises(GatewayError) as caught:
            trace_of(broker, {})
        assert caught.value.code == "GW-1138"
        for stream in streams:
            await closed(stream)
