"""Every key is documented, and the file with the defaults says what the models say."""

import tomllib
from pathlib import Path

from gateway.config.load import load
from gateway.config.reference import defaults_toml, markdown, tables, toml_value
from gateway.config.schema import Settings

ROOT = Path(__file__).parents[3]


def test_every_key_has_a_meaning_and_every_number_a_unit_or_a_name_that_tells() -> None:
    for name, model, _ in tables(Settings):
        assert model.__doc__, name
        for key, field in model.model_fields.items():
            if field.annotation in (int, float) or "|" in str(field.annotation):
                assert field.description, f"{name}.{key}"
            assert field.description or hasattr(field.annotation, "model_fields"), f"{name}.{key}"


def test_keys_that_end_in_a_unit_name_the_same_unit() -> None:
    units = {"_s": "s", "_ms": "ms", "_bytes": "bytes"}
    text = markdown()
    for ending, unit in units.items():
        rows = [
            row
            for row in text.splitlines()
            if f"{ending}` |" in row and "_per_s`" not in row  # a rate
        ]
        assert rows
        assert all(f"| {unit} |" in row for row in rows), ending


def test_the_file_in_the_repository_is_the_generated_one() -> None:
    assert (ROOT / "gateway.toml").read_text("utf-8") == defaults_toml()


def test_loading_the_file_in_the_repository_gives_the_defaults() -> None:
    loaded = load(ROOT / "gateway.toml")
    assert loaded.parked == ()
    assert loaded.settings == Settings()


def test_the_reference_names_every_table_and_key() -> None:
    text = markdown()
    nested = {name.rpartition(".")[2] for name, _, _ in tables(Settings)}
    for name, model, is_list in tables(Settings):
        assert (f"#### `[[{name}]]`" if is_list else f"#### `[{name}]`") in text
        plain = [key for key, field in model.model_fields.items() if field.description]
        assert all(f"| `{key}` |" in text for key in plain if key not in nested)


def test_values_are_written_as_toml() -> None:
    value = {"a b": [1, 2.5, True, 'x\n"y"'], "c": {}}
    assert tomllib.loads(f"v = {toml_value(value)}")["v"] == value
