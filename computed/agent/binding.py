"""libvirt's Python binding: the one of Debian's package, which needs no compiler, or one that is installed beside us.

It is loaded when a host runs guests and not before; a machine without it runs the rest of the cloud.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from core.errors import Unavailable

DEBIAN = Path("/usr/lib/python3/dist-packages")
PACKAGE = "python3-libvirt"


def load() -> ModuleType:
    """The module `libvirt`. Raises Unavailable with what to install."""
    if "libvirt" in sys.modules:
        return sys.modules["libvirt"]
    if importlib.util.find_spec("libvirt") is None:
        for name in ("libvirtmod", "libvirt", "libvirtmod_qemu", "libvirt_qemu"):
            _load_from_debian(name)
    return importlib.import_module("libvirt")


def monitor_command(domain: Any, command: str) -> str:
    """What QEMU's own monitor answers; for the little that libvirt has no verb for. Raises libvirtError."""
    answer: str = importlib.import_module("libvirt_qemu").qemuMonitorCommand(domain, command, 0)
    return answer


def _load_from_debian(name: str) -> None:
    """One module of Debian's own Python, and nothing else from there."""
    suffixes = ("cpython-{}{}-x86_64-linux-gnu.so".format(*sys.version_info), "py")
    found = next(
        (DEBIAN / f"{name}.{end}" for end in suffixes if (DEBIAN / f"{name}.{end}").exists()), None
    )
    spec = None if found is None else importlib.util.spec_from_file_location(name, found)
    if spec is None or spec.loader is None:
        raise Unavailable("NoLibvirt", f"guests need libvirt: apt-get install {PACKAGE}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
