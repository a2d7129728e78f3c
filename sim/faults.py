"""Which faults a seed has, and how often: swarm options. Pure.

Each seed switches each kind of fault on or off and draws its rates, so that rare combinations come up far
more often than with one fixed mix.
"""

from __future__ import annotations

import random
from typing import NamedTuple


class Faults(NamedTuple):
    """Rates are probabilities, times are seconds."""

    latency_s: float = 0.0005
    spike_rate: float = 0.0
    spike_s: float = 0.0
    loss_rate: float = 0.0
    retransmit_s: float = 0.2
    reset_rate: float = 0.0
    fragment_rate: float = 0.1
    disk_s: float = 0.001
    disk_spike_rate: float = 0.0
    skew_s: float = 0.0
    crash_every_s: float = 0.0
    power_loss_rate: float = 0.0
    proxy_crash_every_s: float = 0.0
    partition_every_s: float = 0.0
    one_way_rate: float = 0.0
    slow_node_rate: float = 0.0
    ring_every_s: float = 0.0
    rot_every_s: float = 0.0
    wipe_after_s: float = 0.0  # a device loses everything, once
    full_every_s: float = 0.0


def quiet() -> Faults:
    """No faults at all."""
    return Faults()


def swarm(rng: random.Random) -> Faults:
    """The faults of a seed."""

    def maybe(chance: float, low: float, high: float) -> float:
        drawn = low + (high - low) * rng.random()
        return drawn if rng.random() < chance else 0.0

    drawn = Faults(
        latency_s=0.0002 + 0.002 * rng.random(),
        spike_rate=maybe(0.6, 0.01, 0.15),
        spike_s=maybe(0.8, 0.01, 0.3),
        loss_rate=maybe(0.5, 0.001, 0.03),
        retransmit_s=0.2,
        reset_rate=maybe(0.4, 0.0005, 0.01),
        fragment_rate=maybe(0.5, 0.05, 0.5),
        disk_s=0.0005 + 0.004 * rng.random(),
        disk_spike_rate=maybe(0.4, 0.01, 0.1),
        skew_s=maybe(0.5, 0.01, 30.0),
        crash_every_s=maybe(0.7, 0.15, 2.0),
        power_loss_rate=maybe(0.5, 0.1, 0.6),
        proxy_crash_every_s=maybe(0.4, 0.3, 3.0),
        partition_every_s=maybe(0.5, 0.3, 3.0),
        one_way_rate=maybe(0.5, 0.2, 0.8),
        slow_node_rate=maybe(0.3, 0.2, 0.8),
        ring_every_s=maybe(0.5, 0.2, 1.5),
        rot_every_s=maybe(0.4, 0.05, 0.5),
        wipe_after_s=maybe(0.2, 0.2, 1.5),
        full_every_s=maybe(0.3, 0.3, 2.0),
    )
    if drawn.wipe_after_s:  # one loss at a time, and a ring in which the device can be replaced
        return drawn._replace(rot_every_s=0.0, ring_every_s=drawn.ring_every_s or 1.0)
    return drawn
