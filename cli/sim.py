"""`ringstack sim`: run seeds of the simulated cluster and say whether every promise held."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import click

from sim.mutants import MUTANTS
from sim.run import Outcome, run_seed


@click.command()
@click.option("--seed", type=int, help="One seed; prints its trace hash and its faults.")
@click.option("--seeds", type=click.IntRange(1), help="Seeds 0 to N-1, or from --first on.")
@click.option("--first", type=int, default=0, show_default=True)
@click.option("--mutant", type=click.Choice(sorted(MUTANTS)), help="Leave a rule out on purpose.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def sim(
    *, seed: int | None, seeds: int | None, first: int, mutant: str | None, as_json: bool
) -> None:
    """Deterministic simulation of the storage cluster."""
    broken = frozenset({mutant} if mutant else ())
    if seed is not None:
        sys.exit(one(seed, broken, as_json=as_json))
    sys.exit(many(first, seeds or 100, broken, as_json=as_json))


def one(seed: int, broken: frozenset[str], *, as_json: bool) -> int:
    """Run one seed and show what happened in it."""
    outcome = quietly(seed, broken)
    if as_json:
        click.echo(json.dumps(outcome._asdict(), indent=2))
        return bool(outcome.problem)
    for line in outcome.log:
        click.echo(f"  {line}")
    click.echo(
        f"seed {seed}: {outcome.answered} of {outcome.operations} operations answered "
        f"in {outcome.virtual_s:.1f} virtual seconds"
    )
    click.echo(f"trace {outcome.trace_hash}")
    click.echo(outcome.problem or "every promise held")
    return bool(outcome.problem)


def many(first: int, count: int, broken: frozenset[str], *, as_json: bool) -> int:
    """Run seeds on all cores and report those that broke a promise."""
    began = time.monotonic()
    bad: list[Outcome] = []
    done = operations = 0
    for outcome in outcomes(first, count, broken):
        done += 1
        operations += outcome.operations
        if outcome.problem:
            bad.append(outcome)
            if not as_json:
                click.echo(f"seed {outcome.seed}: {outcome.problem}")
        if not as_json and sys.stderr.isatty():
            click.echo(f"\r{done}/{count} seeds, {len(bad)} bad", nl=False, err=True)
    seconds = time.monotonic() - began
    if as_json:
        report = {"seeds": done, "operations": operations, "seconds": seconds}
        click.echo(json.dumps({**report, "bad": [o._asdict() for o in bad]}, indent=2))
    else:
        click.echo(f"{done} seeds, {operations} operations, {seconds:.0f} s")
        click.echo("every promise held" if not bad else f"{len(bad)} seeds broke a promise")
        if bad:
            click.echo(f"replay one with: ringstack sim --seed {bad[0].seed}")
    return bool(bad)


def quietly(seed: int, broken: frozenset[str]) -> Outcome:
    """Run a seed without what its processes would log of their faults."""
    logging.getLogger("ringstack").setLevel(logging.CRITICAL + 1)
    return run_seed(seed, broken=broken)


def outcomes(first: int, count: int, broken: frozenset[str]) -> Iterator[Outcome]:
    """Outcomes in the order of their seeds."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        numbers = range(first, first + count)
        yield from pool.map(quietly, numbers, [broken] * count, chunksize=4)
