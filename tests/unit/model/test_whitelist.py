"""Whitelists 1.0 and 2.0: each row of the specification's tables, and what holds for every document."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import AccessRecord, DeviceUuid
from gateway.model.whitelist import (
    LEGACY,
    LISTS,
    compiled,
    may,
    with_registration_defaults,
)

ALICE = DeviceUuid("aaaaaaaa-0000-4000-8000-000000000001")
BOB = DeviceUuid("bbbbbbbb-0000-4000-8000-000000000002")
DEVICE = DeviceUuid("dddddddd-0000-4000-8000-000000000003")

# Table 3.2 of the specification, written out a second time on purpose: legacy key -> 2.0 lists.
TABLE_3_2 = {
    "discoverWhitelist": {"discover.view", "configure.sent"},
    "discoverAsWhitelist": {"discover.as"},
    "configureWhitelist": {
        "configure.update",
        "broadcast.received",
        "message.sent",
        "message.received",
    },
    "configureAsWhitelist": {"configure.as"},
    "sendWhitelist": {"message.from"},
    "sendAsWhitelist": {"message.as"},
    "receiveWhitelist": {"broadcast.sent"},
    "receiveAsWhitelist": {"message.received", "broadcast.received"},
}
UNGRANTED_TO_OWNERS = {"broadcast.as"}


def record(document: dict[str, Any]) -> AccessRecord:
    return AccessRecord(DEVICE, compiled(document), frozenset(), 1)


def v2(name: str, *uuids: str) -> dict[str, Any]:
    group, entry = name.split(".")
    return {
        "meshblu": {
            "version": "2.0.0",
            "whitelists": {group: {entry: [{"uuid": uuid} for uuid in uuids]}},
        }
    }


@pytest.mark.parametrize("name", LISTS)
def test_a_new_list_grants_its_own_right_and_no_other(name: str) -> None:
    access = record(v2(name, ALICE))
    assert {other for other in LISTS if may(ALICE, access, other)} == {name}
    assert not any(may(BOB, access, other) for other in LISTS)


@pytest.mark.parametrize("name", LISTS)
def test_a_star_lets_everybody_in(name: str) -> None:
    access = record(v2(name, "*"))
    assert may(ALICE, access, name)
    assert may(BOB, access, name)


@pytest.mark.parametrize(("key", "grants"), TABLE_3_2.items())
@pytest.mark.parametrize("meshblu", [None, {}, {"version": None}, {"version": "1.0.0"}])
def test_a_legacy_list_grants_what_table_3_2_says(
    key: str, grants: set[str], meshblu: object
) -> None:
    access = record({key: [ALICE], "meshblu": meshblu})
    assert {name for name in LISTS if may(ALICE, access, name)} == grants
    assert not any(may(BOB, access, name) for name in LISTS)


def test_an_owner_may_everything_but_broadcast_as() -> None:
    access = record({"owner": ALICE})
    assert {name for name in LISTS if may(ALICE, access, name)} == set(LISTS) - UNGRANTED_TO_OWNERS


def test_nothing_but_an_owner_gets_configure_received() -> None:
    everything = {key: ["*"] for key in TABLE_3_2}
    assert not may(ALICE, record(everything), "configure.received")
    assert may(ALICE, record({"owner": ALICE}), "configure.received")


def test_an_owner_called_star_opens_nothing() -> None:
    assert compiled({"owner": "*"}) == {}


def test_a_new_document_ignores_legacy_lists_and_owner() -> None:
    document = v2("discover.view", ALICE) | {"owner": BOB} | {key: ["*"] for key in TABLE_3_2}
    access = record(document)
    assert not any(may(BOB, access, name) for name in LISTS)


def test_a_legacy_document_ignores_new_lists() -> None:
    document = v2("message.from", ALICE)
    del document["meshblu"]["version"]
    assert compiled(document) == {}


def test_an_unknown_version_opens_nothing() -> None:
    assert compiled({"meshblu": {"version": "3.0.0"}, "discoverWhitelist": ["*"]}) == {}


@pytest.mark.parametrize("name", LISTS)
def test_a_device_may_always_with_itself(name: str) -> None:
    assert may(DEVICE, record({}), name)
    assert may(DEVICE, record({"meshblu": {"version": "2.0.0"}}), name)


@pytest.mark.parametrize("name", LISTS)
def test_a_device_that_does_not_exist_lets_nobody_in(name: str) -> None:
    assert not may(ALICE, None, name)


def test_upper_case_in_a_list_means_the_same_device() -> None:
    assert may(ALICE, record({"sendWhitelist": [ALICE.upper()]}), "message.from")
    assert may(ALICE, record(v2("message.from", ALICE.upper())), "message.from")


@pytest.mark.parametrize(
    "document",
    [
        {"discoverWhitelist": ALICE},
        {"discoverWhitelist": [{"uuid": ALICE}, 7, None]},
        {"discoverWhitelist": {"0": ALICE}},
        {"owner": [ALICE]},
        {"meshblu": "2.0.0"},
        {"meshblu": {"version": "2.0.0", "whitelists": "*"}},
        {"meshblu": {"version": "2.0.0", "whitelists": {"discover": "*"}}},
        {"meshblu": {"version": "2.0.0", "whitelists": {"discover": {"view": "*"}}}},
        {"meshblu": {"version": "2.0.0", "whitelists": {"discover": {"view": [ALICE, {}]}}}},
        {"meshblu": {"version": ["2.0.0"]}},
    ],
)
def test_lists_of_another_shape_grant_nothing(document: dict[str, Any]) -> None:
    assert compiled(document) == {}


def test_an_ownerless_legacy_registration_is_fully_open() -> None:
    document = with_registration_defaults({"type": "drone"})
    assert document == {
        "type": "drone",
        "discoverWhitelist": ["*"],
        "configureWhitelist": ["*"],
        "sendWhitelist": ["*"],
        "receiveWhitelist": ["*"],
    }


def test_an_owned_legacy_registration_is_seen_and_configured_by_its_owner_alone() -> None:
    document = with_registration_defaults({"owner": ALICE})
    assert document["discoverWhitelist"] == [ALICE]
    assert document["configureWhitelist"] == [ALICE]
    assert document["sendWhitelist"] == ["*"]
    assert document["receiveWhitelist"] == ["*"]


def test_an_owner_is_appended_to_lists_that_came_unless_they_are_open() -> None:
    document = with_registration_defaults(
        {"owner": ALICE, "discoverWhitelist": [BOB], "configureWhitelist": ["*"]}
    )
    assert document["discoverWhitelist"] == [BOB, ALICE]
    assert document["configureWhitelist"] == ["*"]


def test_empty_lists_that_came_stay_empty_without_an_owner() -> None:
    lists: dict[str, Any] = {key: [] for key in TABLE_3_2}
    assert with_registration_defaults(lists) == lists


def test_a_new_registration_gets_nothing_added() -> None:
    document = {"meshblu": {"version": "2.0.0"}, "owner": ALICE}
    assert with_registration_defaults(document) == document


def test_defaults_leave_the_callers_document_alone() -> None:
    lists = [BOB]
    with_registration_defaults({"owner": ALICE, "discoverWhitelist": lists})
    assert lists == [BOB]


uuids = st.sampled_from([ALICE, BOB, DEVICE, "*"])
legacy_documents = st.dictionaries(
    st.sampled_from(sorted(TABLE_3_2)), st.lists(uuids, max_size=3)
).flatmap(
    lambda lists: st.one_of(
        st.just(lists), st.builds(lambda owner: {**lists, "owner": owner}, st.sampled_from([BOB]))
    )
)


@given(legacy_documents, st.sampled_from([ALICE, BOB]), st.sampled_from(LISTS))
def test_translation_agrees_with_asking_the_legacy_lists_directly(
    document: dict[str, Any], actor: str, name: str
) -> None:
    listed = any(
        name in TABLE_3_2[key] and ("*" in entries or actor in entries)
        for key, entries in document.items()
        if key in TABLE_3_2
    )
    owned = document.get("owner") == actor and name not in UNGRANTED_TO_OWNERS
    assert may(actor, record(document), name) is (listed or owned)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("aB*", max_size=3) | uuids,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["uuid", "version", "whitelists", *LEGACY]), inner)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["meshblu", *LEGACY]), json_values))
def test_any_document_compiles_to_known_lists_of_lower_case_names(document: dict[str, Any]) -> None:
    lists = compiled(document)
    assert set(lists) <= set(LISTS)
    assert all(entries and all(e == e.lower() for e in entries) for entries in lists.values())
