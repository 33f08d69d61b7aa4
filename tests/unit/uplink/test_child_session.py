"""A fault while one child's work is done ends that session alone."""

from typing import Any, cast

from gateway.model import DeviceUuid
from gateway.uplink.child_session import ChildSession, SessionPorts
from gateway.uplink.protocol import effects as fx
from gateway.uplink.protocol.frames import Credit
from gateway.uplink.protocol.parent import ParentFacts, ParentMachine
from tests.fakes.clock import FakeClock

NODE = DeviceUuid("00000000-0000-4000-8000-000000000001")


class Broken:
    """A store whose every answer is a bug."""

    async def ended(self, *_: object) -> None:
        raise KeyError("a bug")


class Broker:
    def __init__(self) -> None:
        self.kicked: list[str] = []

    def kick(self, _session: object, reason: str) -> None:
        self.kicked.append(reason)


async def test_a_fault_in_one_childs_work_ends_its_session_and_not_the_server() -> None:
    broker: Any = Broker()
    nothing = cast("Any", None)
    ports = SessionPorts(
        broker,
        cast("Any", Broken()),
        nothing,
        nothing,
        FakeClock(),
        nothing,
        "mesh",
        NODE,
        lambda: None,
    )
    machine = ParentMachine(NODE, ParentFacts("mesh", Credit(1, 1, 1)), lambda _: None)
    session = ChildSession(ports, nothing, machine)
    session._perform(fx.Finish("a" * 32, 1, {}))
    await session.work()
    assert len(broker.kicked) == 1
