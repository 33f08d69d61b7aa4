"""Child and parent over a real broker, real paho and real SQLite: outages, restarts, refusals, commands."""

import shutil

import pytest

from gateway.errors import BadTokenError
from gateway.model import Command, DeviceUuid, Outcome
from gateway.uplink.certificate import own_fingerprint, server_context
from gateway.uplink.invitation import new_invite
from gateway.uplink.join import join
from tests.fakes.sync_nodes import EDGE, OWNER, SENSOR, SITE, Edge, Registry, Site
from tests.fakes.waiting import eventually

STRANGER = DeviceUuid("00000000-0000-4000-8000-0000000000f0")


@pytest.fixture
async def site(tmp_path):
    site = Site(tmp_path / "site", Registry())
    await site.start()
    yield site
    await site.stop()


@pytest.fixture
async def edge(tmp_path, site):
    await joined(site, tmp_path / "edge")
    edge = Edge(tmp_path / "edge")
    await edge.start()
    yield edge
    await edge.stop()


async def joined(site, state_dir, pin=None):
    invite = new_invite("127.0.0.1", site.port, pin)
    await site.server.enrolment.invite(invite.code, OWNER)
    return await join(invite.line, state_dir, EDGE, "edge")


def bodies(site):
    return [message.body.decode() for message in site.arrived]


async def test_readings_arrive_in_order_from_a_device_that_keeps_its_uuid(site, edge):
    said = edge.say(500)
    await eventually(lambda: len(site.arrived) == 500)
    assert bodies(site) == said
    assert {message.sender for message in site.arrived} == {SENSOR}
    assert {message.source for message in site.arrived} == {f"child:{EDGE}"}


async def test_the_device_is_created_above_with_the_owner_of_the_invitation(site, edge):
    edge.say(1)
    await eventually(lambda: site.arrived)
    document = site.registry.documents[SENSOR]
    assert document["owner"] == OWNER
    assert document["name"] == "greenhouse"
    readers = document["meshblu"]["whitelists"]["broadcast"]["sent"]
    assert readers == [{"uuid": OWNER}, {"uuid": EDGE}]


async def test_what_is_said_while_the_line_is_cut_arrives_once_and_late_when_it_is_mended(
    site, edge
):
    await eventually(lambda: edge.uplink.is_online)
    edge.uplink.cut(True)
    await eventually(lambda: edge.uplink.state()["state"] == "cut")
    said = edge.say(300)
    edge.uplink.cut(False)
    await eventually(lambda: len(site.arrived) == 300)
    assert bodies(site) == said
    assert all(message.late for message in site.arrived)
    await eventually(lambda: edge.spool.usage().records == 0)


async def test_a_restarted_parent_gets_each_reading_once(site, edge):
    said = []
    for _ in range(3):
        said += edge.say(100)
        await eventually(lambda: len(site.arrived) > 0)
        await site.stop()
        said += edge.say(100)
        await site.start()
    await eventually(lambda: len(site.arrived) >= len(said), seconds=10)
    assert sorted(bodies(site)) == sorted(said)


async def test_a_restarted_gateway_sends_what_its_former_start_left(site, edge):
    edge.uplink.cut(True)
    said = edge.say(50)
    former = edge.spool.log
    await edge.stop()
    await edge.start()
    assert edge.spool.log != former
    await eventually(lambda: len(site.arrived) == 50)
    assert bodies(site) == said


async def test_a_record_of_a_foreign_device_becomes_a_dead_letter(site, edge):
    site.registry.speakers[STRANGER] = SITE
    site.server.enrolment._brought[STRANGER] = SITE
    edge.say(2)
    edge.say(1, STRANGER)
    await eventually(lambda: edge.spool.usage().dead_letters == 1)
    letters = await edge.spool.dead_letters()
    assert [(why.value, record.sender) for _, _, why, record in letters] == [
        ("not_yours", STRANGER)
    ]
    await eventually(lambda: len(site.arrived) == 2)


async def test_a_record_of_a_forgotten_device_does_not_hold_up_the_others(site, edge):
    edge.say(1, STRANGER)
    edge.say(3)
    await eventually(lambda: len(site.arrived) == 3)
    await eventually(lambda: edge.spool.usage().dead_letters == 1)


async def test_a_device_claimed_meanwhile_is_told_before_its_readings_are_taken(site, edge):
    edge.say(1)
    await eventually(lambda: site.arrived)
    late = DeviceUuid("00000000-0000-4000-8000-0000000000c1")
    edge.documents.append({"uuid": late, "type": "sensor"})
    edge.say(2, late)
    await eventually(lambda: len(site.arrived) == 3)
    assert site.registry.documents[late]["gateway"] == EDGE


