"""What a topic means for somebody who publishes to it: refused, a claim's, or an ordinary topic's receivers."""

from typing import TYPE_CHECKING

from gateway.broker.access import MESH_ROWS, Row, Rule, may_publish, row_of
from gateway.broker.connection import Connection
from gateway.model.device import is_uuid
from gateway.mqtt.filters import is_within_limits
from gateway.mqtt.packets import topic_name
from gateway.mqtt.ports import Principal, Publish
from gateway.mqtt.topics import Entry

if TYPE_CHECKING:
    from gateway.broker.server import Broker

REMEMBERED_BYTES = 256  # longer topics are judged anew each time instead of being kept


def live_refusal(entry: Entry, publish: Publish) -> str | None:
    """Return why a retained message may not be: a retained command would click again at every start."""
    if publish.retain and not entry.may_retain:
        return "a retained command would be done again at every start"
    return None


def resolve(connection: Connection, raw: bytes) -> Entry:
    """Return what a topic means for this client, remembered until receivers or access change."""
    topic = topic_name(raw)
    if is_uuid(topic):
        topic = topic.lower()
    entry = judge(connection.broker, connection, topic)
    if entry.refusal is None and len(raw) <= REMEMBERED_BYTES:
        connection.remember(raw, entry)
    return entry


def judge(broker: "Broker", connection: Connection, topic: str) -> Entry:
    """Return the entry of a topic by table and claims."""
    return judge_topic(broker, connection.principal, topic)


def judge_topic(broker: "Broker", principal: Principal, topic: str) -> Entry:
    """Return what a topic means for somebody."""
    verdict = may_publish(principal, topic)
    if verdict.refusal is not None:
        return _refused(topic, verdict.refusal)
    if not is_within_limits(topic):
        return _refused(topic, "too long or too deep")
    row = row_of(topic)
    handler = broker.claims.find(topic) if verdict.rule is not Rule.UNCLAIMED else None
    if verdict.rule is Rule.MESH:
        handler = broker.claims.uuid_publish
    if handler is None and verdict.rule in {Rule.MESH, Rule.JOB, Rule.OWN_SYNC}:
        return _refused(topic, "nobody takes it")
    if handler is None and verdict.rule is not Rule.WRITE_LIVE:
        return broker.routing.cache.get(topic)
    if handler is None:
        return _live_only(broker.routing.cache.get(topic))
    entry = Entry(topic, [], may_retain=verdict.rule is not Rule.WRITE_LIVE)
    entry.handler = handler
    entry.is_mesh = row in MESH_ROWS or row is Row.REQUEST
    return entry


def _live_only(entry: Entry) -> Entry:
    """Mark a shared entry: nobody but the node may retain on this topic, and the node does not come here."""
    entry.may_retain = False
    return entry


def _refused(topic: str, reason: str) -> Entry:
    entry = Entry(topic, [])
    entry.refusal = reason
    return entry
