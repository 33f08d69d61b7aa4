"""Two clients do anything in any order; what each receives is what a model of the standards says it must."""

import os
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import precondition, rule

from gateway.broker.limits import WILL_GRACE_S
from tests.fakes import raw_packets as raw
from tests.fakes.raw_packets import (
    PUBACK,
    PUBCOMP,
    PUBREC,
    PUBREL,
    SUBACK,
    UNSUBACK,
    Prop,
)
from tests.fuzz.machine import QOS, SOMETIMES, TOPICS, WHO, Clients
from tests.fuzz.model_state import Said, Wanted

PLAIN = ("a", "a/b", "a/+", "a/#", "#", "+/b")
SHARED = ("$share/g/a/b", "$share/g/#", "$share/h/a/+")
ALIASES = 2  # that the clients use; the broker allows more


class Machine(Clients):
    """What the clients say."""

    # ---- subscriptions ----

    @precondition(lambda self: any(self.is_on(who) for who in (0, 1)))
    @rule(
        who=WHO,
        wanted=st.lists(
            st.tuples(
                st.sampled_from(PLAIN),
                QOS,
                SOMETIMES,
                SOMETIMES,
                st.sampled_from((0, 0, 1, 2)),
            ),
            min_size=1,
            max_size=2,
            unique_by=lambda one: one[0],  # the same filter twice stands in line once
        ),
        identifier=st.sampled_from((0, 0, 1, 300)),
    )
    def subscribe(
        self, who: int, wanted: list[tuple[str, int, bool, bool, int]], identifier: int
    ) -> None:
        """Subscribe to one filter or two, with any options."""
        client = self.clients[who]
        if not self.is_on(who):
            return
        is_5 = client.version == 5
        filters = []
        for pattern, qos, *asked in wanted:
            no_local, as_published, handling = asked if is_5 else (False, False, 0)
            filters.append((pattern, qos | no_local << 2 | as_published << 3 | handling << 4))
            one = Wanted(qos, no_local, as_published, identifier if is_5 else 0)
            self.model.subscribe(who, pattern, one, handling=handling)
        self.ask(who, filters, identifier if is_5 else 0)

    @precondition(lambda self: any(self.is_on(w) and self.versions[w] == 5 for w in (0, 1)))
    @rule(who=WHO, which=st.sampled_from((0, 1, 2)), qos=QOS, as_published=SOMETIMES)
    def share(self, who: int, which: int, qos: int, as_published: bool) -> None:
        """Join a shared subscription; its identifier tells which it is, so that copies can be told apart."""
        if not self.is_on(who) or self.versions[who] < 5:
            return
        one = Wanted(qos, as_published=as_published, identifier=500 + which)
        self.model.subscribe(who, SHARED[which], one)
        self.ask(who, [(SHARED[which], qos | as_published << 3)], one.identifier)

    def ask(self, who: int, filters: list[tuple[str, int]], identifier: int) -> None:
        client = self.clients[who]
        props = {Prop.SUBSCRIPTION_ID: identifier} if identifier else {}
        number = client.next_number()
        told = raw.subscribe(number, *filters, version=client.version, props=props)
        (answer,) = self.act(who, told)
        granted = tuple(options & 3 for _, options in filters)
        assert (answer.kind, answer.number, answer.codes) == (SUBACK, number, granted)

    @precondition(lambda self: any(self.is_on(who) for who in (0, 1)))
    @rule(who=WHO, pattern=st.sampled_from(PLAIN + SHARED))
    def unsubscribe(self, who: int, pattern: str) -> None:
        """Unsubscribe, perhaps from what was never subscribed."""
        client = self.clients[who]
        if not self.is_on(who):
            return
        was_there = self.model.unsubscribe(who, pattern)
        number = client.next_number()
        (answer,) = self.act(who, raw.unsubscribe(number, pattern, version=client.version))
        codes = (0 if was_there else 0x11,) if client.version == 5 else ()
        assert (answer.kind, answer.number, answer.codes) == (UNSUBACK, number, codes)

    # ---- messages ----

    @precondition(lambda self: any(self.is_on(who) for who in (0, 1)))
    @rule(
        who=WHO,
        topic=st.sampled_from(TOPICS),
        qos=QOS,
        retain=SOMETIMES,
        is_empty=st.sampled_from((False,) * 5 + (True,)),
        expiry_s=st.sampled_from((None, None, 3, 20)),
        with_properties=SOMETIMES,
        with_alias=SOMETIMES,
        is_released=st.booleans(),
    )
    def publish(
        self,
        who: int,
        topic: str,
        qos: int,
        retain: bool,
        is_empty: bool,
        expiry_s: int | None,
        with_properties: bool,
        with_alias: bool,
        is_released: bool,
    ) -> None:
        """Publish; QoS 2 is perhaps left without PUBREL."""
        client = self.clients[who]
        if not self.is_on(who):
            return
        said = self.message(topic, qos, retain=retain, is_empty=is_empty)
        told: dict[int, Any] = {}
        name = topic
        if client.version == 5:
            forwarded = {Prop.CONTENT_TYPE: "text", Prop.USER: [("k", "1"), ("k", "2")]}
            told = forwarded if with_properties else {}
            expires_at = said.expires_at if expiry_s is None else self.model.now + expiry_s
            said = Said(topic, said.payload, qos, retain, expires_at, dict(told))
            if expiry_s is not None:
                told = told | {Prop.MESSAGE_EXPIRY: expiry_s}
            if with_alias:
                known = client.aliases_out.get(topic)
                alias = known or len(client.aliases_out) % ALIASES + 1
                if known is None:
                    client.aliases_out = {
                        other: number
                        for other, number in client.aliases_out.items()
                        if number != alias
                    }
                    client.aliases_out[topic] = alias
                name, told = "" if known else topic, told | {Prop.ALIAS: alias}
        is_known = self.model.publish(said, who)
        number = client.next_number() if qos else 0
        answers = self.act(
            who,
            raw.publish(
                name, said.payload, qos, number, version=client.version, retain=retain, props=told
            ),
        )
        if not qos:
            assert not answers
            return
        (answer,) = answers
        assert (answer.kind, answer.number) == (PUBACK if qos == 1 else PUBREC, number)
        assert answer.code == 0 or (answer.code == 0x10 and not is_known)
        if qos == 2:
            self.model.states[who].received.add(number)
            client.unreleased[number] = (topic, said.payload)
            if is_released:
                self.release(who, number)

    def release(self, who: int, number: int) -> None:
        client = self.clients[who]
        del client.unreleased[number]
        self.model.states[who].received.discard(number)
        (answer,) = self.act(who, raw.ack(PUBREL, number))
        assert (answer.kind, answer.number, answer.code) == (PUBCOMP, number, 0)

    @precondition(lambda self: any(self.is_on(w) and self.clients[w].unreleased for w in (0, 1)))
    @rule(who=WHO, is_released=st.booleans())
    def publish_again(self, who: int, is_released: bool) -> None:
        """Send a QoS 2 PUBLISH again that was not released: nobody receives it twice."""
        client = self.clients[who]
        if not self.is_on(who) or not client.unreleased:
            return
        number, (topic, payload) = next(iter(client.unreleased.items()))
        assert number in self.model.states[who].received
        told = raw.publish(topic, payload, 2, number, version=client.version, dup=True)
        (answer,) = self.act(who, told)
        assert (answer.kind, answer.number) == (PUBREC, number)
        if is_released:
            self.release(who, number)

    @precondition(
        lambda self: any(self.is_on(w) and any(self.model.states[w].open_ids()) for w in (0, 1))
    )
    @rule(who=WHO, which=st.integers(0, 5), count=st.sampled_from((1, 1, 3, 100)))
    def acknowledge(self, who: int, which: int, count: int) -> None:
        """Take one step of one delivery, or of many; in whatever order."""
        for _ in range(count):
            if not self.is_on(who) or not (found := list(self.model.states[who].open_ids())):
                return
            number, due, is_released = found[which % len(found)]
            state = self.model.states[who]
            if is_released:
                del state.released[number]
                told = raw.ack(PUBCOMP, number)
            elif due.qos == 1:
                del state.inflight[number]
                told = raw.ack(PUBACK, number)
            else:
                state.released[number] = state.inflight.pop(number)
                state.owed.add(number)
                told = raw.ack(PUBREC, number)
            assert not self.act(who, told)

    # ---- time ----

    @rule(seconds=st.sampled_from((1, 4, 12, 40)))
    def pass_s(self, seconds: int) -> None:
        """Let time pass: sessions end, messages expire, wills are published."""
        self.model.pass_s(seconds)
        self.bench.pass_s(seconds)
        self.look()


