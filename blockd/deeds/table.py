"""All kinds of work, by the name that rows of work carry."""

from __future__ import annotations

from blockd.deeds import snapshots, volumes

DEEDS = {**volumes.DEEDS, **snapshots.DEEDS}
