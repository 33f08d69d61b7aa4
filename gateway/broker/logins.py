"""Guessing is slowed without locking anybody out: budgets of failed logins per address and per identity.

An address that fails too often waits, except for identities that logged in from it before.  An identity that is
guessed too often is closed only to addresses that have failed themselves, so its owner, elsewhere, still gets in.
Who logged in from an address before has a budget there that nobody else can spend, wherever others fail and as
whom: only guesses of this identity from this very address count, and they never close it for longer than the
budget's drip of one try in three seconds.
"""

import ipaddress
from collections import OrderedDict

FAILURES_PER_ADDRESS = 20
FAILURES_PER_IDENTITY = 60
FAILURES_WHERE_KNOWN = 20  # as an identity, from an address where it logged in before
REFILL_S = 60.0  # a spent budget is whole again after this
REMEMBERED = 4096
IPV6_SITE_BITS = 64  # one customer's; each machine in it makes up as many addresses as it likes


def source_of(address: str) -> str:
    """Return what counts as one source: an IPv4 address, or the network an IPv6 address is of."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.strip("[]").partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{ipaddress.IPv6Address(int(parsed) >> IPV6_SITE_BITS << IPV6_SITE_BITS)}/64"


class Budgets:
    """Failures per key, draining evenly over REFILL_S."""

    def __init__(self, allowed: int) -> None:
        self._allowed = allowed
        self._spent: OrderedDict[str, tuple[float, float]] = (
            OrderedDict()
        )  # key -> (failures, when)

    def spent(self, key: str, now: float) -> float:
        """Return the failures still held against a key."""
        amount, when = self._spent.get(key, (0.0, now))
        return max(0.0, amount - (now - when) * self._allowed / REFILL_S)

    def is_empty(self, key: str, now: float) -> bool:
        """Return whether the key has to wait."""
        return self.spent(key, now) > self._allowed - 1

    def spend(self, key: str, now: float) -> None:
        """Hold one more failure against a key; the longest untouched key is forgotten first."""
        self._spent[key] = (min(self.spent(key, now) + 1, self._allowed), now)
        self._spent.move_to_end(key)
        if len(self._spent) > REMEMBERED:
            self._spent.popitem(last=False)


class Logins:
    """Judges whether a login may be tried at all."""

    def __init__(self) -> None:
        self._addresses = Budgets(FAILURES_PER_ADDRESS)
        self._identities = Budgets(FAILURES_PER_IDENTITY)
        self._where_known = Budgets(FAILURES_WHERE_KNOWN)
        self._known: set[int] = set()  # hashes of (source, identity): a few bytes each
        self._known_before: set[int] = set()
        self.failed = 0
        self.refused = 0

    def may_try(self, address: str, identity: str, now: float) -> bool:
        """Return whether this address may try to log in as this identity now."""
        source = source_of(address)
        if self._is_known(source, identity):
            is_allowed = not self._where_known.is_empty(_pair(source, identity), now)
        elif self._addresses.is_empty(source, now):
            is_allowed = False
        else:
            is_guessed = self._identities.is_empty(identity, now)
            is_allowed = not is_guessed or self._addresses.spent(source, now) <= 0
        if not is_allowed:
            self.refused += 1
        return is_allowed

    def failure(self, address: str, identity: str, now: float) -> None:
        """Note a refused login."""
        self.failed += 1
        source = source_of(address)
        self._addresses.spend(source, now)
        self._identities.spend(identity, now)
        if self._is_known(source, identity):
            self._where_known.spend(_pair(source, identity), now)

    def success(self, address: str, identity: str) -> None:
        """Note a login that was right."""
        self._known.add(hash((source_of(address), identity)))
        if len(self._known) >= REMEMBERED:  # what was known before these is forgotten at once
            self._known, self._known_before = set(), self._known

    def _is_known(self, source: str, identity: str) -> bool:
        pair = hash((source, identity))
        return pair in self._known or pair in self._known_before


def _pair(source: str, identity: str) -> str:
    return f"{source} {identity}"