class Durable(Machine):
    """With a journal: now and then the process dies, and another goes on."""

    versions = (5, 5)
    is_durable = True

    @rule()
    def crash(self) -> None:
        """Die, and come back."""
        self.model.crash(WILL_GRACE_S)
        self.bench.crash()
        for client in self.clients:
            client.pipe = None
        self.look()


PHASES = [Phase.generate, *([Phase.shrink] if os.environ.get("FUZZ_SHRINK") else [])]
"""Making an example small takes minutes, and one of 50 steps can be read: only on request."""

COMMON = settings(
    phases=PHASES,
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "60")),
    stateful_step_count=50,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)


class Version311(Machine):
    """Both speak 3.1.1."""

    versions = (4, 4)


class Version5(Machine):
    """Both speak 5.0."""

    versions = (5, 5)


class Mixed(Machine):
    """An old client and a new one."""

    versions = (4, 5)


class DurableMixed(Durable):
    """The same over crashes."""

    versions = (4, 5)


TestVersion311 = Version311.TestCase
TestVersion5 = Version5.TestCase
TestMixed = Mixed.TestCase
TestDurable = Durable.TestCase
TestDurableMixed = DurableMixed.TestCase
TestVersion311.settings = TestVersion5.settings = TestMixed.settings = COMMON
TestDurable.settings = TestDurableMixed.settings = COMMON
