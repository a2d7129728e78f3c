"""Policy: oslo.policy with defaults in code, overrides in a YAML file, and no as the answer to the unknown.

Operators override a rule by writing it in `DATA/policy/<service>.yaml`; the file is read again when it
changes. A rule that no default names is refused, whatever the file says about a rule called `default`.
"""

from __future__ import annotations

import ast
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from oslo_config import cfg
from oslo_policy import policy as oslo

from core.identity import Identity

log = logging.getLogger("ringstack.policy")


# oslo.policy takes this rule for one that is missing. No file can hold this name, so missing is denied.
NO_DEFAULT = "\0none"


class Rule(NamedTuple):
    """A rule's documented default: oslo.policy's check string, and the scopes a token may have."""

    name: str
    check: str
    scopes: tuple[str, ...] = ()


class Comparison(oslo.Check):
    """`attribute:%(target)s`, as oslo.policy means it, except that two missing values are not equal.

    oslo.policy compares texts, so a target without a domain (None) would equal a caller without one, and
    `domain_id:%(target.domain_id)s` would let every project's reader in.
    """

    def __call__(
        self, target: Mapping[str, Any], creds: Mapping[str, Any], *others: object, **more: object
    ) -> bool:
        """Whether it holds."""
        del others, more
        try:
            wanted = self.match % target
        except KeyError:
            return False
        try:
            return bool(wanted == str(ast.literal_eval(self.kind)))
        except ValueError:
            pass
        if "%(" in self.match and wanted == "None":
            return False
        return _holds(creds, self.kind.split("."), wanted)


def _holds(value: Any, path: list[str], wanted: str) -> bool:
    """Whether something at a path of nested dictionaries and lists reads like `wanted`."""
    if isinstance(value, list):
        return any(_holds(item, path, wanted) for item in value)
    if not path:
        return str(value) == wanted
    return (
        isinstance(value, Mapping) and path[0] in value and _holds(value[path[0]], path[1:], wanted)
    )


oslo.register(None, Comparison)


class Policy:
    """The rules of one service."""

    def __init__(self, rules: Iterable[Rule], overrides: Path) -> None:
        conf = cfg.ConfigOpts()
        conf([], project="ringstack", default_config_files=[], default_config_dirs=[])
        self._enforcer = oslo.Enforcer(conf, policy_file=str(overrides), default_rule=NO_DEFAULT)
        conf.set_override("policy_dirs", [], group="oslo_policy")
        self.names: frozenset[str] = frozenset()
        defaults = [oslo.RuleDefault(r.name, r.check, scope_types=list(r.scopes)) for r in rules]
        self._enforcer.register_defaults(defaults)
        self.names = frozenset(default.name for default in defaults)
        # parsed once now: a broken file stops the start instead of a request
        self._enforcer.load_rules()

    def allows(self, rule: str, identity: Identity, target: Mapping[str, Any]) -> bool:
        """Whether a caller may; `target` is what the rule's `%(…)s` are about, nested dictionaries flattened."""
        if rule not in self.names:
            log.error("the policy rule %s is not known, so it denies", rule)
            return False
        return bool(
            self._enforcer.enforce(rule, flat(target), identity.credentials(), do_raise=False)
        )


def flat(target: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"user": {"id": 1}}` as `{"user.id": 1}`."""
    found: dict[str, Any] = {}
    for name, value in target.items():
        if isinstance(value, Mapping):
            found.update(flat(value, f"{prefix}{name}."))
        else:
            found[prefix + name] = value
    return found
