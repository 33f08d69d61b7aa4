"""Guessing is slowed without locking anybody out: budgets of failed logins per address and per identity.

An address that fails too often waits, except for identities that logged in from it before.  An identity that is
guessed too often is closed only to addresses that have failed themselves, so its owner, elsewhere, still gets in.
"""

from collections import OrderedDict

FAILURES_PER_ADDRESS = 20
FAILURES_PER_IDENTITY = 60
REFILL_S = 60.0  # a spent budget is whole again after this
REMEMBERED = 4096


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
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()
        self.failed = 0
        self.refused = 0

    def may_try(self, address: str, identity: str, now: float) -> bool:
        """Return whether this address may try to log in as this identity now."""
        known = (address, identity) in self._known
        if not known and self._addresses.is_empty(address, now):
            self.refused += 1
            return False
        if self._identities.is_empty(identity, now) and self._addresses.spent(address, now) >= 1:
            self.refused += 1
            return False
        return True

    def failure(self, address: str, identity: str, now: float) -> None:
        """Note a refused login."""
        self.failed += 1
        self._addresses.spend(address, now)
        self._identities.spend(identity, now)

    def success(self, address: str, identity: str) -> None:
        """Note a login that was right."""
        self._known[(address, identity)] = None
        self._known.move_to_end((address, identity))
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
