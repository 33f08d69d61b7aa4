"""What the command line decides about a node, beside its configuration."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """Where a node keeps its state, and whether it is one of a demo's two."""

    state_dir: Path
    is_demo: bool = False
    join_line: str | None = field(default=None, repr=False)
    parent_page: str | None = None
    child_page: str | None = None  # set on the demo's parent
    on_ready: Callable[[], None] | None = None
