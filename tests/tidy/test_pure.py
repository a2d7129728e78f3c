"""Decisions are pure, and there is one door to the outside world.

A module whose first docstring line ends with "Pure." neither awaits nor reads a clock, draws a number or opens
anything. Outside the places named here, nobody uses clocks, chance, threads or processes but through `core.env`.
"""

from __future__ import annotations

import ast

import pytest

from tests.tidy.source import PACKAGES, Module, modules

IMPURE = {"asyncio", "time", "random", "os", "socket", "threading", "subprocess", "uuid", "secrets"}
IMPURE |= {"tempfile", "shutil", "selectors", "signal", "multiprocessing", "uvloop", "lmdb"}
# a pure module may name a type of an impure one, when it is handed the object
TYPES_ONLY = {"sim/faults.py": {"random"}}

# protocols, plain types and constants: nothing in them runs
VALUES = {
    "authd.settings.Settings",
    "blockd.port.ExportInfo",
    "blockd.port.Limits",
    "core.http.Response",
    "core.http.header_text",  # decodes a header
    "core.rows.Row",
    "objectd.index.BAD_ROW",
    "objectd.index.Index",
    "proxy.large.DYNAMIC_SEGMENTS_MAX",
    "proxy.large.LINKS_MAX",
    "proxy.large.LINK_SUFFIX",
    "proxy.large.Segment",
    "proxy.store.port.Check",
    "proxy.store.registers.NewRecord",
    "proxy.swift.errors.SwiftError",
    "proxy.swift.errors.status_line",
    "proxy.swift.errors.status_of",
    "proxy.swift.report.Report",
    "volume.port.BLOCK_BYTES",
    "volume.port.Extent",
    "volume.port.SIZE_MAX",
    "volume.port.SnapshotInfo",
    "volume.port.VolumeInfo",
}

# modules of such alone, beside the protocols of what acts
PLAIN_MODULES = {"computed.port"}

OUTSIDE = {"time", "random", "uuid", "threading", "subprocess", "secrets", "multiprocessing"}
DOORS = {"core/real.py"}


def test_pure_modules_wait_for_nothing_and_touch_nothing() -> None:
    """No async, no await, no clock, chance, disk, socket or thread, and no shell of ours."""
    pure = [module for module in modules() if module.pure]
    assert len(pure) > 40
    for module in pure:
        tops = {name.partition(".")[0] for name in module.imports()}
        bad = tops & IMPURE - TYPES_ONLY.get(module.path, set())
        assert not bad, f"{module.path} is pure and imports {', '.join(sorted(bad))}"
        for node in ast.walk(module.tree):
            waits = isinstance(
                node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith
            )
            assert not waits, f"{module.path}:{getattr(node, 'lineno', 0)} waits"
            opens = (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in {"open", "print", "input"}
            )
            assert not opens, f"{module.path}:{getattr(node, 'lineno', 0)} does I/O"


def test_a_pure_module_takes_only_values_from_modules_that_are_not() -> None:
    """Purity would otherwise be a matter of one hop."""
    by_name = {module.path.removesuffix(".py").replace("/", "."): module for module in modules()}
    for module in modules():
        if not module.pure:
            continue
        for name in module.imports():
            target = by_name.get(name) or by_name.get(name.rpartition(".")[0])
            if target is None or target.path.endswith("__init__.py") or target.pure:
                continue
            known = name in VALUES or {name, name.rpartition(".")[0]} & PLAIN_MODULES
            assert known, f"{module.path} is pure and imports {name}"


def calls_urandom(module: Module) -> bool:
    return any(
        isinstance(node, ast.Attribute) and node.attr in {"urandom", "getrandom"}
        for node in ast.walk(module.tree)
    )


@pytest.mark.parametrize("package", ["core", "authd", "apid", "ring", "objectd", "proxy"])
def test_clocks_chance_threads_and_processes_come_through_the_door(package: str) -> None:
    """So that the simulator owns them."""
    for module in modules(package):
        if module.path in DOORS:
            continue
        tops = {name.partition(".")[0] for name in module.imports()}
        bad = tops & OUTSIDE
        assert not bad, f"{module.path} imports {', '.join(sorted(bad))}"
        assert not calls_urandom(module), f"{module.path} draws from the kernel"


def test_wall_clocks_are_not_read_through_datetime() -> None:
    """`datetime.now` is a clock too."""
    for module in modules(
        *(one for one in PACKAGES if one not in {"noded", "cli", "sim", "bench"})
    ):
        for node in ast.walk(module.tree):
            reads = (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in {"now", "utcnow", "today"}
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id in {"datetime", "date"}
            )
            assert not reads, f"{module.path}:{getattr(node, 'lineno', 0)} reads a clock"
