"""`scripts/bench broker`: CPU of a tree of processes and threads, read from files as Linux writes them."""

import os
import time
from pathlib import Path

from scripts._bench._broker import cost


def thread(proc: Path, pid: int, tid: int, *, ns: int, children: str = "", pages: int = 0) -> None:
    folder = proc / str(pid) / "task" / str(tid)
    folder.mkdir(parents=True)
    (folder / "schedstat").write_text(f"{ns} 123 45\n")
    (folder / "children").write_text(children)
    (proc / str(pid) / "statm").write_text(f"900 {pages} 3 4 0 5 0\n")


def test_the_first_field_of_schedstat_is_the_time_on_a_cpu() -> None:
    assert cost.on_cpu_ns("103455832 2217 96\n") == 103_455_832


def test_all_threads_of_all_descendants_are_added_up(tmp_path: Path) -> None:
    thread(tmp_path, 10, 10, ns=1, children="20 ")
    thread(tmp_path, 10, 11, ns=20)
    thread(tmp_path, 20, 20, ns=300, children="30 31 ")
    thread(tmp_path, 30, 30, ns=4000)
    thread(tmp_path, 31, 31, ns=50000)
    thread(tmp_path, 99, 99, ns=600000)  # somebody else's
    assert cost.cpu_ns(10, tmp_path) == 54321


def test_a_descendant_that_has_ended_is_left_out(tmp_path: Path) -> None:
    thread(tmp_path, 10, 10, ns=7, children="20 ", pages=2)
    assert cost.cpu_ns(10, tmp_path) == 7
    assert cost.rss_bytes(10, tmp_path) == 2 * os.sysconf("SC_PAGE_SIZE")


def test_memory_is_that_of_all_processes(tmp_path: Path) -> None:
    thread(tmp_path, 10, 10, ns=0, children="20 ", pages=100)
    thread(tmp_path, 20, 20, ns=0, pages=11)
    assert cost.rss_bytes(10, tmp_path) == 111 * os.sysconf("SC_PAGE_SIZE")


def test_this_process_costs_more_the_longer_it_works() -> None:
    before, started = cost.cpu_ns(os.getpid()), time.process_time()
    while time.process_time() - started < 0.03:
        pass
    assert cost.cpu_ns(os.getpid()) - before > 20e6  # a tick may not have been counted yet
