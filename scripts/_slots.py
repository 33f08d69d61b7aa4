"""The two code slots `/opt/gateway/{a,b}`: a new release is built beside the running one, then `current` flips.

A build that fails, or whose command does not start, leaves `current` as it was.
"""

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from scripts import _checkout, _pip
from scripts._target import Target

HOME = "/opt/gateway"
CURRENT = f"{HOME}/current"
SLOTS = ("a", "b")
STAMP = "meshblu-gateway.sha256"
BUILT_FROM = ("pyproject.toml", "requirements.txt")


class Slots:
    """The slots of one target, filled from the checkout at `source`."""

    def __init__(self, target: Target, source: Path) -> None:
        self._target = target
        self._source = source

    def current(self) -> str | None:
        """Name the slot in use."""
        link = self._target.path(CURRENT)
        return link.readlink().name if link.is_symlink() else None

    def is_up_to_date(self) -> bool:
        """Whether the slot in use was built from exactly this checkout."""
        stamp = self._target.path(f"{CURRENT}/{STAMP}")
        return stamp.exists() and stamp.read_text("ascii") == self.digest()

    def next(self) -> str:
        """Name the slot to build."""
        return SLOTS[1] if self.current() == SLOTS[0] else SLOTS[0]

    def build(self, wheels: Path | None) -> None:
        """Build the slot not in use and make it `current`."""
        name = self.next()
        inside, outside = f"{HOME}/{name}", self._target.path(f"{HOME}/{name}")
        shutil.rmtree(outside, ignore_errors=True)
        outside.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._target.run(self._target.python(), "-m", "venv", inside)
        self._install_packages(inside, outside, wheels)
        _checkout.copy_into(self._source, outside, f"{inside}/bin/python")
        # The service may not write here, so bytecode is made now (pip has made its packages' own): it saves
        # a second of CPU at each start on a small board.
        site = f"{inside}/{_checkout.site_packages(outside).relative_to(outside)}"
        compiled = [f"{site}/{package}" for package in _checkout.PACKAGES]
        self._target.run(f"{inside}/bin/python", "-m", "compileall", "-q", *compiled)
        self._target.run(f"{inside}/bin/gateway", "--version")
        (outside / STAMP).write_text(self.digest(), "ascii")
        self._flip(name)

    def _install_packages(self, inside: str, outside: Path, wheels: Path | None) -> None:
        listed = self._source / "requirements.txt"
        shutil.copy(listed, outside / listed.name)
        if wheels:  # the other system may not see our folders
            shutil.copytree(wheels, outside / "wheels")
        _pip.install(
            self._target.words(f"{inside}/bin/python", "-m", "pip"),
            f"{inside}/{listed.name}",
            total=_pip.count_requirements(listed),
            wheels=f"{inside}/wheels" if wheels else None,
        )
        shutil.rmtree(outside / "wheels", ignore_errors=True)

    def _flip(self, name: str) -> None:
        """Point `current` at `name` in one rename: there is no moment without a release."""
        fresh = self._target.path(f"{CURRENT}.new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(name)
        fresh.replace(self._target.path(CURRENT))

    def digest(self) -> str:
        """Hash everything a slot is built from."""
        whole = hashlib.sha256()
        for path in self._sources():
            whole.update(str(path.relative_to(self._source)).encode())
            whole.update(hashlib.sha256(path.read_bytes()).digest())
        return whole.hexdigest()

    def _sources(self) -> Iterator[Path]:
        yield from (self._source / name for name in BUILT_FROM)
        for package in _checkout.PACKAGES:
            found = sorted((self._source / package).rglob("*"))
            yield from (p for p in found if p.is_file() and "__pycache__" not in p.parts)
