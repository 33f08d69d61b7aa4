"""Put this project into a virtual environment as pip would, without its build backend and without a network.

A development environment points at the checkout (a `.pth` file); an installed slot gets its own copy of the
packages.  Both get the `.dist-info` folder through which drivers are found (`gateway.drivers` entry points).
"""

import shutil
import stat
import tomllib
from pathlib import Path
from typing import Any

PACKAGES = ("gateway", "drivers")
INSTALLER = "meshblu-gateway-scripts"

# pip's own trick: a kernel reads at most 127 bytes of a `#!` line and knows no spaces; /bin/sh does.
LAUNCHER = """#!/bin/sh
'''exec' "{python}" "$0" "$@"
' '''
import sys
from {module} import {function}
sys.exit({function}())
"""


def project(root: Path) -> dict[str, Any]:
    """Read the `[project]` table of the checkout at `root`."""
    table: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    return table


def site_packages(venv: Path) -> Path:
    """Find where an environment keeps its packages."""
    return next((venv / "lib").glob("python3*/site-packages"))


def point_at(root: Path, venv: Path) -> None:
    """Make `venv` import the packages of the checkout at `root`, wherever it is started from."""
    site = site_packages(venv)
    _forget(site)
    (site / "_meshblu_gateway.pth").write_text(f"{root}\n", "utf-8")
    _register(root, site, ["_meshblu_gateway.pth"])
    _write_launchers(root, venv, venv / "bin" / "python")


def copy_into(root: Path, venv: Path, python: str) -> None:
    """Copy the packages of the checkout into `venv`; `python` is its interpreter as it will be called."""
    site = site_packages(venv)
    _forget(site)
    for package in PACKAGES:
        shutil.rmtree(site / package, ignore_errors=True)
        shutil.copytree(
            root / package, site / package, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
        )
    files = (path for package in PACKAGES for path in (site / package).rglob("*"))
    _register(root, site, sorted(str(path.relative_to(site)) for path in files if path.is_file()))
    _write_launchers(root, venv, Path(python))


def _forget(site: Path) -> None:
    """Remove every earlier registration of this project, pip's included."""
    for found in [*site.glob("meshblu_gateway-*.dist-info"), *site.glob("__editable__*meshblu*")]:
        if found.is_dir():
            shutil.rmtree(found)
        else:
            found.unlink()
    (site / "_meshblu_gateway.pth").unlink(missing_ok=True)


def _register(root: Path, site: Path, files: list[str]) -> None:
    table = project(root)
    folder = site / f"meshblu_gateway-{table['version']}.dist-info"
    folder.mkdir()
    written = {
        "METADATA": _metadata(table),
        "entry_points.txt": _entry_points(table),
        "INSTALLER": f"{INSTALLER}\n",
    }
    for name, text in written.items():
        (folder / name).write_text(text, "utf-8")
    recorded = [*files, *(f"{folder.name}/{name}" for name in (*written, "RECORD"))]
    (folder / "RECORD").write_text("".join(f"{name},,\n" for name in recorded), "utf-8")


def _metadata(table: dict[str, Any]) -> str:
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {table['name']}",
        f"Version: {table['version']}",
        f"Summary: {table['description']}",
        f"Requires-Python: {table['requires-python']}",
        *(f"Requires-Dist: {requirement}" for requirement in table["dependencies"]),
    ]
    return "\n".join(lines) + "\n"


def _entry_points(table: dict[str, Any]) -> str:
    groups = {"console_scripts": table.get("scripts", {}), **table.get("entry-points", {})}
    blocks = (
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in entries.items())
        for group, entries in groups.items()
    )
    return "\n".join(blocks)


def _write_launchers(root: Path, venv: Path, python: Path) -> None:
    for name, target in project(root).get("scripts", {}).items():
        module, function = target.split(":")
        launcher = venv / "bin" / name
        launcher.unlink(missing_ok=True)
        launcher.write_text(
            LAUNCHER.format(python=python, module=module, function=function), "utf-8"
        )
        launcher.chmod(launcher.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
