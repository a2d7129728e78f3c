"""`ringstack check durable`: one trouble after the other, under constant load, and what came of each.

After each trouble everything is healed; then it is measured how long until every partition is fully
replicated again, objects are read back and compared with what was acknowledged, and the history of the
contending clients is judged, and `ringstack fsck` looks at everything. A trouble passes when nothing acknowledged was lost, no wrong byte was seen,
nothing deleted came back, no operation took longer than the error window, and the cluster became whole.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import random
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from bench.client import S3Client
from core.errors import RingstackError, Unavailable
from sim import linear as judge
from sim.history import History
from sim.live_cluster import Health, LiveCluster
from sim.live_load import BUCKETS, Load, Tally
from sim.live_trouble import Trouble
from sim.live_workload import CONTAINER, Endpoints, LiveClient

POLL_S = 2.0
QUIET_S = 0.5
FSCK_S = 600.0
STEADY = 3  # looks at the cluster in which nothing has changed
AFTER_S = 5.0  # of load after healing, which belongs to the trouble's error window
Say = Callable[[str], None]


class Wanted(msgspec.Struct, frozen=True):
    """How a test is done. Times in seconds."""

    objects: int
    seed: int
    hold_s: float = 15.0
    window_s: float = 5.0
    whole_s: float = 180.0
    audit: int = 500
    writers: int = 8
    rate: float = 60.0
    contenders: int = 4


class Result(msgspec.Struct):
    """What one trouble did."""

    trouble: str
    operations: int = 0
    attempts_failed: int = 0
    longest_read_s: float = 0.0
    longest_write_s: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    whole_after_s: float | None = None
    audited: int = 0
    history: str = ""
    failures: list[str] = []

    @property
    def good(self) -> bool:
        """Every promise held."""
        return not self.failures


class Check:
    """A run over one cluster."""

    def __init__(self, cluster: LiveCluster, wanted: Wanted, say: Say) -> None:
        self.cluster = cluster
        self.wanted = wanted
        self.say = say
        self.results: list[Result] = []
        self._rng = random.Random(wanted.seed)
        self._load: Load | None = None
        self._phase = 0

    async def run(self, troubles: Sequence[Trouble]) -> list[Result]:
        """Fill the cluster, then every trouble in turn. Raises Unavailable when it cannot begin."""
        await self.cluster.wait_serving()
        endpoints = [node.endpoints() for node in self.cluster.nodes]
        await make_buckets(endpoints[0], coded=self._coded_policy())
        wanted = self.wanted
        self._load = Load(
            endpoints,
            writers=wanted.writers,
            names=wanted.objects,
            rate=wanted.rate,
            seed=wanted.seed,
        )
        self.say(f"writing {wanted.objects} objects")
        await self._load.fill()
        running = asyncio.create_task(self._load.run())
        try:
            await self._one(Trouble("none", "no trouble", lambda *_: None))
            for trouble in troubles:
                await self._one(trouble)
                if running.done():
                    running.result()
            await self._audit_all()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            self._load.doors.close()
        return self.results

    def _coded_policy(self) -> str:
        return "erasure-4-2" if self.cluster.first_count >= 6 else "erasure-2-1"

    async def _one(self, trouble: Trouble) -> None:
        load = self._load
        assert load is not None
        result = Result(trouble.title)
        self.results.append(result)
        history, contenders = self._contend()
        load.new_tally()
        load.wrong.clear()
        load.trouble_begins()
        load.go()
        loop = asyncio.get_running_loop()
        try:
            began = loop.time()
            await asyncio.to_thread(trouble.begin, self.cluster, self._rng)
            await asyncio.sleep(max(0.0, self.wanted.hold_s - (loop.time() - began)))
            healed = loop.time()
            await asyncio.to_thread(self.cluster.heal)
            if trouble.after is not None:
                await asyncio.to_thread(trouble.after, self.cluster)
            await asyncio.sleep(AFTER_S)
            load.trouble_ends()
            tally = load.new_tally()
            result.whole_after_s = await self._wait_whole(load, healed)
        except RingstackError as error:
            result.failures.append(error.message)
            tally = load.new_tally()
            await asyncio.to_thread(self.cluster.heal)
            load.trouble_ends()
        await stop(contenders)
        await load.pause()
        if not result.failures:
            result.failures += await asyncio.to_thread(fsck, self.cluster)
        result.audited = await load.audit(min(self.wanted.audit, self.wanted.objects))
        self._judge(result, trouble, tally, history)
        self.say(line_of(result))

    def _contend(self) -> tuple[History, list[asyncio.Task[None]]]:
        """Clients that fight for the same names, fresh ones for each trouble."""
        history, seen = History(), dict[str, str | None]()
        self._phase += 1
        tasks = []
        for number in range(self.wanted.contenders):
            node = self.cluster.nodes[number % len(self.cluster.nodes)]
            client = LiveClient(
                history,
                node.endpoints(),
                number,
                seen,
                keys=20,
                seed=self.wanted.seed,
                prefix=f"{self._phase}-",
                pause_s=0.1,
            )
            tasks.append(asyncio.create_task(client.run(float("inf"))))
        return history, tasks

    async def _wait_whole(self, load: Load, since: float) -> float | None:
        """Seconds until every partition was fully replicated; None when it took too long.

        A writer that died may leave pieces of a stripe that nobody can complete and no record names. What is
        lacking and does not change any more is that, if fsck finds every piece that is named.
        """
        loop = asyncio.get_running_loop()
        last, steady, steady_s = None, 0, 0.0
        while True:
            await self.cluster.repair_now()
            await asyncio.sleep(POLL_S)
            await load.pause()
            await asyncio.sleep(QUIET_S)
            health = await self.cluster.health()
            took_s = loop.time() - since
            if health.whole:
                load.go()
                return took_s
            steady, steady_s = (steady + 1, steady_s) if health == last else (0, took_s)
            last = health
            if steady == STEADY and health.orphans_only:
                unnamed = not await asyncio.to_thread(fsck, self.cluster)
                if unnamed:
                    load.go()
                    return steady_s
            load.go()
            if took_s > self.wanted.whole_s:
                self.say(f"  not whole after {took_s:.0f} s: {describe(health)}")
                return None

    def _judge(self, result: Result, trouble: Trouble, tally: Tally, history: History) -> None:
        load = self._load
        assert load is not None
        result.operations = tally.operations
        result.attempts_failed = tally.attempts_failed
        result.longest_read_s = round(tally.longest_read_s, 2)
        result.longest_write_s = round(tally.longest_write_s, 2)
        result.p50_ms = round(tally.quantile_ms(0.5), 1)
        result.p99_ms = round(tally.quantile_ms(0.99), 1)
        verdict = judge.check(history.by_key().items())
        result.history = "valid" if verdict.valid else "INVALID"
        if verdict.undecided:
            result.history = "undecided"
        elif not verdict.valid:
            result.failures.append(f"history: {verdict.key} cannot place {verdict.operation}")
        result.failures += load.wrong[:5]
        if load.wrong[5:]:
            result.failures.append(f"and {len(load.wrong) - 5} more")
        longest_s = max(tally.longest_read_s, tally.longest_write_s)
        if trouble.bounded and longest_s > self.wanted.window_s:
            result.failures.append(f"an operation took {longest_s:.1f} s")
        if tally.given_up:
            result.failures.append(f"{tally.given_up} operations were given up")
        if result.whole_after_s is None and not result.failures:
            result.failures.append("not fully replicated in time")

    async def _audit_all(self) -> None:
        """At the end every object is read."""
        load = self._load
        assert load is not None
        result = Result("all objects at the end")
        self.results.append(result)
        await load.pause()
        load.wrong.clear()
        result.audited = await load.audit()
        result.failures = load.wrong[:10] + await asyncio.to_thread(fsck, self.cluster, deep=True)
        self.say(line_of(result))


def fsck(cluster: LiveCluster, *, deep: bool = False) -> list[str]:
    """What `ringstack fsck` finds, if anything; `deep` reads every byte."""
    arguments = ("fsck", "--deep") if deep else ("fsck",)
    try:
        cluster.nodes[0].command(*arguments, timeout_s=FSCK_S)
    except Unavailable as error:
        return error.message.splitlines()[:8]
    return []


async def stop(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait for their end; an error of theirs is raised."""
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            raise result


