"""Log-ins, validations and offline verifications per second; Keystone beside us when there is one.

Log-ins and validations go over HTTP to a running service, whole answers with the catalog. Offline verification is
what every other service does with a token: no HTTP, no look-up; it is measured in this process, each token once,
so that nothing is remembered.
"""

from __future__ import annotations

import gc
import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from bench.connection import Answer, Failed, Pool
from bench.load import Tally, run
from bench.processes import cpu_seconds, memory_bytes
from bench.quantile import percentiles_ms
from core.authenticator import Authenticator
from core.bearer import NONCE_BYTES, key_of, seal
from core.env import Env
from core.identity import Identity
from core.keyring import Keyring
from core.revocation import USER, Revocation, RevocationList

OFFLINE_COUNT = 40_000
REVOCATIONS = 1_000


class Account(NamedTuple):
    """A service, and who logs in to it. `url` is below which /v3 is."""

    name: str
    url: str
    user: str
    password: str
    project: str
    pids: list[int]


class Figure(NamedTuple):
    """One case of one service."""

    service: str
    case: str
    rate: float
    p50_ms: float
    p99_ms: float
    errors: int
    cpu_share: float  # cores in use

    def to_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return self._asdict()


def login_body(account: Account) -> bytes:
    """A password log-in with a project scope."""
    domain = {"id": "default"}
    user = {"name": account.user, "domain": domain, "password": account.password}
    return json.dumps(
        {
            "auth": {
                "identity": {"methods": ["password"], "password": {"user": user}},
                "scope": {"project": {"name": account.project, "domain": domain}},
            }
        }
    ).encode()


class Client:
    """Log-ins and validations at one service."""

    def __init__(self, account: Account) -> None:
        self._pool = Pool(account.url)
        path = account.url.partition("//")[2].partition("/")[2]
        self._path = f"/{path}/v3/auth/tokens" if path else "/v3/auth/tokens"
        self._body = login_body(account)
        self._login_head = (
            f"POST {self._path} HTTP/1.1\r\nHost: {self._pool.host}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(self._body)}\r\n\r\n"
        ).encode()

    async def login(self, number: int) -> Answer:
        """One log-in."""
        del number
        return await self._pool.exchange(self._login_head, self._body)

    async def tokens(self, count: int) -> list[str]:
        """New tokens. Raises Failed."""
        answers = [await self.login(number) for number in range(count)]
        return [answer.expect(201).fields["x-subject-token"] for answer in answers]

    def validation(self, tokens: list[str]) -> Callable[[int], Any]:
        """Validate the tokens in turn, each with itself."""
        heads = [
            (
                f"GET {self._path} HTTP/1.1\r\nHost: {self._pool.host}\r\n"
                f"X-Auth-Token: {token}\r\nX-Subject-Token: {token}\r\n\r\n"
            ).encode()
            for token in tokens
        ]

        async def action(number: int) -> Answer:
            return await self._pool.exchange(heads[number % len(heads)])

        return action

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()


def status_is(wanted: int) -> Callable[[int, Answer], str | None]:
    """Count answers of one status."""

    def check(number: int, answer: Answer) -> str | None:
        del number
        return None if answer.status == wanted else f"status {answer.status}"

    return check


async def measure(account: Account, *, seconds: float, connections: int) -> list[Figure]:
    """Both cases at one service. Raises Failed when it does not work at all."""
    client = Client(account)
    try:
        tokens = await client.tokens(8)
        cases = (
            ("log-in", client.login, 201),
            ("validation", client.validation(tokens), 200),
        )
        found = []
        for case, action, status in cases:
            await run(
                action,
                status_is(status),
                iter(range(connections)),
                connections=connections,
                seconds=1,
            )
            cpu = cpu_seconds(account.pids)
            tally = await run(
                action,
                status_is(status),
                itertools.count(),
                connections=connections,
                seconds=seconds,
            )
            used = (cpu_seconds(account.pids) - cpu) / tally.seconds
            found.append(figure(account.name, case, tally, used))
    finally:
        client.close()
    if not any(one.rate for one in found):
        raise Failed("NoAnswers", f"{account.name} answered nothing")
    return found


