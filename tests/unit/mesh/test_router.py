"""The one way in: live copies, what goes up, commands, and messages whose receivers are not in memory."""

import json
from typing import Any

import pytest

from gateway.errors import StoreFullError
from gateway.mesh.attachments import LATE, Frame
from gateway.mesh.router import COMMAND_MS, MOST_HELD
from gateway.model import DeviceUuid, Message, MessageKind, Refusal
from tests.fakes.mesh_node import MeshNode, device_uuid, working
from tests.fakes.waiting import eventually

A, B, C = (device_uuid(n) for n in range(1, 4))
CHILD = device_uuid(9)
READING = {"payload": {"temperature": 21.5}, "units": {"temperature": "Cel"}}


class Ear:
    """A live session that keeps what it is told."""

    def __init__(self, uuid: DeviceUuid) -> None:
        self.uuid = uuid
        self.frames: list[Frame] = []

    def deliver(self, frame: Frame) -> None:
        self.frames.append(frame)

    @property
    def contents(self) -> list[Any]:
        return [json.loads(frame.content) for frame in self.frames]


def listening(node: MeshNode, uuid: DeviceUuid, emitter: DeviceUuid, *types: str) -> Ear:
    ear = Ear(uuid)
    node.mesh.attachments.attach(ear, emitter, types)
    return ear


def reading(node: MeshNode, sender: DeviceUuid, **fields: Any) -> Message:
    return node.message(sender, READING, kind=MessageKind.READING, **fields)


def test_a_reading_of_a_brought_device_goes_up_and_nowhere_else_if_nobody_listens() -> None:
    node = MeshNode()
    node.brought.add(A)
    message = reading(node, A)
    ticket = node.router.route([message, message])
    assert node.spooled == [(message, False), (message, False)]
    assert ticket.settle == 2
    assert not ticket.refused


def test_a_reading_of_another_device_does_not_go_up() -> None:
    node = MeshNode()
    assert node.router.route([reading(node, A)]).settle == 0
    assert node.spooled == []


def test_a_childs_reading_goes_further_up_but_not_back_where_it_came_from() -> None:
    node = MeshNode()
    node.children[A] = CHILD
    node.router.route([reading(node, A, source=f"child:{CHILD}")])
    node.router.route([reading(node, A, source="parent")])
    assert [message.source for message, _ in node.spooled] == [f"child:{CHILD}"]


def test_a_node_without_parent_spools_nothing() -> None:
    node = MeshNode(has_parent=False)
    node.brought.add(A)
    assert node.router.route([reading(node, A)]).settle == 0


def test_a_listener_gets_a_reading_as_a_broadcast_with_its_time_and_sender() -> None:
    node = MeshNode()
    ear = listening(node, B, A, "broadcast")
    node.router.route([reading(node, A)])
    assert ear.frames[0].emitter == A
    assert ear.frames[0].kind == "message"
    assert ear.contents == [
        {
            "devices": ["*"],
            "topic": "reading",
            "payload": {"temperature": 21.5},
            "metadata": {
                "id": "m-1",
                "units": {"temperature": "Cel"},
                "quality": "good",
                "observedAt": "2025-11-24T16:00:00.000Z",
            },
            "fromUuid": A,
        }
    ]


def test_a_late_reading_reaches_only_those_who_asked_for_late_ones() -> None:
    node = MeshNode()
    live = listening(node, B, A, "broadcast")
    patient = listening(node, B, A, "broadcast", LATE + "broadcast")
    node.router.route([reading(node, A, late=True)])
    assert live.frames == []
    assert len(patient.frames) == 1


def test_a_broken_reading_reaches_nobody_and_stops_nobody() -> None:
    node = MeshNode()
    ear = listening(node, B, A, "broadcast")
    broken = Message("x", MessageKind.READING, A, b"[", node.clock.stamp())
    node.router.route([broken, reading(node, A)])
    assert len(ear.frames) == 1
    assert node.router.counts["malformed"] == 1


async def test_a_message_reaches_every_session_of_its_receiver_once() -> None:
    node = MeshNode()
    await node.add(2, sendWhitelist=["*"])
    both = listening(node, B, B, "received")
    node.mesh.attachments.attach(both, A, ["sent", "broadcast"])
    other = listening(node, B, B, "received")
    watcher = listening(node, C, A, "sent", "broadcast")
    message = node.message(A, {"devices": [B, "*"], "payload": 1, "fromUuid": C})
    await node.router.prepare([message])
    node.router.route([message], waiting=True)
    for ear in (both, other):
        assert [frame.emitter for frame in ear.frames] == [B]
    assert [frame.emitter for frame in watcher.frames] == [A]
    assert both.frames[0].qos == 1
    assert both.contents == [{"devices": [B, "*"], "payload": 1, "fromUuid": A}]


