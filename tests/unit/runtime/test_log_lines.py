"""How an entry is written."""

from gateway.runtime.log_lines import Secrets, iso, json_line, text_line


def test_times_are_iso_8601_in_utc() -> None:
    assert iso(1_764_000_000_007) == "2025-11-24T16:00:00.007Z"


def test_a_traceback_follows_on_lines_of_its_own() -> None:
    entry = {
        "at_ms": 0, "level": "ERROR", "component": "c", "event": "e", "fields": {}, "trace": "T"
    }  # fmt: skip
    assert text_line(entry).endswith("ERROR   c: e\nT")
    assert '"trace":"T"' in json_line(entry)


def test_a_secret_that_is_part_of_another_does_not_leave_a_rest() -> None:
    secrets = Secrets()
    secrets.hide(["abcdef", "abcdefgh"])
    assert secrets.cleaned("x abcdefgh y") == "x *** y"


def test_values_that_are_not_plain_become_text() -> None:
    assert Secrets().cleaned_fields({"a": (1, 2), "b": None}) == {"a": "(1, 2)", "b": None}
