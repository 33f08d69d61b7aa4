"""How many files and sockets this process may have open: as many as the system lets it, and not the usual 1024."""

import contextlib
import resource

MOST = 65_536  # beyond it other things end first


def raise_limit() -> int:
    """Raise the soft limit to the hard one, at most to MOST; returns what holds now.

    systemd and shells give 1024 of 524288, for programs that call select(2): this one does not.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft
    with contextlib.suppress(ValueError, OSError):  # macOS says "unlimited" and means less
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
