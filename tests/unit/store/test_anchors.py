"""Anchors are few, in order, and the nearest one dates a moment."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.model import Anchor
from gateway.store import anchors, sqlite_file


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    opened = sqlite_file.open_writer(tmp_path / "log.db", "log", page_size=1024, auto_vacuum=True)
    yield opened
    opened.close()


def test_an_anchor_of_the_same_moment_is_corrected(connection: sqlite3.Connection) -> None:
    anchors.insert(connection, "n", [Anchor("b", 1, 100, 9), Anchor("b", 1, 105, 2)])
    assert anchors.select(connection, "n") == [Anchor("b", 1, 105, 2)]


def test_only_the_newest_anchors_are_kept(connection: sqlite3.Connection) -> None:
    many = [Anchor("b", n, n, 0) for n in range(anchors.MOST_ANCHORS + 5)]
    anchors.insert(connection, "n", many)
    assert anchors.select(connection, "n") == many[5:]


def test_the_nearest_anchor_of_the_boot_is_the_best() -> None:
    near, far, foreign = Anchor("b", 90, 1, 0), Anchor("b", 10, 2, 0), Anchor("x", 100, 3, 0)
    assert anchors.best([far, near, foreign], "b", 100) == near
    assert anchors.best([foreign], "b", 100) is None
