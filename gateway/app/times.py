"""When something was observed, in wall time: from the anchors of the boot that it was stamped in."""

from collections import OrderedDict

from gateway.model import Anchor, Clock, Stamp

MOST_BOOTS = 4096  # of this node and of its children; the longest unused is read from disk again


class Times:
    """Matches `observed_ms` of the router: the newest anchor of each boot, the running one by the clock itself."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._anchors: OrderedDict[str, Anchor] = OrderedDict()

    def learn(self, anchor: Anchor) -> None:
        """Use an anchor from now on for its boot, if it is newer than the one known."""
        known = self._anchors.get(anchor.boot_id)
        if known is None or known.uptime_ms <= anchor.uptime_ms:
            self._anchors[anchor.boot_id] = anchor
            self._anchors.move_to_end(anchor.boot_id)
            while len(self._anchors) > MOST_BOOTS:
                self._anchors.popitem(last=False)

    def observed_ms(self, stamp: Stamp) -> int | None:
        """Return the wall time (epoch ms) of a stamp, None where its boot has no anchor yet."""
        anchor = self._anchors.get(stamp.boot_id)
        if anchor is not None:
            return anchor.wall_of(stamp.uptime_ms)
        if stamp.boot_id == self._clock.boot_id:
            return self._clock.wall_ms() - (self._clock.uptime_ms() - stamp.uptime_ms)
        return None
