import pytest

ROWS = ("connecting", "publishing", "subscribing", "framing")
pytest.register_assert_rewrite(*(f"{__name__}.{name}" for name in ROWS))  # they assert, too