async def test_a_receiver_that_is_not_in_memory_is_looked_up_first() -> None:
    async with working(MeshNode()) as node:
        await node.add(2, sendWhitelist=["*"])
        ear = listening(node, B, B, "received")
        node.router.route([node.message(A, {"devices": [B, C], "payload": 1})])
        assert ear.frames == []
        assert node.spooled == []
        await eventually(lambda: ear.frames)
        ((sent, _waiting),) = node.spooled
        assert json.loads(sent.body) == {"devices": [C], "payload": 1, "fromUuid": A}


async def test_too_many_held_messages_are_routed_by_what_is_known() -> None:
    node = MeshNode()
    message = node.message(A, {"devices": [C]})
    node.router.route([message] * (MOST_HELD + 1))
    assert node.router.counts["held_dropped"] == 1
    assert len(node.spooled) == 1


async def test_an_answer_is_kept_for_the_parent_before_its_asker_is_known() -> None:
    async with working(MeshNode()) as node:
        node.brought.add(A)
        await node.add(2, sendWhitelist=["*"])
        ear = listening(node, B, B, "received")
        answer = node.message(A, {"devices": [B], "topic": "response"}, kind=MessageKind.RESULT)
        assert node.router.route([answer]).settle == 1
        await eventually(lambda: ear.frames)
        assert node.spooled == [(answer, False)]


async def test_a_command_reaches_its_device_with_a_deadline() -> None:
    node = MeshNode()
    await node.add(1, sendWhitelist=["*"])
    await node.add(2, sendWhitelist=["*"])
    node.brought.add(A)
    node.children[B] = CHILD
    asks = {
        "devices": [A],
        "metadata": {"jobType": "blink", "respondTo": 7},
        "data": {"times": 2},
    }
    message = node.message(C, asks)
    await node.router.prepare([message])
    await node.router.prepare([node.message(C, {"devices": [B]})])
    node.router.route([message])
    (command,) = node.dispatched
    assert (command.id, command.device, command.actor) == ("m-1", A, C)
    assert (command.action, command.params, command.respond_to) == ("blink", {"times": 2}, 7)
    assert command.deadline_ms == node.clock.uptime_ms() + COMMAND_MS
    node.router.route([node.message(C, {**asks, "devices": [A, B]})])
    assert node.dispatched[1].id == f"m-1/{A}"
    ((child, down),) = node.sent_down
    assert (child, down.id, down.device) == (CHILD, f"m-1/{B}", B)


async def test_a_late_message_moves_nothing() -> None:
    node = MeshNode()
    await node.add(1, sendWhitelist=["*"])
    node.brought.add(A)
    message = node.message(C, {"devices": [A], "topic": "set", "payload": {}}, late=True)
    await node.router.prepare([message])
    node.router.route([message])
    assert node.dispatched == []


async def test_a_late_message_reaches_its_receiver_but_a_late_broadcast_does_not() -> None:
    node = MeshNode()
    await node.add(2, sendWhitelist=["*"])
    ear = listening(node, B, B, "received")
    crowd = listening(node, C, A, "broadcast")
    message = node.message(A, {"devices": [B, "*"], "topic": "letter"}, late=True)
    await node.router.prepare([message])
    node.router.route([message])
    assert [content["topic"] for content in ear.contents] == ["letter"]
    assert crowd.frames == []


async def test_a_refused_receiver_is_counted() -> None:
    node = MeshNode()
    await node.add(2)
    message = node.message(A, {"devices": [B]})
    await node.router.prepare([message])
    node.router.route([message])
    assert node.router.counts["refused_by_list"] == 1


def test_a_message_that_is_no_object_is_refused_by_its_place() -> None:
    node = MeshNode()
    bad = Message("x", MessageKind.MESSAGE, A, b"7", node.clock.stamp())
    ticket = node.router.route([node.message(A, {"devices": ["*"]}), bad])
    assert ticket.refused == {1: Refusal.MALFORMED}


def test_config_events_of_brought_devices_go_up_and_to_their_listeners() -> None:
    node = MeshNode()
    node.brought.add(A)
    ear = listening(node, A, A, "config")
    node.router.route([node.message(A, {"uuid": A, "name": "x"}, kind=MessageKind.CONFIG)])
    assert [(frame.kind, json.loads(frame.content)) for frame in ear.frames] == [
        ("config", {"uuid": A, "name": "x"})
    ]
    assert len(node.spooled) == 1


def test_a_full_spool_loses_what_nobody_waits_for_and_tells_who_waits() -> None:
    node = MeshNode()
    node.brought.add(A)
    ear = listening(node, B, A, "broadcast")
    node.is_full = True
    assert node.router.route([reading(node, A)]).settle == 0
    assert len(ear.frames) == 1
    assert node.router.counts["spool_full"] == 1
    with pytest.raises(StoreFullError):
        node.router.route([reading(node, A)], waiting=True)
