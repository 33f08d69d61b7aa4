"""What the table or a claim refused: counted always, logged once a minute per identity and topic."""

import logging
from collections import OrderedDict

log = logging.getLogger(__name__)

QUIET_S = 60.0
REMEMBERED = 1024


class Refusals:
    """Counts and logs."""

    def __init__(self) -> None:
        self.total = 0
        self._last: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()

    def note(self, identity: str, topic: str, reason: str, now: float) -> bool:
        """Count one refusal; return whether it was logged."""
        self.total += 1
        key = (identity, topic[:128])
        when, unsaid = self._last.get(key, (-QUIET_S, 0))
        if now - when < QUIET_S:
            self._last[key] = (when, unsaid + 1)
            return False
        self._last[key] = (now, 0)
        self._last.move_to_end(key)
        if len(self._last) > REMEMBERED:
            self._last.popitem(last=False)
        log.warning(
            "refused",
            extra={
                "identity": identity,
                "topic": key[1],
                "reason": reason,
                "repeated": unsaid,
                "code": "GW-1107",
            },
        )
        return True
