"""The packets that most traffic consists of, on the shortest way: QoS 0 as it came, QoS 1 between clean sessions.

What is special in any way (a claim, a journal, MQTT 5 at QoS 1, a retained message, a trace) takes the long way
through `handlers`; both ways must mean the same, and tests/unit/broker/test_input.py compares them.
"""

from typing import TYPE_CHECKING

from gateway.mqtt.message import QOS_BITS, Message
from gateway.mqtt.session import MqttSession

if TYPE_CHECKING:
    from gateway.broker.connection import Connection

PUBLISH1, PUBACK = 0x32, 0x40
QUICK = frozenset({PUBLISH1, PUBACK})
PUBACK_HEAD, NO_PACKET_ID = b"\x40\x02", b"\0\0"


def pass_on(sessions: list[MqttSession], packet: bytes) -> None:
    """Send a packet as it came: QoS 0, not retained, same topic, same dialect."""
    for session in sessions:
        if session.is_behind:
            session.missed0()
            continue
        session.out.append(packet)
        session.sent += 1
        if not session.is_dirty:
            session.host.wake(session)


def took(connection: "Connection", data: bytes, start: int, body: int, end: int) -> bool:
    """Handle a packet of `QUICK` that nothing is special about; False: it takes the long way."""
    session = connection.session
    if session is None or connection.is_traced:
        return False
    if data[start] == PUBACK:
        return end - body == 2 and _took_puback(session, data, body)
    if connection.version == 5 or end - body < 4:
        return False
    return _took_publish1(connection, session, data, (start, body, end))


def _took_publish1(
    connection: "Connection", session: MqttSession, data: bytes, places: tuple[int, int, int]
) -> bool:
    start, body, end = places
    cut = body + 2 + (data[body] << 8 | data[body + 1])
    at = cut + 2
    if at > end or session.acks or session.received:
        return False
    entry = connection.routes.get(data[body + 2 : cut])
    number = data[cut:at]
    if entry is None or (receivers := entry.plain1) is None or number == NO_PACKET_ID:
        return False
    payload = data[at:end]
    message = Message(entry.topic, entry.raw, payload, 1)
    message.head = head = data[start:cut]  # goes on as it came
    outgoing = (message, 1, b"")
    for receiver, qos in receivers:
        if qos:
            receiver.send1(outgoing, head, payload)
        else:
            receiver.send_plain((message, 0, b""))
    connection.broker.messages_in += 1
    session.out.append(PUBACK_HEAD + number)
    if not session.is_dirty:
        session.host.wake(session)
    return True


def _took_puback(session: MqttSession, data: bytes, body: int) -> bool:
    number = data[body] << 8 | data[body + 1]
    outgoing = session.inflight.get(number)
    if outgoing is None or outgoing[1] & QOS_BITS != 1:
        return False
    del session.inflight[number]
    if session.sid:
        session.host.journal.finish(session.sid, number)
    if session.unsent or session.replays:
        session.pump()
    return True
