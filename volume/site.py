"""What every part of the library works with."""

from __future__ import annotations

from typing import NamedTuple

from core.env import Env
from volume.keys import KeyStore
from volume.objects import Objects
from volume.recovery import Recovery
from volume.states import States
from volume.tuning import Tuning


class Site(NamedTuple):
    """Objects and how to read them, states, keys, clock and chance, limits."""

    env: Env
    objects: Objects
    recovery: Recovery
    states: States
    keys: KeyStore
    tuning: Tuning


def site_of(env: Env, objects: Objects, keys: KeyStore, tuning: Tuning) -> Site:
    """Put together."""
    return Site(env, objects, Recovery(objects, tuning), States(objects), keys, tuning)
