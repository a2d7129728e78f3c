"""Which providers could take a request: allocation candidates, by trees of providers. Pure.

The unnumbered group of a request may be spread over the providers of one tree; each numbered group is taken by one
provider whole; with `isolate` no two numbered groups share one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from computed.schedule import Stock

COMBINATIONS_MAX = 1000


class Offer(NamedTuple):
    """A provider and what it has."""

    id: str
    root_id: str
    parent_id: str | None
    stocks: Mapping[str, Stock]
    min_units: Mapping[str, int]
    step_sizes: Mapping[str, int]
    traits: frozenset[str]
    aggregates: frozenset[str]


class Group(NamedTuple):
    """Resources that belong together. `required` and `member_of` are lists of which one each must hold."""

    suffix: str
    resources: Mapping[str, int]
    required: tuple[frozenset[str], ...] = ()
    forbidden: frozenset[str] = frozenset()
    member_of: tuple[frozenset[str], ...] = ()
    not_member_of: frozenset[str] = frozenset()
    in_tree: str = ""


class Candidate(NamedTuple):
    """Amounts by provider and class, and which providers took which group."""

    root_id: str
    amounts: Mapping[str, Mapping[str, int]]
    mappings: Mapping[str, tuple[str, ...]]


def fits_amount(offer: Offer, name: str, amount: int) -> bool:
    """Whether a provider has room for so much of a class."""
    stock = offer.stocks.get(name)
    if stock is None or amount > stock.room:
        return False
    step, least = offer.step_sizes.get(name, 1), offer.min_units.get(name, 1)
    return least <= amount <= stock.max_unit and amount % step == 0


def fits_group(offer: Offer, group: Group) -> bool:
    """Traits, aggregates and tree."""
    return (
        all(one & offer.traits for one in group.required)
        and not group.forbidden & offer.traits
        and all(one & offer.aggregates for one in group.member_of)
        and not group.not_member_of & offer.aggregates
    )


def spread(tree: Sequence[Offer], group: Group) -> Iterator[dict[str, str]]:
    """Ways to take the classes of the unnumbered group from a tree: class -> provider."""
    if group.in_tree and group.in_tree not in {offer.id for offer in tree}:
        return
    traits = frozenset[str]().union(*(offer.traits for offer in tree))
    if not all(one & traits for one in group.required) or group.forbidden & traits:
        return
    homes = [offer for offer in tree if not group.not_member_of & offer.aggregates]
    homes = [offer for offer in homes if all(one & offer.aggregates for one in group.member_of)]
    names = sorted(group.resources)
    choices = [
        [offer.id for offer in homes if fits_amount(offer, name, group.resources[name])]
        for name in names
    ]
    for combination in itertools.islice(itertools.product(*choices), COMBINATIONS_MAX):
        yield dict(zip(names, combination, strict=True))


def whole(tree: Sequence[Offer], group: Group) -> list[str]:
    """Providers of a tree that can take a numbered group alone."""
    if group.in_tree and group.in_tree not in {offer.id for offer in tree}:
        return []
    return [
        offer.id
        for offer in tree
        if fits_group(offer, group)
        and all(fits_amount(offer, name, amount) for name, amount in group.resources.items())
    ]


def candidates(
    offers: Sequence[Offer], groups: Sequence[Group], *, isolate: bool = False
) -> list[Candidate]:
    """All candidates, tree by tree."""
    trees: dict[str, list[Offer]] = {}
    for offer in offers:
        trees.setdefault(offer.root_id, []).append(offer)
    plain = [group for group in groups if not group.suffix]
    numbered = [group for group in groups if group.suffix]
    found: list[Candidate] = []
    for root_id in sorted(trees):
        tree = trees[root_id]
        ways: list[list[dict[str, str] | str]] = [list(spread(tree, group)) for group in plain]
        ways += [list(whole(tree, group)) for group in numbered]
        for choice in itertools.islice(itertools.product(*ways), COMBINATIONS_MAX):
            made = _candidate(tree, root_id, [*plain, *numbered], choice, isolate=isolate)
            if made is not None:
                found.append(made)
    return found


def _candidate(
    tree: Sequence[Offer],
    root_id: str,
    groups: Sequence[Group],
    choice: Sequence[dict[str, str] | str],
    *,
    isolate: bool,
) -> Candidate | None:
    """One choice for each group put together; None when they do not fit beside each other."""
    alone = [one for one in choice if isinstance(one, str)]
    if isolate and len(set(alone)) != len(alone):
        return None
    amounts: dict[str, dict[str, int]] = {}
    mappings: dict[str, tuple[str, ...]] = {}
    for group, taken in zip(groups, choice, strict=True):
        places = taken if isinstance(taken, dict) else dict.fromkeys(group.resources, taken)
        mappings[group.suffix] = tuple(sorted(set(places.values())))
        for name, provider_id in places.items():
            held = amounts.setdefault(provider_id, {})
            held[name] = held.get(name, 0) + group.resources[name]
    by_id = {offer.id: offer for offer in tree}
    for provider_id, held in amounts.items():
        if not all(fits_amount(by_id[provider_id], name, amount) for name, amount in held.items()):
            return None
    return Candidate(root_id, amounts, mappings)
