"""What an advert brought, out of what BlueZ remembers."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.links.advert_changes import AdvertChanges

HERE = "A4:C1:38:8D:18:B2"


def test_the_first_advert_brings_all() -> None:
    assert AdvertChanges(0).brought(HERE, {1: b"a"}, {"u": b"b"}, 0) == ({1: b"a"}, {"u": b"b"})


def test_a_key_that_vanishes_means_that_the_rest_is_new() -> None:
    changes = AdvertChanges(0)
    changes.brought(HERE, {1: b"a", 2: b"b"}, {}, 0)
    assert changes.brought(HERE, {2: b"b"}, {}, 1) == ({2: b"b"}, {})


def test_a_repeat_brings_what_was_brought_last_once_in_its_time() -> None:
    changes = AdvertChanges(10_000)
    changes.brought(HERE, {1: b"a"}, {}, 0)
    changes.brought(HERE, {1: b"a", 2: b"b"}, {}, 0)
    same = {1: b"a", 2: b"b"}
    assert changes.brought(HERE, same, {}, 9_999) is None
    assert changes.brought(HERE, same, {}, 10_000) == ({2: b"b"}, {})
    assert changes.brought(HERE, same, {}, 10_001) is None


def test_the_oldest_address_is_forgotten_at_the_bound() -> None:
    changes = AdvertChanges(10_000, most=2)
    for address in ("a", "b", "a", "c"):
        changes.brought(address, {1: address.encode()}, {}, 0)
    assert len(changes) == 2
    assert changes.brought("a", {1: b"a"}, {}, 1) is None
    assert changes.brought("b", {1: b"b"}, {}, 1) is not None


@given(st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=2)), min_size=1, max_size=30))
def test_out_of_an_accumulating_dict_each_change_is_found_again(
    adverts: list[tuple[int, bytes]],
) -> None:
    changes, known = AdvertChanges(10_000), {}
    for key, data in adverts:
        is_news = known.get(key) != data
        known = known | {key: data}
        brought = changes.brought(HERE, known, {}, 0)
        assert brought == (({key: data}, {}) if is_news else None)
