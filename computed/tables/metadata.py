"""The tables of servers share one collection; every name begins with `compute_`."""

from __future__ import annotations

from core.columns import new_metadata

metadata = new_metadata()
