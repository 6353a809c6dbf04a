"""What the figures were measured on and with."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

from benchmarks.cores import Cores

#: Tools by their Debian packages.
PACKAGES = {"wrk": "wrk", "h2load": "nghttp2-client", "taskset": "util-linux", "openssl": "openssl"}


def describe_machine(cores: Cores) -> dict[str, str]:
    """Return what there is to say of this machine, by what it is."""
    pinned = "not pinned" if cores.server is None else f"server on {cores.server}, client on {cores.client}"
    kilobytes = int(find_line("/proc/meminfo", r"MemTotal: +(\d+)") or 0)
    return {
        "processor": find_line("/proc/cpuinfo", r"model name\s*: (.*)") or platform.machine(),
        "cores": f"{os.cpu_count()}; {pinned}",
        "memory": f"{kilobytes / 1e6:.0f} GB",
        "system": find_line("/etc/os-release", r'PRETTY_NAME="(.*)"') or platform.system(),
        "kernel": platform.release(),
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }


def find_line(path: str, pattern: str) -> str:
    """Return what the first line that matches has in its group, empty where there is none."""
    try:
        found = re.search(f"^{pattern}", Path(path).read_text("utf-8", "replace"), re.MULTILINE)
    except OSError:
        return ""
    return found[1].strip() if found else ""


def missing_tools() -> list[str]:
    """Return the tools that are not installed."""
    return [tool for tool in PACKAGES if shutil.which(tool) is None]


def tool_versions() -> dict[str, str]:
    """Return the versions of the load generators that are there."""
    found = {}
    for tool, flag in (("wrk", "-v"), ("h2load", "--version")):
        if shutil.which(tool):
            done = subprocess.run([tool, flag], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            words = re.search(r"\d+\.\d+[.\w-]*", done.stdout)
            found[tool] = words[0] if words else "unknown"
    return found
