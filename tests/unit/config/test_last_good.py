"""Three last good copies, newest first."""

from pathlib import Path

from gateway.config.last_good import LastGood
from gateway.runtime.files import write_atomically


def held(folder: Path) -> list[str]:
    return [copy.read_text() for copy in LastGood(folder, write_atomically).copies()]


def test_the_newest_three_are_kept(tmp_path: Path) -> None:
    good = LastGood(tmp_path, write_atomically)
    for text in ("a", "b", "c", "d"):
        good.keep(text)
    assert held(tmp_path) == ["d", "c", "b"]


def test_the_same_text_again_writes_nothing(tmp_path: Path) -> None:
    written: list[Path] = []
    good = LastGood(
        tmp_path, lambda path, data: (written.append(path), write_atomically(path, data))[1]
    )
    good.keep("a")
    good.keep("a")
    assert len(written) == 1


def test_going_back_to_an_older_text_does_not_keep_it_twice(tmp_path: Path) -> None:
    good = LastGood(tmp_path, write_atomically)
    for text in ("a", "b", "a"):
        good.keep(text)
    assert held(tmp_path) == ["a", "b"]
