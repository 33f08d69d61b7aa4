"""Update validity row by row, operators one by one, and what bookkeeping an update leaves."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mesh.core.paths import BadUpdateError
from gateway.mesh.core.update import OPERATORS, Bookkeeping, invalid, program
from tests.fakes.mesh_node import device_uuid

BY = Bookkeeping(device_uuid(1), 1_764_000_000_000)


def applied(document: dict[str, Any], update: dict[str, Any]) -> Any:
    """Return the document after an update, without its bookkeeping; None when nothing changed."""
    after = program(update, BY)(copy.deepcopy(document))
    if after is not None:
        after["meshblu"] = {
            key: value
            for key, value in after["meshblu"].items()
            if key not in ("updatedAt", "updatedBy", "hash")
        }
        if not after["meshblu"]:
            del after["meshblu"]
    return after


@pytest.mark.parametrize(
    ("update", "text"),
    [
        ({}, "Update query must contain at least one key."),
        (None, "Update query must contain at least one key."),
        ([], "Update query must contain at least one key."),
        ({"a": None}, "Update query may contain null value for a key that starts with '$'."),
        ({"$set": {"token": "x"}}, "Update query may not modify the token key."),
        ({"$unset": {"uuid": ""}}, "Update query may not modify the uuid key."),
        ({"a": 1}, "Update query may only contain authorized keys."),
        ({"$rename": {"a": "b"}}, "Update query may only contain authorized keys."),
        ({"$set": {"a": 1}, "$where": "x"}, "Update query may only contain authorized keys."),
    ],
)
def test_an_invalid_update_is_refused_in_the_originals_words(update: Any, text: str) -> None:
    assert invalid(update) == text


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_listed_operator_is_valid(operator: str) -> None:
    assert invalid({operator: {"a": 1}}) is None


def test_the_operators_are_those_of_the_specification() -> None:
    listed = (
        "$inc $mult $set $unset $min $max $currentDate $addToSet $pop $pullAll $pull $pushAll "
        "$push $bit"
    )
    assert set(OPERATORS) == set(listed.split())


@pytest.mark.parametrize(
    ("document", "update", "after"),
    [
        ({}, {"$set": {"a": 1}}, {"a": 1}),
        ({}, {"$set": {"a.b.c": 1}}, {"a": {"b": {"c": 1}}}),
        ({"a": [1, 2]}, {"$set": {"a.1": 3}}, {"a": [1, 3]}),
        ({"a": [1]}, {"$set": {"a.3": 3}}, {"a": [1, None, None, 3]}),
        ({"a": [{"b": 1}]}, {"$set": {"a.0.b": 2}}, {"a": [{"b": 2}]}),
        ({"a": []}, {"$set": {"a.0.b": 2}}, {"a": [{"b": 2}]}),
        ({}, {"$set": {"s": {"$ref": "meshbludevice://x"}}}, {"s": {"$ref": "meshbludevice://x"}}),
        ({"a": 1}, {"$set": {"a": True}}, {"a": True}),
        ({"a": 1, "b": {"c": 1}}, {"$unset": {"a": "", "b.c": ""}}, {"b": {}}),
        ({"a": [1, 2]}, {"$unset": {"a.0": ""}}, {"a": [None, 2]}),
        ({"n": 1}, {"$inc": {"n": 2}}, {"n": 3}),
        ({}, {"$inc": {"n": 2}}, {"n": 2}),
        ({"n": 3}, {"$mult": {"n": 2}}, {"n": 6}),
        ({"n": 3}, {"$min": {"n": 2}}, {"n": 2}),
        ({}, {"$max": {"n": 2}}, {"n": 2}),
        ({"n": 3}, {"$max": {"n": 4}}, {"n": 4}),
        ({}, {"$currentDate": {"at": True}}, {"at": "2025-11-24T16:00:00.000Z"}),
        ({"a": [1]}, {"$push": {"a": 2}}, {"a": [1, 2]}),
        ({}, {"$push": {"a.b": {"c": 1}}}, {"a": {"b": [{"c": 1}]}}),
        ({"a": [1]}, {"$push": {"a": {"$each": [2, 3]}}}, {"a": [1, 2, 3]}),
        ({"a": [1]}, {"$push": {"a": {"$each": [2, 3], "$slice": -2}}}, {"a": [2, 3]}),
        ({"a": [1]}, {"$push": {"a": {"$each": [2, 3], "$slice": 2}}}, {"a": [1, 2]}),
        ({"a": [1]}, {"$push": {"a": {"$each": [], "$slice": 0}}}, {"a": []}),
        ({"a": [1]}, {"$push": {"a": {"$each": [2], "$position": 0}}}, {"a": [2, 1]}),
        ({"a": [1]}, {"$pushAll": {"a": [2, 3]}}, {"a": [1, 2, 3]}),
        ({"a": [{"b": 1}]}, {"$addToSet": {"a": {"b": 2}}}, {"a": [{"b": 1}, {"b": 2}]}),
        ({"a": [1]}, {"$addToSet": {"a": {"$each": [1, 2, 2]}}}, {"a": [1, 2]}),
        ({"a": [1, 2, 3]}, {"$pop": {"a": 1}}, {"a": [1, 2]}),
        ({"a": [1, 2, 3]}, {"$pop": {"a": -1}}, {"a": [2, 3]}),
        ({"a": [1, 2, 1]}, {"$pull": {"a": 1}}, {"a": [2]}),
        ({"a": [{"b": 1, "c": 2}, {"b": 2}]}, {"$pull": {"a": {"b": 1}}}, {"a": [{"b": 2}]}),
        ({"a": [1, 2, 3]}, {"$pull": {"a": {"$in": [1, 3]}}}, {"a": [2]}),
        ({"a": [1, 2, 3]}, {"$pullAll": {"a": [1, 2]}}, {"a": [3]}),
        ({"n": 5}, {"$bit": {"n": {"and": 4}}}, {"n": 4}),
        ({"n": 1}, {"$bit": {"n": {"or": 4, "xor": 1}}}, {"n": 4}),
        ({"n": 1}, {"$inc": {"n": 1}, "$set": {"x": "y"}}, {"n": 2, "x": "y"}),
    ],
)
def test_an_operator_does_what_mongodb_does(
    document: dict[str, Any], update: dict[str, Any], after: dict[str, Any]
) -> None:
    assert applied(document, update) == after


@pytest.mark.parametrize(
    ("document", "update"),
    [
        ({"a": 1}, {"$set": {"a": 1}}),
        ({"n": 1}, {"$inc": {"n": 0}}),
        ({"n": 1}, {"$min": {"n": 2}}),
        ({"a": [1]}, {"$addToSet": {"a": 1}}),
        ({}, {"$unset": {"a": ""}}),
        ({}, {"$pull": {"a": 1}}),
        ({"a": []}, {"$pop": {"a": 1}}),
    ],
)
def test_an_update_that_changes_nothing_is_none(
    document: dict[str, Any], update: dict[str, Any]
) -> None:
    assert program(update, BY)(document) is None


@pytest.mark.parametrize(
    ("document", "update"),
    [
        ({}, {"$set": {}}),
        ({}, {"$set": 1}),
        ({"a": 1}, {"$set": {"a.b": 1}}),
        ({"a": []}, {"$set": {"a.x": 1}}),
        ({"a": []}, {"$set": {"a.99999": 1}}),
        ({}, {"$set": {"a..b": 1}}),
        ({}, {"$set": {"": 1}}),
        ({"a": [1]}, {"$set": {"a.$": 1}}),
        ({}, {"$set": {"uuid.x": 1}}),
        ({"meshblu": "x"}, {"$set": {"a": 1}}),
        ({"n": "x"}, {"$inc": {"n": 1}}),
        ({"n": 1}, {"$inc": {"n": "x"}}),
        ({"n": 1}, {"$inc": {"n": True}}),
        ({"n": 1 << 62}, {"$mult": {"n": 4}}),
        ({"n": 1e308}, {"$mult": {"n": 10}}),
        ({"n": "x"}, {"$max": {"n": 1}}),
        ({"a": 1}, {"$push": {"a": 1}}),
        ({"a": 1}, {"$pull": {"a": 1}}),
        ({}, {"$push": {"a": {"$each": 1}}}),
        ({}, {"$push": {"a": {"$each": [1], "$slice": "x"}}}),
        ({}, {"$push": {"a": {"$each": [1], "$where": 1}}}),
        ({"a": []}, {"$pushAll": {"a": 1}}),
        ({"a": []}, {"$pullAll": {"a": 1}}),
        ({"a": [1]}, {"$pop": {"a": 2}}),
        ({"n": 1}, {"$bit": {"n": {"nand": 1}}}),
        ({"n": 1.5}, {"$bit": {"n": {"and": 1}}}),
        ({"n": 1}, {"$bit": {"n": 1}}),
    ],
)
def test_an_update_that_cannot_be_applied_is_refused(
    document: dict[str, Any], update: dict[str, Any]
) -> None:
    with pytest.raises(BadUpdateError):
        program(update, BY)(document)


def test_an_effective_update_notes_when_by_whom_and_a_new_hash() -> None:
    update = program({"$inc": {"n": 1}}, BY)
    once = update({"n": 1, "meshblu": {"createdAt": "then", "hash": "old"}})
    assert once is not None
    assert once["meshblu"]["createdAt"] == "then"
    assert once["meshblu"]["updatedBy"] == BY.actor
    assert once["meshblu"]["updatedAt"] == "2025-11-24T16:00:00.000Z"
    first = once["meshblu"]["hash"]
    twice = update(once)
    assert twice is not None
    assert len({"old", first, twice["meshblu"]["hash"]}) == 3


def test_an_update_keeps_nothing_of_its_argument() -> None:
    argument: dict[str, Any] = {"b": []}
    update = program({"$set": {"a": argument}}, BY)
    after = update({})
    assert after is not None
    after["a"]["b"].append(1)
    assert argument == {"b": []}


names = st.sampled_from(["a", "b", "0", "1", "c"])
values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
paths = st.lists(names, min_size=1, max_size=3).map(".".join)


@given(
    st.dictionaries(names, values, max_size=3),
    st.dictionaries(
        st.sampled_from(sorted(OPERATORS)),
        st.dictionaries(paths, values, min_size=1, max_size=2),
        min_size=1,
        max_size=2,
    ),
)
def test_any_update_of_any_document_ends_or_is_refused(
    document: dict[str, Any], update: dict[str, Any]
) -> None:
    try:
        after = program(update, BY)(copy.deepcopy(document))
    except BadUpdateError:
        return
    if after is None:
        return
    assert after["meshblu"]["updatedBy"] == BY.actor


@given(st.dictionaries(names, values, max_size=3), st.sampled_from(["a", "b", "c"]), values)
def test_what_is_set_is_read_back_and_the_rest_stays(
    document: dict[str, Any], name: str, value: Any
) -> None:
    after = program({"$set": {name: value}}, BY)(copy.deepcopy(document))
    if after is None:
        assert document[name] == value
        return
    assert after[name] == value
    assert {k: v for k, v in after.items() if k not in (name, "meshblu")} == {
        k: v for k, v in document.items() if k != name
    }
