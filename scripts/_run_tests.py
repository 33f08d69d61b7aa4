"""Run the parts of the test suite one after the other and count; behind `scripts/test`."""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts import _tools
from scripts._errors import ScriptError, exit_with
from scripts._parts import PARTS, QUICK, Part, files_of, tools_of

ROOT = Path(__file__).resolve().parent.parent
CLIENTS = ROOT / "tests" / "clients"
NO_TESTS = 5  # pytest's exit code when it collected nothing


@dataclass(slots=True)
class Count:
    """What pytest counted."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def add(self, other: "Count") -> None:
        """Add another part's numbers."""
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def main(argv: Sequence[str] | None = None) -> int:
    """Run what was asked for; 1 when a test failed or none ran."""
    args = _parse(argv)
    parts = _chosen(args)
    files = {name: files_of(part, ROOT) for name, part in parts.items()}
    if not args.quick:
        asked = tools_of(path for found in files.values() for path in found)
        # A whole run names everything at once, so that no part stops for a question half an hour later.
        _provide_tools(asked if args.only else asked | set(_tools.TOOLS), yes=args.yes)
    total, lines, code = Count(), [], 0
    for name, part in parts.items():
        started = time.monotonic()
        print(f"\n== {name}", flush=True)
        count, part_code = _run(part, files[name], args.rest)
        total.add(count)
        code = code or part_code
        lines.append(f"{name:<10} {count}  ({time.monotonic() - started:.0f} s)")
    print("\n" + "\n".join(lines))
    if not total.passed and not total.failed:
        print("no test ran", file=sys.stderr)
        code = code or 1
    print(total)
    return 1 if code or total.failed else 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/test",
        description="Run the tests; without options all of them.",
        epilog="What follows -- goes to pytest: scripts/test --only unit -- -k topics -x",
    )
    parser.add_argument("--quick", action="store_true", help="unit and contract tests, no tools")
    parser.add_argument("--only", metavar="NAME", action="append", choices=["quick", *PARTS],
                        help=f"one part (repeatable): quick, {', '.join(PARTS)}")  # fmt: skip
    parser.add_argument("--yes", action="store_true", help="install missing Debian packages")
    parser.add_argument("rest", nargs="*", metavar="-- PYTEST", help="words for pytest")
    return parser.parse_args(argv)


def _chosen(args: argparse.Namespace) -> dict[str, Part]:
    if args.quick:
        return {"quick": QUICK}
    known = {"quick": QUICK, **PARTS}
    return {name: known[name] for name in args.only or PARTS}


def _run(part: Part, files: Sequence[Path], rest: Sequence[str]) -> tuple[Count, int]:
    if not files:
        print("no test module here yet")
        return Count(), 1
    with tempfile.TemporaryDirectory(prefix="gateway-tests-") as folder:
        report = Path(folder) / "report.xml"
        words = [sys.executable, "-m", "pytest", "-q", "--durations=3", "--durations-min=2"]
        words += ["--timeout", str(part.limit_s), f"--junitxml={report}"]
        words += ["-n", str(part.workers)] if part.workers else ["-p", "no:xdist"]
        words += ["-m", part.marks] if part.marks else []
        words += [*rest, *(str(path.relative_to(ROOT)) for path in files)]
        # pytest-xdist's workers must collect in one order, also where cases come from a set.
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        code = subprocess.run(words, cwd=ROOT, check=False, env=environment).returncode
        count = read_report(report)
    return count, 0 if code == NO_TESTS and rest else code


def read_report(report: Path) -> Count:
    """Count what a JUnit report says; errors outside a test's body are failures."""
    if not report.exists():
        return Count(failed=1)
    count = Count()
    for suite in ET.parse(report).getroot().iter("testsuite"):  # noqa: S314 - pytest wrote it just now
        failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped = int(suite.get("skipped", 0))
        passed = max(0, int(suite.get("tests", 0)) - failed - skipped)
        count.add(Count(passed, failed, skipped))
    return count


def _provide_tools(asked: set[str], *, yes: bool) -> None:
    """Name the missing Debian packages, install them if allowed, then the npm packages of tests/clients."""
    npm_asked = any(tool.startswith(_tools.NPM) for tool in asked)
    needed = {tool for tool in asked if tool in _tools.TOOLS} | ({"npm"} if npm_asked else set())
    missing = sorted({_tools.TOOLS[t] for t in needed if _tools.find(t, CLIENTS) is None})
    if missing:
        print(
            f"Debian packages the tests start: {' '.join(sorted({_tools.TOOLS[t] for t in needed}))}"
        )
        print(f"missing: {' '.join(missing)}")
        if yes or _agreed():
            _apt_install(missing)
        else:
            print("going on without: tests that need them are skipped (in CI they fail)")
    if npm_asked and _tools.find("npm", CLIENTS):
        _npm_install()


def _agreed() -> bool:
    if not sys.stdin or not sys.stdin.isatty():
        return False
    return input("install them with apt-get? [y/N] ").strip().lower() in {"y", "yes"}


def _apt_install(packages: Sequence[str]) -> None:
    apt = shutil.which("apt-get")
    if apt is None:
        raise ScriptError(
            "this system has no apt-get",
            code="GW-1957",
            hint=f"install what Debian calls {' '.join(packages)} with your own package manager",
        )
    prefix = [] if os.geteuid() == 0 else [shutil.which("sudo") or "sudo"]
    environment = ["env", "DEBIAN_FRONTEND=noninteractive"]
    words = [*prefix, *environment, apt, "-q", "-y"]
    subprocess.run([*words, "update"], check=False, stdin=subprocess.DEVNULL)
    done = subprocess.run(
        [*words, "install", "--no-install-recommends", *packages],
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        raise ScriptError(
            f"apt-get could not install {' '.join(packages)}",
            code="GW-1957",
            hint="read apt-get's words above; scripts/test --quick needs none of them",
        )


def _npm_install() -> None:
    """Install exactly what the lock file says, once for each of its contents."""
    lock = CLIENTS / "package-lock.json"
    stamp = CLIENTS / "node_modules" / ".meshblu-gateway"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text("utf-8") == digest:
        return
    print("npm ci in tests/clients ...", flush=True)
    words = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(words, cwd=CLIENTS, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise ScriptError(
            "npm ci failed in tests/clients",
            code="GW-1957",
            hint="read npm's words above; scripts/test --quick needs none of it",
        )
    stamp.write_text(digest, "utf-8")


if __name__ == "__main__":
    exit_with("scripts/test", main)
