"""What can happen to a cluster: each kind of trouble, done to real processes, networks and disks.

Faults are budgeted, as in the simulator: what is done at one time stays within one zone (clocks apart), so
that a majority of every replica set stands and nothing that was acknowledged may be lost.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from core.real import FaultyDisk
from sim.live_cluster import LiveCluster
from sim.live_node import LiveNode

CLOCK_SKEW_S = 300.0
SLOW_S = 0.25
FLIPS = 8  # in each segment that rots
SEGMENT_SHARE = 0.01
APPLY_S = 900.0


class Trouble(NamedTuple):
    """One thing that happens. `bounded`: a majority stands, so errors must end within seconds.

    `begin` may take a while; it runs beside the load. Afterwards everything is healed, and `after` is done,
    which raises RingstackError when the trouble has left something behind.
    """

    kind: str
    title: str
    begin: Callable[[LiveCluster, random.Random], None]
    bounded: bool = True
    after: Callable[[LiveCluster], None] | None = None


def one_node(cluster: LiveCluster, rng: random.Random) -> LiveNode:
    """Any node but the keeper, which makes lists and rings."""
    return rng.choice(cluster.nodes[1:])


def kill(cluster: LiveCluster, rng: random.Random) -> None:
    """Kill -9 of every process of a node."""
    one_node(cluster, rng).kill()


def lose_zone(cluster: LiveCluster, rng: random.Random) -> None:
    """A zone loses its power: no farewell, not even from the kernels."""
    for node in cluster.zone(rng.randint(1, cluster.zones)):
        node.crash()


def pause(cluster: LiveCluster, rng: random.Random) -> None:
    """A node hangs: its kernel answers, its processes do not."""
    one_node(cluster, rng).pause()


def _sides(cluster: LiveCluster, rng: random.Random) -> tuple[list[int], list[int]]:
    zone = rng.randint(1, cluster.zones)
    inside = [node.number for node in cluster.nodes if node.zone == zone]
    return inside, [node.number for node in cluster.nodes if node.zone != zone]


def split(cluster: LiveCluster, rng: random.Random) -> None:
    """A zone and the others do not hear each other; clients hear both."""
    cluster.network.split(*_sides(cluster, rng))


def half_split(cluster: LiveCluster, rng: random.Random) -> None:
    """A zone hears the others, which do not hear it."""
    inside, outside = _sides(cluster, rng)
    cluster.network.block((a, b) for a in inside for b in outside)


def skew_clocks(cluster: LiveCluster, rng: random.Random) -> None:
    """One node's clock is five minutes ahead, another's five behind."""
    ahead, behind = rng.sample(cluster.nodes, 2)
    ahead.set_clock(CLOCK_SKEW_S)
    behind.set_clock(-CLOCK_SKEW_S)


def fill_disk(cluster: LiveCluster, rng: random.Random) -> None:
    """A device takes nothing more."""
    node = one_node(cluster, rng)
    node.set_disk(rng.choice(node.devices()), FaultyDisk(full=True))


def slow_disk(cluster: LiveCluster, rng: random.Random) -> None:
    """Everything on a device takes a quarter of a second longer."""
    node = one_node(cluster, rng)
    node.set_disk(rng.choice(node.devices()), FaultyDisk(delay_s=SLOW_S))


def break_disk(cluster: LiveCluster, rng: random.Random) -> None:
    """A device answers everything with an input/output error."""
    node = one_node(cluster, rng)
    node.set_disk(rng.choice(node.devices()), FaultyDisk(broken=True))


def rot(cluster: LiveCluster, rng: random.Random) -> None:
    """Bits flip in one of a hundred segments (at least one), all within one zone."""
    total = sum(len(node.segments()) for node in cluster.nodes)
    nodes = cluster.zone(rng.randint(1, cluster.zones))
    segments = [path for node in nodes for path in node.segments() if path.stat().st_size]
    count = min(len(segments), max(1, round(total * SEGMENT_SHARE)))
    for path in rng.sample(segments, count):
        flip_bits(path, rng, FLIPS)


def flip_bits(path: Path, rng: random.Random, count: int) -> None:
    """Flip single bits anywhere in a file."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        for _ in range(count):
            offset = rng.randrange(size)
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([byte ^ 1 << rng.randrange(8)]))


def scrub(cluster: LiveCluster) -> None:
    """Have every record of every device read and what is bad replaced; nothing bad may remain."""
    cluster.nodes[0].json("scrub", "--rate", "200")


def wipe(cluster: LiveCluster, rng: random.Random) -> None:
    """A device loses everything; its operator puts an empty one in its place."""
    node = one_node(cluster, rng)
    device = rng.choice(node.devices())
    node.wipe(device)
    cluster.nodes[0].command("ring", "replace", str(device.id))
    apply(cluster)


def apply(cluster: LiveCluster) -> None:
    """Bring the staged ring into force and wait until all has moved."""
    cluster.nodes[0].command("ring", "apply", timeout_s=APPLY_S)


def join_three(cluster: LiveCluster, rng: random.Random) -> None:
    """Three machines join, and take their share."""
    del rng
    for _ in range(3):
        cluster.join_node()
    apply(cluster)


def leave_one(cluster: LiveCluster, rng: random.Random) -> None:
    """A node is emptied and put out."""
    node = rng.choice(cluster.nodes[cluster.first_count :] or cluster.nodes[1:])
    keeper = cluster.nodes[0]
    for device in node.devices():
        keeper.command("ring", "remove", str(device.id))
    apply(cluster)
    keeper.command("node", "remove", node.name)
    cluster.retire(node)


def change_weights(cluster: LiveCluster, rng: random.Random) -> None:
    """A device shall hold half as much, another one half as much again."""
    less, more = rng.sample(range(len(cluster.nodes)), 2)
    keeper = cluster.nodes[0]
    for number, weight in ((less, 50), (more, 150)):
        keeper.command(
            "ring", "set-weight", str(cluster.nodes[number].devices()[0].id), str(weight)
        )
    apply(cluster)


def lose_everything(cluster: LiveCluster, rng: random.Random) -> None:
    """Kill -9 of every process of every node, at once."""
    del rng
    for node in cluster.nodes:
        node.kill()


TROUBLES = (
    Trouble("kill", "kill -9 of a node", kill),
    Trouble("kill", "loss of a whole zone", lose_zone),
    Trouble("pause", "a node hangs", pause),
    Trouble("partition", "partition, both ways", split),
    Trouble("partition", "partition, one way", half_split),
    Trouble("clock", "clocks 5 min off", skew_clocks),
    Trouble("disk-full", "a device full", fill_disk),
    Trouble("slow", "a device slow", slow_disk),
    Trouble("broken", "a device with I/O errors", break_disk),
    Trouble("bitrot", "flipped bits", rot, after=scrub),
    Trouble("wipe", "a device wiped", wipe),
    Trouble("ring", "three nodes join", join_three),
    Trouble("ring", "a node leaves", leave_one),
    Trouble("ring", "weights change", change_weights),
    Trouble("kill-all", "everything killed at once", lose_everything, bounded=False),
)
KINDS = tuple(dict.fromkeys(trouble.kind for trouble in TROUBLES))
