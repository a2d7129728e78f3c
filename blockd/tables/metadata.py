"""The tables of block storage share one collection; every name begins with `block_`."""

from __future__ import annotations

from core.columns import new_metadata

metadata = new_metadata()
