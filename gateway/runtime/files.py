"""Files that survive a power cut: written beside, synced, renamed, and the folder synced too."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

MOST_SOCKET_PATH_BYTES = 100  # struct sockaddr_un holds 108 on Linux, 104 on macOS


def write_atomically(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Replace `path` by `data` so that a reader sees the old bytes or the new ones, never a part.

    Raises OSError as the file system gives it; the old file is then untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextlib.contextmanager
def short_path(path: Path) -> Iterator[str]:
    """Within the block, give a name of a Unix socket that is short enough for the kernel (Linux)."""
    text = str(path)
    if len(text.encode()) <= MOST_SOCKET_PATH_BYTES or not sys.platform.startswith("linux"):
        yield text
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
