"""Replay: records at their period, answers at once, bounded memory."""

from gateway.driver.contract import Advert
from gateway.links.replay import MOST_WRITES, Replay, ReplaySettings
from tests.fakes.clock import FakeClock
from tests.fakes.waiting import eventually
from tests.unit.links.collecting import collecting


def replay(*records: bytes | Advert, **changes: object) -> Replay:
    fields = {"name": "demo", "origin": "serial:demo", "period_ms": 2} | changes
    return Replay(records, ReplaySettings(**fields), FakeClock())


async def test_records_are_played_in_order_and_again_from_the_start() -> None:
    async with collecting(replay(b"a\n", b"b\n")) as heard:
        await eventually(lambda: len(heard) >= 5)
    assert heard[:5] == [b"a\n", b"b\n", b"a\n", b"b\n", b"a\n"]


async def test_a_replay_that_is_not_endless_falls_silent_after_the_last_record() -> None:
    link = replay(b"a\n", b"b\n", is_endless=False)
    async with collecting(link) as heard:
        await eventually(lambda: link.state()["counters"]["rounds"] == 1)
        await link.write(b'{"cmd":1}\n')
        assert heard == [b"a\n", b"b\n"]


async def test_adverts_are_played_as_they_are() -> None:
    advert = Advert("A4:C1:38:8D:18:B2", -60, {}, {0x0499: b"\x05"})
    async with collecting(replay(advert)) as heard:
        await eventually(lambda: heard)
    assert heard[0] is advert


async def test_a_command_is_answered_at_once_where_echo_is_on() -> None:
    link = replay(b"a\n", period_ms=60_000, echo="line-json")
    async with collecting(link) as heard:
        await eventually(lambda: heard)
        await link.write(b'{"id":"pump","cmd":7,"set":{"valve":true}}\n')
        await eventually(lambda: len(heard) == 2)
    assert heard[1] == b'{"cmd":7,"ok":true,"valve":true}\n'


async def test_what_is_no_numbered_command_is_not_answered() -> None:
    link = replay(echo="line-json")
    await link.write(b'garbage\n[1]\n{"set":{"x":1}}\n')
    assert link.state()["counters"]["echoed"] == 0


async def test_only_the_last_writes_are_kept() -> None:
    link = replay()
    for n in range(MOST_WRITES + 10):
        await link.write(b"%d" % n)
    assert len(link.written) == MOST_WRITES
    assert link.written[-1] == b"%d" % (MOST_WRITES + 9)
