"""How a policy stores a blob: so many replicas, or k data and m parity fragments. Pure.

Only the fields and their rules live here; what a codec does is the store's business. The ring
needs the `width`: the number of devices that hold one blob. Policies of equal width share one
placement table. A `Policy` that exists is valid.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from core.errors import Refused

WIDTH_MAX = 32
POLICIES_MAX = 64
KINDS = ("replicated", "erasure")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")


@dataclass(frozen=True, slots=True)
class Policy:
    """A storage policy; raises Refused("InvalidPolicy") on any field out of range.

    kind "replicated": `replicas` is 1 to 32, data, parity and codec are unset.
    kind "erasure": `data` (k) and `parity` (m) are at least 1, together at most 32, and `codec`
    names the implementation ("isa_l_rs_cauchy", "zfec"); replicas is unset.
    """

    id: int
    name: str
    kind: str
    replicas: int = 0
    data: int = 0
    parity: int = 0
    codec: str = ""
    is_default: bool = False
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _require(
            _is_number(self.id) and self.id <= 65_535,
            f"policy id {self.id!r} is not a number from 0 to 65535",
        )
        prefix = f"policy {self.id}: "
        for name in (self.name, *self.aliases):
            _require(
                isinstance(name, str) and _NAME.match(name) is not None,
                prefix + f"name {name!r} is not 1 to 64 letters, digits, '.', '_' or '-'",
            )
        _require(self.kind in KINDS, prefix + f"kind {self.kind!r} is none of {', '.join(KINDS)}")
        numbers = (self.replicas, self.data, self.parity)
        _require(all(map(_is_number, numbers)), prefix + f"{numbers!r} are not whole numbers")
        if self.kind == "replicated":
            self._check_replicated(prefix)
        else:
            self._check_erasure(prefix)

    def _check_replicated(self, prefix: str) -> None:
        _require(
            1 <= self.replicas <= WIDTH_MAX,
            prefix + f"{self.replicas} replicas; a policy takes 1 to {WIDTH_MAX}",
        )
        _require(
            not (self.data or self.parity or self.codec),
            prefix + "a replicated policy has no data or parity fragments and no codec",
        )

    def _check_erasure(self, prefix: str) -> None:
        _require(
            self.data >= 1 and self.parity >= 1 and self.data + self.parity <= WIDTH_MAX,
            prefix + f"{self.data}+{self.parity} fragments; both at least 1, at most {WIDTH_MAX}",
        )
        _require(self.replicas == 0, prefix + "an erasure-coded policy has no replica count")
        _require(_NAME.match(self.codec) is not None, prefix + f"codec {self.codec!r} is no name")

    @property
    def width(self) -> int:
        """Devices that hold one blob: the replicas, or k+m fragments."""
        return self.replicas or self.data + self.parity


def check_policies(policies: tuple[Policy, ...]) -> None:
    """Refuse no policy at all, shared ids or names (case-blind), or not exactly one default."""
    _require(
        0 < len(policies) <= POLICIES_MAX,
        f"{len(policies)} policies; a ring takes 1 to {POLICIES_MAX}",
    )
    ids = [policy.id for policy in policies]
    _require(len(set(ids)) == len(ids), "two policies have the same id")
    names = [name.lower() for policy in policies for name in (policy.name, *policy.aliases)]
    _require(len(set(names)) == len(names), "two policies share a name or an alias")
    defaults = sum(policy.is_default for policy in policies)
    _require(defaults == 1, f"{defaults} policies are marked as the default; exactly one must be")


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _require(condition: bool, message: str) -> None:  # noqa: FBT001
    if not condition:
        raise Refused("InvalidPolicy", message)
