"""What a driver author imports, together with `gateway.model` and `gateway.errors`.

A driver is a pure codec of about a hundred lines: the host owns the port, turns, time-outs, reconnects and
restarts.  `gateway.driver.conformance` is a test suite that any driver can run on itself.
"""

from gateway.driver.contract import CONTRACT, Advert, Codec, Driver, LinkKind, Match, Request

__all__ = ["CONTRACT", "Advert", "Codec", "Driver", "LinkKind", "Match", "Request"]
