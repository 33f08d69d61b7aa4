"""Who listens to what."""

from gateway.mesh.attachments import LATE, Attachments, Frame
from gateway.model import DeviceUuid
from tests.fakes.mesh_node import device_uuid

A, B = device_uuid(1), device_uuid(2)


class Ear:
    def __init__(self, uuid: DeviceUuid) -> None:
        self.uuid = uuid

    def deliver(self, frame: Frame) -> None:
        raise AssertionError("the table only keeps sessions")


def test_a_session_hears_the_channels_it_was_attached_to() -> None:
    table, ear = Attachments(), Ear(B)
    table.attach(ear, A, ["broadcast", "sent"])
    assert A in table
    assert B not in table
    assert list(table.listeners(A, "broadcast")) == [ear]
    assert list(table.listeners(A, "received")) == []
    assert table.of(A) == [ear]


def test_attaching_again_replaces_what_was_heard() -> None:
    table, ear = Attachments(), Ear(B)
    table.attach(ear, A, ["broadcast", "sent"])
    table.attach(ear, A, ["sent"])
    assert list(table.listeners(A, "broadcast")) == []
    assert list(table.listeners(A, "sent")) == [ear]


def test_nothing_is_left_of_a_session_that_ended() -> None:
    table, ear, other = Attachments(), Ear(B), Ear(B)
    table.attach(ear, A, ["broadcast"])
    table.attach(ear, B, ["received"])
    table.attach(other, A, ["broadcast"])
    table.drop(ear)
    table.drop(ear)
    assert list(table.listeners(A, "broadcast")) == [other]
    assert B not in table
    table.detach(other, A)
    table.detach(other, A)
    assert A not in table
    assert (table._listeners, table._emitters) == ({}, {})


def test_attaching_to_nothing_keeps_nothing() -> None:
    table = Attachments()
    table.attach(Ear(B), A, [])
    assert (table._listeners, table._emitters) == ({}, {})


def test_a_revision_takes_away_what_is_no_longer_allowed_from_others() -> None:
    table, watcher, own = Attachments(), Ear(B), Ear(A)
    table.attach(watcher, A, ["broadcast", LATE + "broadcast", "sent"])
    table.attach(own, A, ["received"])
    table.revise(A, lambda uuid: ("broadcast",))
    assert list(table.listeners(A, "broadcast")) == [watcher]
    assert list(table.listeners(A, LATE + "broadcast")) == [watcher]
    assert list(table.listeners(A, "sent")) == []
    assert list(table.listeners(A, "received")) == [own]
    table.revise(A, lambda uuid: ())
    assert table.of(A) == [own]
