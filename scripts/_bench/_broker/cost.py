"""What a broker's processes have cost so far: CPU to the nanosecond and memory, as the kernel counts them."""

import os
import time
from pathlib import Path

PROC = Path("/proc")


def cpu_ns(pid: int, proc: Path = PROC) -> int:
    """Return the nanoseconds on a CPU of all threads of a process and of its descendants.

    /proc/PID/task/TID/schedstat: the first field is `sum_exec_runtime` (Documentation/scheduler/sched-stats);
    /proc/PID/stat counts in hundredths of a second, too coarse for a paced broker.
    """
    return sum(
        on_cpu_ns(text)
        for process in tree(pid, proc)
        for text in _texts(proc / str(process) / "task", "schedstat")
    )


def on_cpu_ns(schedstat: str) -> int:
    """Return the first field of a schedstat file: nanoseconds on a CPU."""
    return int(schedstat.split(maxsplit=1)[0])


def rss_bytes(pid: int, proc: Path = PROC) -> int:
    """Return the resident memory of a process and its descendants."""
    page = os.sysconf("SC_PAGE_SIZE")
    pages = 0
    for process in tree(pid, proc):
        try:
            pages += int((proc / str(process) / "statm").read_text("ascii").split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
    return pages * page


def tree(pid: int, proc: Path = PROC) -> list[int]:
    """Return a process and its descendants."""
    found = [pid]
    for process in found:  # grows while it is walked
        found += [
            int(child)
            for children in _texts(proc / str(process) / "task", "children")
            for child in children.split()
        ]
    return found


def _texts(tasks: Path, name: str) -> list[str]:
    """Read one file of every thread; threads that end meanwhile are left out."""
    texts = []
    try:
        threads = list(tasks.iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return []
    for thread in threads:
        try:
            texts.append((thread / name).read_text("ascii"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return texts


def idle_ns_per_s(pid: int, quiet_s: float) -> float:
    """Watch a broker that has nothing to do, and return the CPU nanoseconds a second that this costs it."""
    started, before = time.monotonic(), cpu_ns(pid)
    time.sleep(quiet_s)
    return (cpu_ns(pid) - before) / (time.monotonic() - started)
