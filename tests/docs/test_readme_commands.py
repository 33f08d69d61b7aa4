"""Every command of the README is run by a test: the cheap ones here, the others by the test this table names."""

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli.main import build_parser

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^( *)```(?:console|sh)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
GATEWAY = ".venv/bin/gateway"

RUN_HERE = {
    f"{GATEWAY} explain GW-1501": 0,
    f"{GATEWAY} try drivers/captures/serial.json": 0,
    "scripts/bench": 0,
    "scripts/install --dry-run": 0,
}
"""command -> exit code"""

INSTALL = "tests/e2e/test_install_in_chroot.py"
RUN_THERE = {
    "git clone <this repository> meshblu-gateway && cd meshblu-gateway": ".ci/run",  # CI is a clone
    "scripts/check": ".ci/run",
    "scripts/test": ".ci/run",
    "scripts/test --quick": "tests/unit/scripts/test_run_tests.py::test_quick_needs_neither_tools_nor_patience",
    ".venv/bin/python -m scripts._reference": "tests/docs/test_readme_reference.py::test_the_generated_parts_are_up_to_date",
    f"{GATEWAY} broker certificate kitchen --out kitchen.pem": "tests/e2e/test_listeners.py::test_a_user_comes_in_by_a_certificate_that_the_node_issued",
    "sudo scripts/install": f"{INSTALL}::test_the_unit_starts_what_was_laid_down",
    "sudo scripts/install --remove": f"{INSTALL}::test_removing_takes_the_program_and_leaves_configuration_and_state",
    "scripts/bench pipeline --quick --json pipeline.json": "tests/e2e/test_measurements.py::test_the_pipeline_is_measured",
    "scripts/soak memory --quick": "tests/e2e/test_measurements.py::test_memory_is_soaked",
}
"""command -> the test that does the same in other words, as `file` or `file::test`"""

WORD_FOR_WORD = ROOT / "tests" / "e2e" / "test_readme.py"
"""Everything else stands there as the README has it."""


def commands() -> list[str]:
    """Each command line of the README's console blocks, in order."""
    text = (ROOT / "README.md").read_text("utf-8")
    lines = (line.strip() for _, block in BLOCK.findall(text) for line in block.splitlines())
    return [line.removeprefix("$ ") for line in lines if line and not line.startswith("#")]


def test_the_readme_has_commands() -> None:
    assert len(commands()) > 15


def run_word_for_word() -> set[str]:
    """Each text that the end-to-end test hands to its shell (which refuses what the README does not say)."""
    calls = (
        node
        for node in ast.walk(ast.parse(WORD_FOR_WORD.read_text("utf-8")))
        if isinstance(node, ast.Call)
    )
    return {
        call.args[0].value
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr in {"run", "start", "words"}
        and call.args and isinstance(call.args[0], ast.Constant)
    }  # fmt: skip


def test_every_command_of_the_readme_is_run_by_a_test() -> None:
    run = {*RUN_HERE, *RUN_THERE, *run_word_for_word()}
    assert [line for line in commands() if line not in run] == []


def test_no_row_outlives_its_command() -> None:
    assert [line for line in [*RUN_HERE, *RUN_THERE] if line not in commands()] == []


@pytest.mark.parametrize("where", sorted(set(RUN_THERE.values())))
def test_the_test_that_runs_it_exists(where: str) -> None:
    file, _, name = where.partition("::")
    assert (ROOT / file).exists(), file
    assert not name or re.search(
        rf"^(async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE
    )


@pytest.mark.parametrize("line", RUN_HERE)
def test_a_cheap_command_does_what_the_readme_shows(line: str) -> None:
    words = shlex.split(line)
    if words[0] == GATEWAY:
        words[:1] = [sys.executable, "-m", "gateway"]
    done = subprocess.run(words, cwd=ROOT, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == RUN_HERE[line], done.stdout + done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("line", [line for line in commands() if line.startswith(GATEWAY)])
def test_the_program_understands_the_words_of_the_readme(line: str) -> None:
    words = shlex.split(line.partition(" < ")[0])[1:]
    assert build_parser(words[0]).parse_args(words).command == words[0]
