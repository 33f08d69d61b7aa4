"""Two clients beside a model of the broker: how they come, go and look; the rules of what they say are `test_model`'s."""

from typing import Any

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.fakes import raw_packets as raw
from tests.fakes.raw_packets import (
    CONNACK,
    DISCONNECT,
    PUBLISH,
    PUBREL,
    Prop,
    RawWill,
)
from tests.fakes.raw_pipe import Pipe, PipeBroker
from tests.fakes.raw_reading import Packet
from tests.fuzz.model import ModelBroker, Said

TOPICS = ("a", "a/b", "a/c", "b")
KEPT_3_S = 7 * 86_400  # what our broker keeps a session of MQTT 3 for
WHO = st.sampled_from((0, 1))
QOS = st.sampled_from((0, 1, 2))
SOMETIMES = st.sampled_from((False, False, True))


class Client:
    """A client's own knowledge of its connection."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.pipe: Pipe | None = None
        self.answers: list[Packet] = []
        self.aliases_in: dict[int, str] = {}
        self.aliases_out: dict[str, int] = {}
        self.most_aliases = 0
        self.number = 0
        self.unreleased: dict[int, tuple[str, bytes]] = {}  # QoS 2 that it has not released

    def next_number(self) -> int:
        self.number = self.number % 65535 + 1
        return self.number


class Clients(RuleBasedStateMachine):
    """Two clients of one broker that come and go; a subclass says which versions are spoken."""

    versions = (4, 4)
    is_durable = False

    def __init__(self) -> None:
        super().__init__()
        self.bench = PipeBroker(is_durable=self.is_durable)
        self.model = ModelBroker()
        self.model.now = self.bench.clock_s
        self.clients = [Client(version) for version in self.versions]
        self.count = 0

    def teardown(self) -> None:
        self.bench.close()

    # ---- how it is done ----

    def is_on(self, who: int) -> bool:
        return who in self.model.states and self.model.states[who].is_on

    def act(self, who: int, *packets: bytes) -> list[Packet]:
        """Send packets, check everything that everybody receives, return the answers to these."""
        pipe = self.clients[who].pipe
        assert pipe is not None
        self.bench.send(pipe, *packets)
        self.look()
        found, self.clients[who].answers = self.clients[who].answers, []
        return found

    def look(self) -> None:
        """Check what has come."""
        for who, client in enumerate(self.clients):
            if client.pipe is None or not self.is_on(who):
                continue
            for packet in client.pipe.packets():
                if packet.kind == PUBLISH:
                    self.model.delivered(who, packet, self.topic_of(client, packet))
                elif packet.kind == PUBREL:
                    self.model.released(who, packet)
                else:
                    client.answers.append(packet)
        self.model.settled()

    @staticmethod
    def topic_of(client: Client, packet: Packet) -> str:
        """Return a topic, with aliases resolved."""
        alias = packet.properties.get(Prop.ALIAS)
        if alias is None:
            return packet.topic
        assert 0 < alias <= client.most_aliases, f"{packet} for {client.most_aliases} aliases"
        if packet.topic:
            client.aliases_in[alias] = packet.topic
        return client.aliases_in[alias]

    def message(self, topic: str, qos: int, *, retain: bool, is_empty: bool) -> Said:
        self.count += 1
        return Said(topic, b"" if is_empty else b"%d" % self.count, qos, retain)

    # ---- connections ----

    @initialize(clean=st.booleans())
    def both_come(self, clean: bool) -> None:
        for who in (0, 1):
            self.come(who, clean, 30, None, 0, None, 0, None)

    @rule(
        who=WHO,
        clean=SOMETIMES,
        expiry_s=st.sampled_from((0, 10, 30)),
        window=st.sampled_from((None, None, 1, 3)),
        aliases=st.sampled_from((0, 0, 1, 3)),
        will=st.none() | st.tuples(st.sampled_from(TOPICS), QOS, SOMETIMES),
        delay_s=st.sampled_from((0, 0, 5, 15)),
        will_expiry_s=st.sampled_from((None, None, 3)),
    )
    def come(
        self,
        who: int,
        clean: bool,
        expiry_s: int,
        window: int | None,
        aliases: int,
        will: tuple[str, int, bool] | None,
        delay_s: int,
        will_expiry_s: int | None,
    ) -> None:
        """Connect, perhaps while still connected."""
        client, old = self.clients[who], self.clients[who].pipe
        is_5 = client.version == 5
        props: dict[int, Any] = {}
        if is_5:
            props = {Prop.SESSION_EXPIRY: expiry_s, Prop.ALIAS_MAXIMUM: aliases}
            if window is not None:
                props[Prop.RECEIVE_MAXIMUM] = window
        kept_s = expiry_s if is_5 else 0 if clean else KEPT_3_S
        was_on = self.is_on(who)
        is_present = self.model.connect(
            who,
            client.version,
            clean=clean,
            expiry_s=kept_s,
            window=window if is_5 and window is not None else 65_535,
        )
        state = self.model.states[who]
        made = None
        if will is not None:
            topic, qos, retain = will
            said = self.message(topic, qos, retain=retain, is_empty=False)
            state.will, state.will_delay_s = said, delay_s if is_5 else 0
            state.will_expiry_s = will_expiry_s if is_5 else None
            told_of = {Prop.WILL_DELAY: delay_s}
            if will_expiry_s is not None:
                told_of[Prop.MESSAGE_EXPIRY] = will_expiry_s
            made = RawWill(topic, said.payload, qos, retain, told_of)
        client.aliases_in, client.aliases_out, client.most_aliases = {}, {}, aliases
        client.pipe = self.bench.pipe(client.version)
        told = raw.connect(
            f"client-{who}", version=client.version, clean=clean, will=made, props=props
        )
        if not is_present:
            client.unreleased.clear()
        (answer,) = self.act(who, told)
        assert (answer.kind, answer.code, answer.is_present) == (CONNACK, 0, is_present)
        if was_on and old is not None:
            self.check_taken_over(old)

    @staticmethod
    def check_taken_over(old: Pipe) -> None:
        """Check that the one before was told and closed; what it was sent until then was checked already, or is void."""
        assert not old.is_open
        if old.version == 5:
            last = old.packets()[-1]
            assert (last.kind, last.code) == (DISCONNECT, 0x8E)

    @precondition(lambda self: any(self.is_on(who) for who in (0, 1)))
    @rule(
        who=WHO,
        how=st.sampled_from(
            ("cut", "cut", "left", "left with will", "left with fault", "wrong", "end")
        ),
        expiry_s=st.sampled_from((None, None, 5, 60)),
    )
    def go(self, who: int, how: str, expiry_s: int | None) -> None:
        """End a connection in some way."""
        client, pipe = self.clients[who], self.clients[who].pipe
        if not self.is_on(who) or pipe is None:
            return
        is_5 = client.version == 5
        state = self.model.states[who]
        changed = expiry_s if is_5 and state.expiry_s and how.startswith("left") else None
        props = None if changed is None else {Prop.SESSION_EXPIRY: changed}
        if how == "left":
            self.bench.send(pipe, raw.disconnect(None if props is None else 0, props=props))
        elif how.startswith("left") and is_5:
            code = 0x04 if how == "left with will" else 0x80
            self.bench.send(pipe, raw.disconnect(code, props=props))
        elif how == "wrong":
            changed = None
            self.bench.send(pipe, b"\x36\x02\x00\x00")
        else:
            changed = None
            self.bench.within(pipe.end if how == "end" else pipe.cut)
        assert not pipe.is_open
        self.model.gone(who, is_with_will=how != "left", expiry_s=changed)
        self.look()
