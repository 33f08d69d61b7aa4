"""Who an invitation may be used as: a gateway that is nobody here yet, never somebody who is."""

from typing import Any

import pytest

from gateway.model import DeviceUuid
from gateway.uplink.enrol import Enrolment, EnrolPorts
from tests.fakes.clock import FakeClock
from tests.fakes.sync_nodes import Registry

NODE = DeviceUuid("11111111-0000-4000-8000-000000000001")
ADA = DeviceUuid("22222222-0000-4000-8000-000000000002")
PUMP = DeviceUuid("33333333-0000-4000-8000-000000000003")
CODE = "ABCDEFGHJKMN"


def lists(**more: Any) -> dict[str, Any]:
    return {"uuid": PUMP, "meshblu": {"version": "2.0.0", **more}}


async def enrolment(registry: Registry) -> Enrolment:
    ports = EnrolPorts(registry, registry, registry, lambda uuid, token: token.encode())
    made = Enrolment(ports, FakeClock(), lambda _: None)
    await made.load()
    await made.invite(CODE, ADA)
    return made


async def test_a_gateway_that_is_nobody_here_may_use_an_invitation():
    assert await (await enrolment(Registry())).redeem(NODE, CODE)


async def test_nobody_comes_in_as_the_owner_of_a_child():
    registry = Registry()
    registry.owners[NODE] = ADA
    assert not await (await enrolment(registry)).redeem(ADA, CODE)


@pytest.mark.parametrize(
    "document",
    [
        {"uuid": PUMP, "owner": ADA},
        {"uuid": PUMP, "configureWhitelist": [ADA.upper()]},
        lists(whitelists={"message": {"from": [{"uuid": ADA}]}}),
    ],
)
async def test_nobody_comes_in_as_somebody_whom_a_device_trusts(document: dict[str, Any]):
    registry = Registry()
    registry.documents[PUMP] = document
    made = await enrolment(registry)
    assert not await made.redeem(ADA, CODE)
    assert await made.redeem(NODE, CODE), "the code is not used up by a refusal"


async def test_nobody_comes_in_as_a_device():
    registry = Registry()
    registry.documents[PUMP] = {"uuid": PUMP}
    assert not await (await enrolment(registry)).redeem(PUMP, CODE)
