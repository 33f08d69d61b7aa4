"""The message log while a commit is under way: what changes meanwhile counts, and nothing comes back."""

import sqlite3

import pytest

from gateway.mqtt.message import Message
from gateway.store import mqtt_log, mqtt_segments
from gateway.store.mqtt_log import MessageLog
from gateway.store.mqtt_plan import Plan

BIG = bytes(2000)


class Disk:
    """A log and its table; a commit in two halves."""

    def __init__(self, least_bytes: int = 1) -> None:
        self.connection = sqlite3.connect(":memory:")
        self.connection.execute(
            "CREATE TABLE mqtt_segments (id INTEGER PRIMARY KEY, crc INTEGER, data BLOB)"
        )
        self.log = MessageLog(least_bytes)

    def add(self, sid: int, packet_id: int, payload: bytes = b"x") -> None:
        self.log.add(Message("t", b"t", payload, 1), [(sid, packet_id, 1, b"")], b"")

    def begin(self) -> Plan:
        plan = self.log.seal()
        assert plan is not None
        plan.write(self.connection)
        return plan

    def commit(self) -> None:
        self.log.written(self.begin())

    def living(self) -> set[tuple[int, int, bool]]:
        """Return (sid, packet id, released) as a start would find it."""
        found: dict[int, tuple[int, int, bool]] = {}
        for _, data in self.connection.execute("SELECT id, data FROM mqtt_segments ORDER BY id"):
            contents = mqtt_segments.decode(data)
            for message in contents.messages:
                for target in message.targets:
                    released = bool(target.flags & mqtt_segments.IS_RELEASED)
                    found[target.sequence] = (target.sid, target.packet_id, released)
            for sequence in contents.finished:
                found.pop(sequence, None)
            for sequence in contents.released:
                if sequence in found:
                    found[sequence] = (*found[sequence][:2], True)
        return set(found.values())


@pytest.fixture
def disk() -> Disk:
    """A log whose oldest segment holds two living deliveries among many bytes: the next commit copies them."""
    disk = Disk()
    disk.add(1, 1)
    disk.add(1, 2)
    for packet_id in range(1, 11):
        disk.add(2, packet_id, BIG)
    disk.commit()
    disk.log.drop(2)
    return disk


def copying(disk: Disk) -> Plan:
    disk.add(3, 1)
    plan = disk.begin()
    assert len(plan.moved) == 2, "nothing was copied: no test at all"
    return plan


def test_what_was_copied_lives_in_one_place(disk: Disk) -> None:
    disk.log.written(copying(disk))
    assert disk.living() == {(1, 1, False), (1, 2, False), (3, 1, False)}
    for sid, packet_id in ((1, 1), (1, 2), (3, 1)):
        disk.log.finish(sid, packet_id)
    disk.commit()
    assert disk.living() == set()
    assert (disk.log.bytes, disk.log.live_bytes, disk.log.live) == (0, 0, 0)
    assert disk.connection.execute("SELECT count(*) FROM mqtt_segments").fetchone() == (0,)


def test_a_delivery_that_ends_while_it_is_copied_does_not_come_back(disk: Disk) -> None:
    plan = copying(disk)
    disk.log.finish(1, 1)
    disk.log.written(plan)
    disk.log.least_bytes = 1 << 20  # so that copying it once more does not mend it
    disk.log.finish(3, 1)  # so that the group's segment goes, and notes about older ones with it
    disk.commit()
    assert disk.living() == {(1, 2, False)}


def test_a_packet_id_used_again_while_it_is_copied_is_the_new_message(disk: Disk) -> None:
    plan = copying(disk)
    disk.log.finish(1, 1)
    disk.add(1, 1)
    disk.log.written(plan)
    disk.commit()
    assert disk.living() == {(1, 1, False), (1, 2, False), (3, 1, False)}
    disk.log.finish(1, 1)
    disk.commit()
    assert disk.living() == {(1, 2, False), (3, 1, False)}


def test_a_release_while_it_is_copied_counts(disk: Disk) -> None:
    plan = copying(disk)
    disk.log.release(1, 1)
    disk.log.written(plan)
    disk.commit()
    assert disk.living() == {(1, 1, True), (1, 2, False), (3, 1, False)}


def test_a_release_before_it_is_copied_counts(disk: Disk) -> None:
    disk.log.release(1, 2)
    disk.log.written(copying(disk))
    assert disk.living() == {(1, 1, False), (1, 2, True), (3, 1, False)}


def test_a_session_dropped_while_it_is_copied_leaves_nothing_living(disk: Disk) -> None:
    plan = copying(disk)
    disk.log.drop(1)
    disk.log.written(plan)
    disk.commit()
    assert disk.living() == {(3, 1, False)}
    assert disk.log.live == 1


def test_a_note_about_a_segment_that_goes_is_not_written() -> None:
    disk = Disk()
    disk.add(1, 1)
    disk.commit()
    disk.log.finish(1, 1)
    plan = disk.log.seal()
    assert plan is not None
    assert (plan.data, plan.through) == (b"", 1)


def test_copying_needs_no_new_message(disk: Disk) -> None:
    plan = disk.begin()
    assert (plan.data, plan.leaving) == (b"", [1])
    disk.log.written(plan)
    disk.log.finish(1, 1)
    disk.commit()
    assert disk.living() == {(1, 2, False)}


def test_a_packet_id_given_again_replaces_what_had_it() -> None:
    disk = Disk(1 << 20)
    disk.add(1, 1)
    disk.add(1, 1, b"newer")
    disk.commit()
    assert disk.log.live == 1
    disk.log.finish(1, 1)
    disk.commit()
    assert (disk.log.bytes, disk.log.live_bytes) == (0, 0)


def test_the_bytes_of_a_plan_are_counted_as_they_are(disk: Disk) -> None:
    disk.log.written(copying(disk))
    [rows] = disk.connection.execute("SELECT count(*), sum(length(data)) FROM mqtt_segments")
    assert disk.log.bytes == rows[1] + rows[0] * mqtt_log.ROW_BYTES


def test_nothing_is_copied_at_stop(disk: Disk) -> None:
    disk.add(3, 1)
    plan = disk.log.seal(may_copy=False)
    assert plan is not None
    assert plan.leaving == []
