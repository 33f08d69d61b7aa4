"""The program of the README that embeds the broker runs, keeps what it promises, and is there again."""

import re
import signal
import subprocess
import sys
from pathlib import Path

from tests.fakes.nodes import free_port

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = re.compile(r"```python\n(.*?)```", re.DOTALL)


def test_the_program_of_the_readme_runs_and_a_client_gets_what_it_retained(tmp_path: Path) -> None:
    (program,) = PROGRAM.findall((ROOT / "README.md").read_text("utf-8"))
    port = free_port()
    script = tmp_path / "own.py"
    script.write_text(program.replace("1884", str(port)), "utf-8")
    for _ in range(2):  # the second finds the file of the first
        process = subprocess.Popen(
            [sys.executable, "-u", str(script)], cwd=tmp_path, stdout=subprocess.PIPE, text=True,
            env={"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            while said and "world" not in said:
                said = process.stdout.readline()
            assert said == "home/hello b'world'\n"
            assert _retained(port) == (b"world", True)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(10)
            process.stdout.close()


def _retained(port: int) -> tuple[bytes, bool]:
    from paho.mqtt import subscribe

    message = subscribe.simple(
        "home/hello",
        hostname="127.0.0.1",
        port=port,
        auth={"username": "anybody", "password": "a secret"},
    )
    return message.payload, bool(message.retain)