def describe(health: Health) -> str:
    """What is missing, in words."""
    return (
        f"{health.silent} devices silent, {health.lacking} lacking, {health.misplaced} misplaced, "
        f"{health.differing} with other registers"
    )


def line_of(result: Result) -> str:
    """One row of the table."""
    whole = "-" if result.whole_after_s is None else f"{result.whole_after_s:.0f}"
    text = (
        f"{result.trouble:<26} {result.operations:>6} {result.attempts_failed:>6} "
        f"{result.longest_read_s:>6.1f} {result.longest_write_s:>6.1f} {result.p50_ms:>7.0f} "
        f"{result.p99_ms:>7.0f} {whole:>6} {result.audited:>6}  {result.history:<9} "
        f"{'ok' if result.good else 'FAILED'}"
    )
    return "\n".join([text, *(f"    {failure}" for failure in result.failures)])


HEADER = (
    f"{'trouble':<26} {'ops':>6} {'failed':>6} {'read':>6} {'write':>6} {'p50':>7} {'p99':>7} "
    f"{'whole':>6} {'read':>6}  {'history':<9} verdict\n"
    f"{'':<26} {'':>6} {'tries':>6} {'max s':>6} {'max s':>6} {'ms':>7} {'ms':>7} "
    f"{'s':>6} {'back':>6}"
)


async def make_buckets(endpoints: Endpoints, *, coded: str) -> None:
    """The buckets of the load, one of them erasure-coded, and that of the contenders."""
    async with S3Client(
        endpoints.s3_url, endpoints.access_key, endpoints.secret_key, endpoints.region
    ) as client:
        for bucket in (BUCKETS[0], CONTAINER):
            (await client.make_container(bucket)).expect()
    await asyncio.to_thread(make_coded, endpoints, BUCKETS[1], coded)


def make_coded(endpoints: Endpoints, container: str, policy: str) -> None:
    """A container of another policy, which only Swift can ask for. Raises Unavailable."""
    place = urlsplit(endpoints.swift_auth)
    connection = http.client.HTTPConnection(place.netloc, timeout=30)
    login = {"X-Auth-User": endpoints.user, "X-Auth-Key": endpoints.key}
    connection.request("GET", place.path, headers=login)
    answer = connection.getresponse()
    answer.read()
    token, storage = answer.headers["X-Auth-Token"], answer.headers["X-Storage-Url"]
    if not token:
        raise Unavailable("NoLogin", f"log-in answered {answer.status}")
    connection.request(
        "PUT",
        f"{urlsplit(storage).path}/{container}",
        headers={"X-Auth-Token": token, "X-Storage-Policy": policy},
    )
    if (status := connection.getresponse().status) not in {201, 202}:
        raise Unavailable("NoContainer", f"making {container} answered {status}")
    connection.close()


def to_json(results: Sequence[Result]) -> str:
    """All rows as JSON, with the verdict."""
    good = all(result.good for result in results)
    rows: list[Any] = [msgspec.to_builtins(result) for result in results]
    return json.dumps({"verdict": "valid" if good else "INVALID", "troubles": rows}, indent=2)
