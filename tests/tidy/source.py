"""Our own source files, parsed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "core",
    "authd",
    "blockd",
    "imaged",
    "networkd",
    "computed",
    "apid",
    "ring",
    "objectd",
    "proxy",
    "volume",
    "noded",
    "cli",
    "sim",
    "bench",
)


class Module(NamedTuple):
    """One file: its path from the root, its text and its tree."""

    path: str
    text: str
    tree: ast.Module

    @property
    def docstring(self) -> str:
        return ast.get_docstring(self.tree) or ""

    @property
    def pure(self) -> bool:
        return self.docstring.partition("\n")[0].endswith("Pure.")

    def imports(self) -> Iterator[str]:
        """Full names of what is imported, wherever in the file."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


@lru_cache
def modules(*packages: str) -> tuple[Module, ...]:
    """Every module of these packages (all by default), in order."""
    found = []
    for package in packages or PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            text = path.read_text()
            found.append(Module(str(path.relative_to(ROOT)), text, ast.parse(text)))
    return tuple(found)
