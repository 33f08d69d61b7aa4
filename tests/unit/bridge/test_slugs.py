"""Slugs are natural, legal and the only ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bridge.slugs import free, is_slug, slug_for


@pytest.mark.parametrize(
    ("hardware_id", "slug"),
    [("ble:A4:C1:38:8D:18:B2", "bthome-8d18b2"), ("serial:usb-X_1/Greenhouse 1", "greenhouse-1"),
     ("serial:usb-X_1", "solar"), ("elsewhere", "elsewhere"), ("serial:usb-X_1/+++", "bthome")],
)  # fmt: skip
def test_a_slug_comes_from_what_people_would_call_it(hardware_id, slug):
    assert (
        slug_for(hardware_id, driver="bthome", link="solar", origin="serial:usb-X_1", is_demo=False)
        == slug
    )


@given(st.text(max_size=200), st.booleans())
def test_any_hardware_id_gives_a_legal_slug(text, is_demo):
    slug = slug_for(f"o/{text}", driver="d", link="l", origin="o", is_demo=is_demo)
    assert is_slug(slug)
    assert is_slug(free(slug, {slug}))
    assert slug.startswith("demo-") or not is_demo


def test_a_taken_slug_is_numbered():
    assert free("pump", {"pump", "pump-2"}) == "pump-3"
    assert len(free("p" * 64, {"p" * 64})) == 64


@pytest.mark.parametrize("text", ["", "A", "a/b", "ü", "a b", "x" * 65, "a\n"])
def test_other_texts_are_no_slugs(text):
    assert not is_slug(text)
