"""Rules of multi-factor authentication: which methods together are enough for a user. Pure.

A user's option `multi_factor_auth_rules` is a list of lists of methods; one list shown in full is enough. Methods
that do not exist are taken out of a rule, and a rule without any left does not count (Identity API, "Multi-Factor
Authentication"): rules can demand more, and a typing error cannot lock everybody out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any


def rules_of(options: Mapping[str, Any], methods: Collection[str]) -> list[frozenset[str]]:
    """The rules that count for a user; none when the option is off."""
    if options.get("multi_factor_auth_enabled") is not True:
        return []
    rules = options.get("multi_factor_auth_rules") or []
    known = [frozenset(method for method in rule if method in methods) for rule in rules]
    return [rule for rule in known if rule]


def enough(rules: Collection[frozenset[str]], shown: Collection[str]) -> bool:
    """Whether the methods shown satisfy a rule (or there is none)."""
    return not rules or any(rule.issubset(shown) for rule in rules)


def missing(rules: Collection[frozenset[str]]) -> list[list[str]]:
    """What is required, as a receipt tells it."""
    return sorted(sorted(rule) for rule in rules)