def figure(service: str, case: str, tally: Tally, cpu_share: float) -> Figure:
    """A tally as a figure."""
    p50_ms, p99_ms = percentiles_ms(tally.latencies)
    return Figure(service, case, tally.rate, p50_ms, p99_ms, sum(tally.errors.values()), cpu_share)


class _Keys(Keyring):
    """A keyring of one key that is in no file."""

    def __init__(self, secret: bytes) -> None:
        super().__init__(Path("/nonexistent"))
        self.only = key_of(secret)
        self.keys = {self.only.print: self.only}


def offline(env: Env, count: int = OFFLINE_COUNT) -> list[Figure]:
    """Verify `count` different tokens once each, and one token as often, in this process on one core."""
    keys = _Keys(env.random_bytes(32))
    revoked = RevocationList()
    for number in range(REVOCATIONS):
        revoked.add(Revocation(number, USER, env.random_bytes(16).hex(), 1))
    now_us = env.wall_us()
    tokens = [
        seal(keys.only, env.random_bytes(NONCE_BYTES), typical(env, now_us)) for _ in range(count)
    ]
    verifier = Authenticator(env, keys, revoked)
    gc.collect()
    figures = []
    for case, presented in (("offline, new", tokens), ("offline, known", tokens[:1] * count)):
        tally = Tally()
        clock = time.perf_counter
        started = clock()
        for token in presented:
            began = clock()
            verifier.verify(token)
            tally.latencies.append(clock() - began)
        tally.seconds = clock() - started
        figures.append(figure("ringstack", case, tally, 1.0))
    return figures


def typical(env: Env, now_us: int) -> Identity:
    """A project member's token."""
    return Identity(
        user_id=env.random_bytes(16).hex(),
        user_name="somebody",
        user_domain_id="default",
        project_id=env.random_bytes(16).hex(),
        project_name="something",
        project_domain_id="default",
        roles=("member", "reader"),
        methods=("password",),
        issued_us=now_us,
        expires_us=now_us + 3_600_000_000,
        audit_ids=("AAAAAAAAAAAAAAAAAAAAAA",),
    )


class Report(NamedTuple):
    """All figures of a run, and what the services weigh."""

    figures: list[Figure]
    memory: dict[str, int]

    @property
    def errors(self) -> int:
        """Requests that were not answered as they should be."""
        return sum(one.errors for one in self.figures)

    def ratio(self, case: str, peer: str) -> float | None:
        """How many times the peer's rate ours is."""
        rates = {one.service: one.rate for one in self.figures if one.case == case}
        if not rates.get(peer) or "ringstack" not in rates:
            return None
        return rates["ringstack"] / rates[peer]

    def to_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "figures": [one.to_json() for one in self.figures],
            "memory_bytes": self.memory,
        }


def bench(env: Env, accounts: list[Account], *, seconds: float, connections: int) -> Report:
    """Measure every service in turn, then verification in this process."""
    import uvloop

    async def everybody() -> list[Figure]:
        found: list[Figure] = []
        for account in accounts:
            found += await measure(account, seconds=seconds, connections=connections)
        return found

    figures = uvloop.run(everybody())
    memory = {account.name: memory_bytes(account.pids) for account in accounts}
    return Report(figures + offline(env), memory)


def show(report: Report) -> None:
    """A table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    for name in ("service", "case", "per second", "p50 ms", "p99 ms", "cores", "errors"):
        table.add_column(name, justify="left" if name in {"service", "case"} else "right")
    for one in report.figures:
        table.add_row(
            one.service,
            one.case,
            f"{one.rate:,.0f}" if one.rate >= 100 else f"{one.rate:.1f}",
            f"{one.p50_ms:.3f}",
            f"{one.p99_ms:.3f}",
            f"{one.cpu_share:.2f}",
            str(one.errors),
        )
    console = Console()
    console.print(table)
    for peer in dict.fromkeys(one.service for one in report.figures if one.service != "ringstack"):
        for case in ("log-in", "validation"):
            ratio = report.ratio(case, peer)
            if ratio is not None:
                console.print(f"{case}: {ratio:.1f} times {peer}'s")
    for name, size in report.memory.items():
        console.print(f"memory of {name}: {size / 2**20:.0f} MiB")
