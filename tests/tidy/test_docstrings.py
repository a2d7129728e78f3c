"""Every module says what it promises."""

from __future__ import annotations

from tests.tidy.source import modules


def test_every_module_says_what_it_promises() -> None:
    """In a docstring that begins with a sentence."""
    for module in modules():
        first = module.docstring.partition("\n")[0]
        assert len(first) > 10, f"{module.path} has no docstring"
        assert first[-1] in ".:?", f"{module.path}: {first!r} is no sentence"
        assert len(module.docstring.splitlines()) <= 20, f"{module.path}: a docstring, not a manual"
