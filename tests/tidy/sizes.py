"""`python -m tests.tidy.sizes`: the ten longest files and functions, to look at now and then."""

from __future__ import annotations

import ast

from tests.tidy.source import modules

SHOWN = 10


def longest_files() -> list[tuple[int, str]]:
    """(lines, path), longest first."""
    return sorted(((len(m.text.splitlines()), m.path) for m in modules()), reverse=True)[:SHOWN]


def longest_functions() -> list[tuple[int, str]]:
    """(lines, path:line name), longest first."""
    found = []
    for module in modules():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                found.append((lines, f"{module.path}:{node.lineno} {node.name}"))
    return sorted(found, reverse=True)[:SHOWN]


def main() -> None:
    for title, rows in (("files", longest_files()), ("functions", longest_functions())):
        print(f"the longest {title}")
        for lines, name in rows:
            print(f"{lines:>6}  {name}")


if __name__ == "__main__":
    main()
