"""What goes wrong, and when: crashes, power losses, partitions, slow nodes; then everything heals."""

from __future__ import annotations

import asyncio
import dataclasses
import random

from objectd.device import FULL_RESERVE_BYTES
from sim.cluster import CAPACITY_BYTES, SimCluster, ring_device


class Nemesis:
    """Draws faults from the seed until it is told to stop."""

    def __init__(self, cluster: SimCluster, log: list[str]) -> None:
        self._cluster = cluster
        self._rng: random.Random = cluster.fork_rng()
        self._log = log
        self._tasks: list[asyncio.Task[None]] = []
        self._rotting = self._rng.choice(cluster.nodes)  # rot of one disk is what copies are for
        self._wiped = False

    def start(self) -> None:
        """Begin."""
        faults = self._cluster.faults
        plans = (
            (faults.crash_every_s, self._crash),
            (faults.proxy_crash_every_s, self._crash_proxy),
            (faults.partition_every_s, self._partition),
            (faults.ring_every_s, self._change_ring),
            (faults.rot_every_s, self._rot),
            (faults.wipe_after_s, self._wipe),
            (faults.full_every_s, self._fill),
        )
        for every_s, action in plans:
            if every_s:
                self._tasks.append(asyncio.ensure_future(self._repeat(every_s, action)))

    async def stop(self) -> None:
        """Stop all faults and let everything heal."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._cluster.calm()

    async def _repeat(self, every_s: float, action) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        while True:
            await asyncio.sleep(every_s * (0.3 + 1.4 * self._rng.random()))
            await action()

    def _note(self, text: str) -> None:
        self._log.append(f"{self._cluster.loop.now:.6f} {text}")

    async def _crash(self) -> None:
        """One node, or now and then several at once; they come back after a while."""
        count = self._rng.choice((1, 1, 1, 2, 4))
        up = [node for node in self._cluster.nodes if node.up]
        victims = self._rng.sample(up, min(count, len(up)))
        power_loss = self._rng.random() < self._cluster.faults.power_loss_rate
        for node in victims:
            self._note(f"kill {node.name} power_loss={power_loss}")
            node.kill(power_loss=power_loss)
        await asyncio.sleep(0.05 + 0.6 * self._rng.random())
        for node in victims:
            self._note(f"start {node.name}")
            node.start()

    async def _crash_proxy(self) -> None:
        proxy = self._rng.choice(self._cluster.proxies)
        if proxy.store is None:
            return
        self._note(f"kill {proxy.name}")
        proxy.kill()
        await asyncio.sleep(0.05 + 0.3 * self._rng.random())
        proxy.start()

    async def _rot(self) -> None:
        """A bit flips on the disk that is going bad."""
        hit = self._rotting.platter.rot()
        if hit:
            self._note(f"rot {self._rotting.name} {hit}")

    async def _change_ring(self) -> None:
        """The operator wants other devices: some of all nodes, three at least; the keeper may die of it."""
        keeper = self._cluster.keeper
        if keeper is None:
            return
        if keeper.up and self._rng.random() < 0.2:
            self._note("kill keeper")
            keeper.kill()
            await asyncio.sleep(0.05 + 0.5 * self._rng.random())
            keeper.start()
        if keeper.active:
            return
        for node in self._cluster.nodes:
            if node.lost:
                node.start()  # if it has been replaced
        whole = [node.number for node in self._cluster.nodes if not node.lost]
        self._set_out(self._rng.sample(whole, self._rng.randint(3, len(whole))))

    def _set_out(self, numbers: list[int]) -> None:
        """The operator wants just these devices."""
        keeper = self._cluster.keeper
        assert keeper is not None
        self._note(f"ring of {sorted(numbers)}")
        devices = tuple(ring_device(number) for number in sorted(numbers))
        keeper.goal = dataclasses.replace(self._cluster.draft, devices=devices)

    async def _wipe(self) -> None:
        """A device of the ring loses everything, once; the operator replaces it by the others."""
        nodes = self._cluster.nodes
        inside = [one.id for one in self._cluster.newest.devices]
        if self._wiped or self._cluster.keeper is None:
            return
        self._wiped = True
        victim = self._rng.choice(inside)
        self._note(f"wipe o{victim}")
        nodes[victim].wipe()
        self._set_out([node.number for node in nodes if not node.lost])

    async def _fill(self) -> None:
        """A device has no room for a while."""
        node = self._rng.choice(self._cluster.nodes)
        self._note(f"full {node.name}")
        node.platter.capacity_bytes = node.platter.used_bytes() + self._rng.randint(
            0, FULL_RESERVE_BYTES
        )
        await asyncio.sleep(0.2 + 1.5 * self._rng.random())
        node.platter.capacity_bytes = CAPACITY_BYTES

    async def _partition(self) -> None:
        """Some nodes and proxies cannot hear the others, in one direction or both."""
        names = [node.name for node in self._cluster.nodes]
        names += [proxy.name for proxy in self._cluster.proxies]
        names += ["k0"] if self._cluster.keeper is not None else []
        side = self._rng.sample(names, self._rng.randint(1, len(names) - 1))
        others = [name for name in names if name not in side]
        one_way = self._rng.random() < self._cluster.faults.one_way_rate
        self._note(f"partition {' '.join(sorted(side))} one_way={one_way}")
        for near in side:
            for far in others:
                self._cluster.net.block(near, far)
                if not one_way:
                    self._cluster.net.block(far, near)
        await asyncio.sleep(0.2 + 2.0 * self._rng.random())
        self._cluster.net.heal()
        self._note("heal")