async def test_a_command_is_dispatched_once_with_its_deadline_in_local_uptime(site, edge):
    await eventually(lambda: edge.uplink.is_online)
    deadline = site.clock.uptime_ms() + 60_000
    site.server.send_down(EDGE, Command("c1", SENSOR, OWNER, "set", {"on": True}, deadline))
    await eventually(lambda: edge.dispatched)
    command = edge.dispatched[0]
    assert (command.id, command.params, command.via) == ("c1", {"on": True}, "parent")
    assert 0 <= edge.clock.uptime_ms() + 60_000 - command.deadline_ms <= 1_000
    edge.uplink.reload()
    await eventually(lambda: edge.uplink.state()["reconnects"] == 1 and edge.uplink.is_online)
    assert len(edge.dispatched) == 1


async def test_a_command_that_was_admitted_before_a_crash_is_answered_unknown(site, edge):
    await eventually(lambda: edge.uplink.is_online)
    deadline = site.clock.uptime_ms() + 60_000
    site.server.send_down(EDGE, Command("c1", SENSOR, OWNER, "set", {}, deadline))
    await eventually(lambda: edge.dispatched)
    await edge.stop()
    await edge.start()
    await eventually(lambda: edge.answered)
    assert edge.answered[0][0] == "c1"
    assert edge.answered[0][1].outcome is Outcome.UNKNOWN
    assert len(edge.dispatched) == 1


async def test_a_command_whose_deadline_passed_during_an_outage_is_never_dispatched(site, edge):
    await eventually(lambda: edge.uplink.is_online)
    edge.uplink.cut(True)
    deadline = site.clock.uptime_ms() + 100
    site.server.send_down(EDGE, Command("c1", SENSOR, OWNER, "set", {}, deadline))
    site.server.send_down(EDGE, Command("c2", SENSOR, OWNER, "set", {}, deadline + 60_000))
    site.clock.advance(200)
    edge.clock.advance(200)
    edge.uplink.cut(False)
    await eventually(lambda: edge.dispatched)
    assert [command.id for command in edge.dispatched] == ["c2"]


async def test_a_revoked_token_parks_the_uplink_with_words_for_a_person(site, edge):
    await eventually(lambda: edge.uplink.is_online)
    await site.server.remove(EDGE)
    await eventually(edge.service.done)
    error = edge.service.exception()
    assert isinstance(error.exceptions[0], BadTokenError)
    assert edge.uplink.state()["state"] == "refused"
    assert "invite" in error.exceptions[0].hint


async def test_an_invitation_lets_one_gateway_in(site, tmp_path):
    invite = new_invite("127.0.0.1", site.port, None)
    await site.server.enrolment.invite(invite.code, OWNER)
    await join(invite.line, tmp_path / "a", EDGE, "a")
    other = DeviceUuid("00000000-0000-4000-8000-000000000003")
    with pytest.raises(BadTokenError, match="does not accept"):
        await join(invite.line, tmp_path / "b", other, "b")


async def test_an_invitation_is_no_way_to_take_over_a_device(site, tmp_path):
    victim = DeviceUuid("00000000-0000-4000-8000-000000000004")
    site.registry.documents[victim] = {"uuid": victim}
    invite = new_invite("127.0.0.1", site.port, None)
    await site.server.enrolment.invite(invite.code, OWNER)
    with pytest.raises(BadTokenError):
        await join(invite.line, tmp_path / "a", victim, "a")


async def test_a_pinned_parent_is_reached_over_tls_and_another_certificate_is_not(tmp_path):
    site = Site(tmp_path / "site", Registry(), tls=server_context(tmp_path / "site"))
    await site.start()
    try:
        pin = own_fingerprint(tmp_path / "site")
        await joined(site, tmp_path / "edge", pin)
        edge = Edge(tmp_path / "edge")
        await edge.start()
        said = edge.say(200)
        await eventually(lambda: len(site.arrived) == 200)
        assert bodies(site) == said
        await edge.stop()
        with pytest.raises(Exception, match="another certificate"):
            await joined(site, tmp_path / "edge2", "0" * 64)
    finally:
        await site.stop()


async def test_the_parent_knows_its_children(site, edge):
    edge.say(1)
    await eventually(lambda: site.arrived)
    state = site.server.children_state()
    assert [(row["node"], row["owner"], row["online"]) for row in state] == [(EDGE, OWNER, True)]
    edge.uplink.cut(True)
    await eventually(lambda: not site.server.children_state()[0]["online"])


async def test_a_copy_of_a_gateway_is_refused_while_the_first_one_answers(site, edge, tmp_path):
    await eventually(lambda: edge.uplink.is_online)
    shutil.copytree(tmp_path / "edge", tmp_path / "copy")
    copy = Edge(tmp_path / "copy")
    await copy.start()
    try:
        await eventually(lambda: copy.uplink.state()["state"] == "refused")
        assert "another gateway" in copy.uplink.state()["reason"]
        assert edge.uplink.is_online
        assert site.server.children_state()[0]["duplicates"] >= 1
    finally:
        await copy.stop()
