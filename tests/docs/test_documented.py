"""Nothing that the program has is missing in the README: settings, drivers, metrics, topics, areas of error codes."""

import re
import tomllib
from pathlib import Path

import pytest

from gateway.bridge.discovery import discover
from gateway.broker.access import Row, row_of
from gateway.broker.capabilities import MEANINGS, Capability
from gateway.config.reference import defaults_toml, tables
from gateway.config.schema import Settings
from gateway.mesh.http.app import ROUTES
from scripts import _reference

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")
UUID = "6f1c2b1e-0000-4000-8000-000000000001"


def part(name: str) -> str:
    """Return what stands between two markers."""
    return README.split(f"<!-- {name}: begin -->\n")[1].split(f"<!-- {name}: end -->")[0]


def test_every_setting_is_documented() -> None:
    text = part("settings")
    for name, model, is_list in tables(Settings):
        title = f"[[{name}]]" if is_list else f"[{name}]"
        rows = text.split(f"#### `{title}`\n")[1].split("\n####")[0]
        nested = {each.rpartition(".")[2] for each, _, _ in tables(Settings) if each.startswith(f"{name}.")}  # fmt: skip
        assert [key for key in model.model_fields if f"| `{key}` |" not in rows and key not in nested] == []  # fmt: skip


def test_the_example_file_is_the_programs_own_and_means_the_defaults() -> None:
    text = (ROOT / "gateway.toml").read_text("utf-8")
    assert text == defaults_toml(), "run: .venv/bin/gateway config defaults > gateway.toml"
    assert Settings.model_validate(tomllib.loads(text)) == Settings()


def test_every_driver_is_documented_with_its_settings() -> None:
    rows = {row.split("`")[1]: row for row in part("drivers").splitlines()[2:]}
    found = {each.name: each.driver for each in discover().all()}
    assert set(rows) == set(found)
    for name, driver in found.items():
        assert driver is not None
        assert driver.summary
        assert all(f"`{key}`" in rows[name] for key in driver.settings.model_fields)
        assert all(key.description for key in driver.settings.model_fields.values()), name


def test_every_metric_has_a_unit_in_its_name_or_counts_things() -> None:
    rows = [row.split("|") for row in part("metrics").splitlines()[2:]]
    names = [row[1].strip(" `") for row in rows]
    assert len(names) > 20
    assert [n for n, row in zip(names, rows, strict=True) if (row[2].strip() == "counter") != n.endswith("_total")] == []  # fmt: skip


def test_every_kind_of_topic_is_documented() -> None:
    assert set(_reference.TOPICS) == set(Row)


def test_every_capability_of_a_broker_is_documented_and_has_tests_of_the_contract() -> None:
    assert set(MEANINGS) == set(Capability)
    table = _reference.parts()["engines"].splitlines()[2:]
    assert [row.split("|")[1].split("`")[1] for row in table] == list(Capability)
    assert [row for row in table if not row.split("|")[2].strip()] == []


@pytest.mark.parametrize("row", Row)
def test_the_topics_that_stand_for_a_kind_are_of_that_kind(row: Row) -> None:
    for name in re.findall(r"`([^`]+)`", _reference.TOPICS[row]):
        topic = name.replace("<uuid>", UUID).replace("<slug>", "pump").replace("...", "x")
        topic = f"devices/pump/{topic}" if row is Row.STATE and "/" not in topic else topic
        if row not in (Row.PLAIN, Row.RESERVED):
            assert row_of(topic) is row, topic


def test_every_route_is_documented() -> None:
    text = part("routes")
    assert [r.path for r in ROUTES if f"| `{r.method} {r.path}` | {r.summary} |" not in text] == []


def test_the_area_of_every_error_code_is_named() -> None:
    section = README.split("### Error codes\n")[1].split("\n### ")[0]
    areas = {path.name[:2] for path in (ROOT / "gateway" / "codes").glob("*.toml")}
    assert [area for area in areas if not re.search(rf"\b{area} [a-z]", section)] == []


def test_links_within_the_readme_lead_somewhere() -> None:
    titles = re.findall(r"^#+ (.+)$", README, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles}
    assert [link for link in re.findall(r"\]\(#([^)]+)\)", README) if link not in anchors] == []


def test_paths_of_the_checkout_that_the_readme_names_exist() -> None:
    paths = set(re.findall(r"`((?:gateway|tests|scripts|drivers)/[\w./*]+)`", README))
    assert paths
    paths.discard("gateway/health")  # a topic
    assert [path for path in paths if not list(ROOT.glob(path.rstrip("/")))] == []
