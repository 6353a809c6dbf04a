"""The environment that the servers run in: what is installed there, and which versions.

greenserve is installed from the checkout as users get it, not as a link to it; the peers come from PyPI.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Container, Iterable
from pathlib import Path

from benchmarks.peer import Peer
from benchmarks.server import ROOT, telling_line

METADATA = ("setup.cfg", "setup.py", "pyproject.toml", "README.md", "LICENSE")
FRAMEWORKS = ("flask", "django")
#: Bears the digest of the checkout that was installed.
STAMP = "greenserve-benchmarked"

ASK_PREFIX = "import sys; print(sys.prefix if sys.prefix != sys.base_prefix else '')"
ASK_VERSIONS = """
import importlib.metadata, json
print(json.dumps({each.metadata["Name"]: each.version for each in importlib.metadata.distributions()}))
"""


class NotInstalled(Exception):
    """pip failed; the text is what it said."""


class Environment:
    """The environment of an interpreter, given by its path."""

    def __init__(self, python: str) -> None:
        self.python = python

    def ask(self, program: str) -> str:
        """Return what a little program prints there."""
        return subprocess.run(
            [self.python, "-c", program], capture_output=True, text=True, check=True, cwd="/"
        ).stdout.strip()

    def prefix(self) -> Path | None:
        """Return its folder, None where it is no virtual environment but the system's own."""
        return Path(prefix) if (prefix := self.ask(ASK_PREFIX)) else None

    def versions(self) -> dict[str, str]:
        """Return the version of each installed distribution, by its normalized name."""
        found = json.loads(self.ask(ASK_VERSIONS))
        return {normalized(name): version for name, version in sorted(found.items())}

    def pip_install(self, *arguments: str) -> None:
        """Raises NotInstalled."""
        command = [self.python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *arguments]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise NotInstalled(f"not installed: {telling_line(done.stdout) or 'pip failed'}")

    def install_checkout(self) -> bool:
        """Install greenserve with what the suite itself needs; return whether that was necessary.

        Raises NotInstalled, and SystemExit where this is no virtual environment.
        """
        prefix = self.prefix()
        if prefix is None:
            raise SystemExit(
                f"{self.python} is not in a virtual environment: run `make bench`, or --no-install"
            )
        stamp = prefix / STAMP
        digest = digest_of_checkout()
        if stamp.exists() and stamp.read_text() == digest:
            return False
        stamp.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
            # A copy: building would leave a folder in the checkout, and old modules in that.
            shutil.copytree(
                ROOT / "greenserve", Path(name, "greenserve"), ignore=shutil.ignore_patterns("__pycache__")
            )
            for each in METADATA:
                shutil.copy(ROOT / each, name)
            self.pip_install(f"{name}[bench]")
            self.pip_install("--force-reinstall", "--no-deps", name)
        stamp.write_text(digest)
        return True

    def install(self, requirements: Iterable[str], present: Container[str], upgrade: bool) -> None:
        """Install what is not `present`, or the newest of all.  Raises NotInstalled."""
        missing = [each for each in requirements if upgrade or normalized(each) not in present]
        if missing:
            self.pip_install(*(["--upgrade"] if upgrade else []), *missing)

    def install_peers(self, peers: Iterable[Peer], upgrade: bool) -> dict[str, str]:
        """Install the frameworks, and each peer by itself; return why, by name, for those that could not be.

        Raises NotInstalled where the frameworks cannot.
        """
        present = self.versions()
        self.install(FRAMEWORKS, present, upgrade)
        failures = {}
        for peer in peers:
            try:
                self.install(peer.requirements, present, upgrade)
            except NotInstalled as error:  # noqa: PERF203 -- the others are to be installed
                failures[peer.name] = str(error)
        return failures


def normalized(name: str) -> str:
    """Return the name of a distribution as PEP 503 compares them."""
    return name.lower().replace("_", "-").replace(".", "-")


def digest_of_checkout() -> str:
    """Return a digest of all that is installed from the checkout."""
    digest = hashlib.sha256()
    package = (path for path in (ROOT / "greenserve").rglob("*") if path.is_file())
    for path in sorted([*package, *(ROOT / name for name in METADATA)]):
        if "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def describe_checkout() -> str:
    """Return the commit, and whether there are changes that it does not have; empty without git."""
    git = ["git", "-C", str(ROOT)]
    commit = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    if commit.returncode:
        return ""
    changed = subprocess.run(
        [*git, "status", "--porcelain", "--", "greenserve"], capture_output=True, text=True
    ).stdout
    return commit.stdout.strip() + (" with changes" if changed.strip() else "")
