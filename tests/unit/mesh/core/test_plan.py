"""Where messages go: one test a rule of topics.md section 4 and specification 10.2."""

from typing import Any

import pytest

from gateway.mesh.core.plan import NOTHING, Channel, Plan, goes_up, needed, plan
from gateway.model import AccessRecord, DeviceUuid, Message, MessageKind, Stamp
from gateway.model.wire import compact
from tests.fakes.mesh_node import device_uuid

A, B, C = device_uuid(1), device_uuid(2), device_uuid(3)
GATEWAY = device_uuid(9)


class Known:
    """A view whose devices are open unless they are listed as closed."""

    def __init__(
        self,
        *uuids: DeviceUuid,
        closed: tuple[DeviceUuid, ...] = (),
        brought: tuple[DeviceUuid, ...] = (),
        of_child: dict[DeviceUuid, DeviceUuid] | None = None,
    ) -> None:
        self._uuids = uuids
        self._closed = closed
        self._brought = brought
        self._of_child = of_child or {}

    def record(self, uuid: DeviceUuid) -> AccessRecord | None:
        if uuid not in self._uuids:
            return None
        lists = {} if uuid in self._closed else {"message.from": frozenset("*")}
        return AccessRecord(uuid, lists, frozenset(), 1)

    def is_brought(self, uuid: DeviceUuid) -> bool:
        return uuid in self._brought

    def child_of(self, uuid: DeviceUuid) -> DeviceUuid | None:
        return self._of_child.get(uuid)


def planned(
    content: dict[str, Any],
    view: Known,
    *,
    sender: DeviceUuid = A,
    kind: MessageKind = MessageKind.MESSAGE,
    source: str = "",
) -> Plan:
    message = Message("m", kind, sender, compact(content), Stamp("boot", 1), source=source)
    return plan(message, content, view)


SENT = Channel("sent", A)


def test_a_message_reaches_its_receiver_before_those_who_watch_the_sender() -> None:
    assert planned({"devices": [B]}, Known(A, B)) == Plan((Channel("received", B), SENT))


def test_a_broadcast_reaches_the_senders_listeners() -> None:
    assert planned({"devices": ["*"]}, Known(A)) == Plan((Channel("broadcast", A), SENT))


def test_a_receiver_that_does_not_list_the_sender_gets_nothing() -> None:
    result = planned({"devices": [B, C]}, Known(A, B, C, closed=(B,)))
    assert result.channels == (Channel("received", C), SENT)
    assert result.refused == {B: "message.from"}


def test_a_device_may_message_itself() -> None:
    assert Channel("received", A) in planned({"devices": [A]}, Known(A, closed=(A,))).channels


@pytest.mark.parametrize("devices", [None, [], [7]])
def test_a_message_for_nobody_goes_nowhere(devices: object) -> None:
    assert planned({"devices": devices}, Known(A)) is NOTHING


def test_a_message_that_came_past_its_sender_stops() -> None:
    assert planned({"devices": [B], "forwardedFor": [A]}, Known(A, B)) is NOTHING


def test_only_the_part_for_unknown_devices_goes_up() -> None:
    assert planned({"devices": [B, C, "*"]}, Known(A, B)).up == (C,)


def test_what_came_from_the_parent_does_not_go_back() -> None:
    assert planned({"devices": [C]}, Known(A, B), source="parent").up is None


def test_a_brought_devices_broadcast_goes_up() -> None:
    assert planned({"devices": ["*"]}, Known(A, brought=(A,))).up == ("*",)


COMMAND: dict[str, Any] = {"devices": [B], "topic": "set", "payload": {"on": True}}


def test_a_message_that_asks_a_brought_device_to_act_is_a_command() -> None:
    result = planned(COMMAND, Known(A, B, brought=(B,)))
    assert result.commands == (B,)
    assert result.request is not None
    assert result.request.params == {"on": True}


def test_a_command_needs_message_from() -> None:
    assert planned(COMMAND, Known(A, B, closed=(B,), brought=(B,))).commands == ()


def test_a_plain_message_to_a_brought_device_is_no_command() -> None:
    assert planned({"devices": [B], "payload": 1}, Known(A, B, brought=(B,))).commands == ()


def test_a_command_to_a_childs_device_goes_down_to_that_child() -> None:
    view = Known(A, B, of_child={B: GATEWAY})
    assert planned(COMMAND, view).down == ((GATEWAY, B),)


def test_a_command_never_goes_back_to_the_child_that_sent_it() -> None:
    view = Known(A, B, of_child={B: GATEWAY})
    assert planned(COMMAND, view, source=f"child:{GATEWAY}").down == ()
    assert planned(COMMAND, view, source=f"child:{C}").down == ((GATEWAY, B),)


def test_a_result_is_never_taken_for_a_command() -> None:
    answer = {**COMMAND, "metadata": {"jobType": "x"}}
    result = planned(answer, Known(A, B, brought=(A, B)), kind=MessageKind.RESULT)
    assert result.commands == ()
    assert result.channels == (Channel("received", B), SENT)


def test_a_result_of_a_brought_device_goes_up_whole_even_if_the_asker_is_here() -> None:
    answer = {"devices": [B], "topic": "response"}
    result = planned(answer, Known(A, B, brought=(A,)), kind=MessageKind.RESULT)
    assert result.up == ()


@pytest.mark.parametrize("kind", [MessageKind.READING, MessageKind.EVENT])
def test_what_a_device_reports_is_its_broadcast(kind: MessageKind) -> None:
    assert planned({}, Known(A), kind=kind) == Plan((Channel("broadcast", A), SENT))
    assert planned({}, Known(A, brought=(A,)), kind=kind).up == ()


def test_a_changed_document_reaches_its_config_channel() -> None:
    result = planned({"uuid": A}, Known(A), kind=MessageKind.CONFIG)
    assert result == Plan((Channel("config", A),))


def test_devices_of_a_child_are_reported_up_unless_the_parent_said_it() -> None:
    view = Known(A, of_child={A: GATEWAY})
    assert goes_up(A, f"child:{GATEWAY}", view)
    assert not goes_up(A, "parent", view)
    assert not goes_up(B, "", view)


def test_only_addressed_messages_need_records() -> None:
    content = {"devices": [B, "*", C]}
    for kind in MessageKind:
        message = Message("m", kind, A, b"{}", Stamp("boot", 1))
        is_addressed = kind in (MessageKind.MESSAGE, MessageKind.RESULT)
        assert tuple(needed(message, content)) == ((B, C) if is_addressed else ())
