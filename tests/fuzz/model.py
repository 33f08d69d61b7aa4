"""A small broker of plain dictionaries that says who must receive what; written from the standards, for comparison.

It knows what is due to each client and checks every packet against it.  Where a standard leaves a choice (which
member of a shared subscription, the order of retained messages) it takes whatever comes and holds it to that.
"""

from dataclasses import replace
from math import inf

from tests.fakes.raw_packets import PUBREL
from tests.fakes.raw_reading import Packet
from tests.fuzz.model_state import WINDOW, Due, Said, Shared, State, Wanted, is_match


class ModelBroker:
    """Sessions by client, retained messages, and what is due."""

    def __init__(self) -> None:
        self.now = 0.0
        self.states: dict[int, State] = {}
        self.retained: dict[str, tuple[Said, int]] = {}
        self.floating: list[Shared] = []
        self.urgent: list[Shared] = []  # of these, somebody must have it when the act is over
        self.lost: dict[int, State] = {}  # after a crash: no session, but its will
        self._batch = 0

    # ---- acts ----

    def connect(self, who: int, version: int, *, clean: bool, expiry_s: float, window: int) -> bool:
        """Begin or resume a session; return whether it was there."""
        before = self.states.get(who)
        if before is not None and before.is_on:
            self.gone(who, is_with_will=True)
        if clean:
            self.end(who)
        state = self.states.get(who)
        is_present = state is not None
        if state is None:
            state = self.states[who] = State(version)
        state.window, state.expiry_s, state.until = min(window, WINDOW), expiry_s, None
        state.is_kept |= expiry_s > 0
        state.will, state.will_at = None, None
        self.lost.pop(who, None)
        state.owed = set(state.released)
        return is_present

    def gone(self, who: int, *, is_with_will: bool, expiry_s: float | None = None) -> None:
        """End a connection."""
        state = self.states[who]
        if expiry_s is not None:
            state.expiry_s = expiry_s
        state.until = self.now + state.expiry_s
        state.due0.clear()
        state.again = [*state.inflight.items(), *state.again]
        state.inflight.clear()
        if not is_with_will or state.will is None:
            state.will = None
        elif state.will_delay_s and state.expiry_s:
            state.will_at = self.now + min(state.will_delay_s, state.expiry_s)
        if not state.expiry_s:
            self.end(who)
        elif state.will is not None and state.will_at is None:
            self._publish_will(state, who)

    def _publish_will(self, state: State, publisher: int | None) -> None:
        will, state.will, state.will_at = state.will, None, None
        assert will is not None
        if state.will_expiry_s is not None:
            will = replace(will, expires_at=self.now + state.will_expiry_s)
        self.publish(will, publisher)

    def end(self, who: int) -> None:
        """End a session: its will is published, its share goes to others."""
        state = self.states.pop(who, None)
        if state is None:
            return
        for one in self.floating:
            if one.members.pop(who, None) is not None:  # it may have waited for this one
                one.members |= self._members(one.pattern)
        for due in [*state.inflight.values(), *(due for _, due in state.again)]:
            if due.shared and due.qos == 1:
                members = self._members(due.shared)
                self.floating.append(Shared(due.shared, due.said, members))
        if state.will is not None:
            self._publish_will(state, None)

    def crash(self, grace_s: float) -> None:
        """Lose all connections and what no journal holds; wills come after a time of grace."""
        for lost in self.lost.values():
            lost.will_at = self.now + max(grace_s, lost.will_delay_s)
        for who, state in list(self.states.items()):
            state.until = (
                self.now + state.expiry_s
            )  # what had run off of it is not noted by the second
            state.again = [
                *state.inflight.items(),
                *state.again,
                *((None, due) for due in state.due),
            ]
            state.inflight, state.due, state.due0 = {}, [], []
            for _, due in state.again:
                due.is_found = True
                due.is_optional |= due.said.expires_at <= self.now
            if state.will is not None:
                state.will_at = self.now + max(grace_s, state.will_delay_s)
            if not state.is_kept:
                if state.will is not None:
                    self.lost[who] = state
                del self.states[who]
        self.pass_s(0)

    def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        for state in self.states.values():
            for due in state.due:
                due.is_expired |= due.said.expires_at <= self.now
            for _, due in state.again:
                due.is_optional |= due.is_found and due.said.expires_at <= self.now
        self.floating = [one for one in self.floating if one.said.expires_at > self.now]
        batch = self._batch + 1
        for who, state in list(self.states.items()):
            if state.until is not None and state.until <= self.now:
                self.end(who)
        for who, state in self.states.items():
            if state.will_at is not None and state.will_at <= self.now and state.will is not None:
                self._publish_will(state, who)
        for who, lost in list(self.lost.items()):
            if lost.will_at is not None and lost.will_at <= self.now:
                del self.lost[who]
                self._publish_will(lost, None)
        for state in self.states.values():  # wills of one moment come in any order
            for due in (*state.due, *state.due0):
                due.batch = min(due.batch, batch)

    def subscribe(self, who: int, pattern: str, wanted: Wanted, *, handling: int = 0) -> None:
        """Subscribe; retained messages become due."""
        state = self.states[who]
        is_new = pattern not in state.subscriptions
        state.subscriptions[pattern] = wanted
        self._batch += 1
        if pattern.startswith("$share/") or handling == 2 or (handling == 1 and not is_new):
            return
        for topic, (said, publisher) in self.retained.items():
            if is_match(pattern, topic) and said.expires_at > self.now:
                qos = min(said.qos, wanted.qos)
                ids = (wanted.identifier,) if wanted.identifier else ()
                is_own = wanted.no_local and publisher == who  # the standard leaves it open
                self._add(state, Due(said, qos, True, (ids,), self._batch, is_own))

    def unsubscribe(self, who: int, pattern: str) -> bool:
        """Unsubscribe; return whether there was such a filter."""
        return self.states[who].subscriptions.pop(pattern, None) is not None

    def publish(self, said: Said, publisher: int | None) -> bool:
        """Make a message due to everybody who must have it; return whether anybody matches."""
        if said.retain:
            self.retained.pop(said.topic, None)
            if said.payload:
                self.retained[said.topic] = (said, -1 if publisher is None else publisher)
        self._batch += 1
        found = False
        for who, state in self.states.items():
            plain = [
                wanted
                for pattern, wanted in state.subscriptions.items()
                if not pattern.startswith("$share/") and is_match(pattern, said.topic)
            ]
            found |= bool(plain)
            if plain and not (who == publisher and all(wanted.no_local for wanted in plain)):
                self._add(state, self._joined(said, plain, is_own=who == publisher))
        patterns = {
            pattern
            for state in self.states.values()
            for pattern in state.subscriptions
            if pattern.startswith("$share/") and is_match(pattern.split("/", 2)[2], said.topic)
        }
        for pattern in sorted(patterns):
            self._share(pattern, said)
        return found or bool(patterns)

    def _joined(self, said: Said, plain: list[Wanted], *, is_own: bool) -> Due:
        """Return the one delivery of overlapping subscriptions; which options win, the standard leaves open."""
        every = tuple(sorted(wanted.identifier for wanted in plain if wanted.identifier))
        others = [wanted for wanted in plain if not (is_own and wanted.no_local)]
        some = tuple(sorted(wanted.identifier for wanted in others if wanted.identifier))
        kept = {wanted.as_published for wanted in plain}
        retain = said.retain and True in kept if len(kept) == 1 or not said.retain else None
        qos = min(said.qos, max(wanted.qos for wanted in plain))
        return Due(said, qos, retain, (every, some), self._batch)

    def _share(self, pattern: str, said: Said) -> None:
        members = {
            who: wanted
            for who, wanted in self._members(pattern).items()
            if self.states[who].is_on or min(wanted.qos, said.qos)
        }
        if not members:
            return
        one = Shared(pattern, said, members)
        self.floating.append(one)
        if any(self.states[who].has_room for who in members):
            self.urgent.append(one)

    def _members(self, pattern: str) -> dict[int, Wanted]:
        return {
            who: state.subscriptions[pattern]
            for who, state in self.states.items()
            if pattern in state.subscriptions
        }

    @staticmethod
    def _add(state: State, due: Due) -> None:
        if due.qos:
            state.due.append(due)
        elif state.is_on:
            state.due0.append(due)

    # ---- what came ----

    def delivered(self, who: int, packet: Packet, topic: str) -> None:
        """Check a PUBLISH against what is due."""
        state = self.states[who]
        if packet.dup:
            self._delivered_again(who, packet, topic)
            return
        due = self._find(state, packet, topic) or self._find_shared(who, packet, topic)
        assert due is not None, f"client {who} was sent {packet}, which is not due: {state}"
        if packet.qos:
            assert all(due.is_optional for _, due in state.again), f"{packet} before {state.again}"
            taken = {*state.inflight, *state.released, *(number for number, _ in state.again)}
            assert packet.number not in taken, f"the id of {packet} is in use"
            state.inflight[packet.number] = due
            self._check_window(state)

    @staticmethod
    def _check_window(state: State) -> None:
        assert state.unfinished <= state.window, f"more in flight than {state.window}: {state}"

    def _delivered_again(self, who: int, packet: Packet, topic: str) -> None:
        state = self.states[who]
        for number, due in list(state.again):
            if number in {None, packet.number} and due.fits(packet, topic, self.now, state.version):
                state.again.remove((number, due))
                break
            if not due.is_optional:
                break
            state.again.pop(0)
        else:
            number, due = 0, None
        if number not in {None, packet.number}:
            found = self._find_shared(who, packet, topic)  # it was queued when the broker crashed
            assert found is not None, f"{packet} came instead of {state.again}"
            due = found
        assert due is not None
        taken = {*state.inflight, *state.released}
        assert packet.number not in taken, f"the id of {packet} is in use"
        state.inflight[packet.number] = due
        due.is_found = False
        self._check_window(state)

    def _find(self, state: State, packet: Packet, topic: str) -> Due | None:
        every = state.due if packet.qos else state.due0
        waiting = [due for due in every if not due.is_expired]
        first = next((due.batch for due in waiting if not due.is_optional), inf)
        for due in waiting:
            if due.batch <= first and due.fits(packet, topic, self.now, state.version):
                every.remove(due)
                return due
        return None

    def _find_shared(self, who: int, packet: Packet, topic: str) -> Due | None:
        for one in self.floating:
            wanted = one.members.get(who)
            if wanted is None:
                continue
            ids = (wanted.identifier,) if wanted.identifier else ()
            retain = one.said.retain and wanted.as_published
            qos = min(wanted.qos, one.said.qos)
            due = Due(one.said, qos, retain, (ids,), 0, shared=one.pattern)
            if due.fits(packet, topic, self.now, self.states[who].version):
                self.floating.remove(one)
                return due
        return None

    def released(self, who: int, packet: Packet) -> None:
        """Check a PUBREL."""
        state = self.states[who]
        assert packet.kind == PUBREL
        assert packet.number in state.owed, f"client {who} was sent {packet}, which is not due"
        state.owed.discard(packet.number)

    def settled(self) -> None:
        """Check that nothing is missing, now that the broker is idle."""
        for one in self.urgent:
            assert not any(other is one for other in self.floating), f"nobody was sent {one}"
        self.urgent.clear()
        for who, state in self.states.items():
            if not state.is_on:
                continue
            missing = [due for due in state.due0 if not due.is_optional]
            assert not missing, f"client {who} was not sent {missing}"
            state.due0.clear()
            assert not state.owed, f"client {who} was not sent PUBREL for {state.owed}"
            if state.unfinished < state.window:
                waiting = [*state.due, *(due for _, due in state.again)]
                missing = [due for due in waiting if not (due.is_optional or due.is_expired)]
                assert not missing, f"client {who} was not sent {missing}; it has {state}"
                state.due.clear()
                state.again.clear()
