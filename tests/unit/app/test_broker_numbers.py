"""The broker's metrics: every counter is there, and labels tell listeners and reasons apart."""

import re
from types import SimpleNamespace
from typing import Any, cast

from gateway.app.broker_numbers import COUNTERS, GAUGES, add_broker
from gateway.broker.server import Broker
from gateway.runtime.metrics import Metrics
from tests.fakes.mqtt_broker import RawClient, authenticate, connect, publish, running

TOLD_BY_LABEL = {"connections", "refused", "refused_connects"}
FOR_SYS_ALONE = {"most_clients"}


def metrics_of(broker: Broker) -> Metrics:
    metrics = Metrics()
    parts = SimpleNamespace(mesh=SimpleNamespace(broker=broker))
    add_broker(metrics, cast("Any", parts))
    return metrics


def test_every_statistic_of_the_broker_is_a_metric() -> None:
    told = {*GAUGES, *COUNTERS, *TOLD_BY_LABEL, *FOR_SYS_ALONE}
    assert set(Broker(authenticate).stats()) == told


async def test_connections_are_told_apart_by_listener_and_refusals_by_reason() -> None:
    async with running() as (broker, port):
        client = await RawClient.login(port, "reader")
        client.send(publish("home/x", b"1", 1))
        await client.read()
        burglar = await RawClient.open(port)
        burglar.send(connect("reader", password="guess"))
        await burglar.read()
        text = metrics_of(broker).exposition()
    assert 'gateway_broker_connections{listener="test"} 1\n' in text
    assert 'gateway_broker_refused_total{reason="no role grants writing it"} 1\n' in text
    assert 'gateway_broker_refused_connects_total{reason="bad user name or password"} 1\n' in text
    assert "gateway_broker_failed_logins_total 1\n" in text
    assert "gateway_broker_most_connections 1000\n" in text


async def test_each_family_has_help_and_type_and_the_journals_wait_for_a_journal() -> None:
    async with running() as (broker, _):
        text = metrics_of(broker).exposition()
    helped = re.findall(r"^# HELP (\S+) \S", text, re.MULTILINE)
    typed = re.findall(r"^# TYPE (\S+) (?:counter|gauge)$", text, re.MULTILINE)
    assert helped == typed
    assert len(helped) == len(set(helped)) > 35
    assert "\ngateway_broker_journal" not in text
