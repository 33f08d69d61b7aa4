"""One state directory belongs to one gateway: an advisory lock that the kernel drops when the process ends."""

import fcntl
import os
from pathlib import Path

from gateway.errors import ConfigError, StoreBusyError


class StateLock:
    """Holds `<state>/lock` for as long as the process lives; the file names the holder's pid."""

    def __init__(self, state_dir: Path) -> None:
        """Take the lock; raises StoreBusyError GW-1806 (held: a service tries again) or ConfigError GW-1807."""
        path = state_dir / "lock"
        try:
            state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigError(
                f"the state directory {state_dir} cannot be used: {error.strerror}",
                code="GW-1807",
                hint=f"make it writable for this user, or name another with --state (now: {state_dir})",
            ) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            raise StoreBusyError(
                f"another gateway (process {holder or 'unknown'}) runs on {state_dir}",
                code="GW-1806",
                hint=f"stop it first (`kill {holder}`), or name another directory with --state",
            ) from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Give the directory free."""
        os.close(self._descriptor)
