"""A node may have as many sockets as the system lets it."""

import subprocess
import sys

CODE = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, {hard}))
from gateway.runtime.descriptors import raise_limit
print(raise_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(hard=512)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["512", "512", "512"]
