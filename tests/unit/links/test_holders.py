"""Who has a file open."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.links.holders import holders

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="there is no /proc here")


def test_a_program_that_has_the_file_open_is_named_by_its_script(tmp_path: Path) -> None:
    file = tmp_path / "port"
    file.touch()
    link = tmp_path / "link"
    link.symlink_to(file)
    script = tmp_path / "monitor.py"
    script.write_text("import sys\nf=open(sys.argv[1])\nprint(flush=True)\nsys.stdin.read()\n")
    with subprocess.Popen(
        [sys.executable, str(script), str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        (holder,) = holders(str(link))
        other.kill()
    assert (holder.pid, "monitor.py" in holder.program) == (other.pid, True)
    assert f"(pid {other.pid})" in str(holder)


def test_this_process_is_called_the_gateway_itself(tmp_path: Path) -> None:
    with (tmp_path / "port").open("w") as file:
        (holder,) = holders(file.name)
    assert holder.pid == os.getpid()
    assert "this gateway itself" in str(holder)


def test_a_file_that_nobody_has_open_has_no_holder(tmp_path: Path) -> None:
    (tmp_path / "port").touch()
    assert holders(str(tmp_path / "port")) == []
