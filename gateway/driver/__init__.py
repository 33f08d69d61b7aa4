"""What a driver author imports, together with `gateway.model` and `gateway.errors`.

A driver is a pure codec of about a hundred lines: the host owns the port, turns, time-outs, reconnects and
restarts.  `gateway.driver.conformance` is a test suite that any driver can run on itself.
"""

from gateway.driver.contract import (
    CONTRACT,
    Addressed,
    Advert,
    Codec,
    Counted,
    Driver,
    LinkKind,
    Match,
    Request,
    counters_of,
)

__all__ = [
    "CONTRACT",
    "Addressed",
    "Advert",
    "Codec",
    "Counted",
    "Driver",
    "LinkKind",
    "Match",
    "Request",
    "counters_of",
]
