"""All kinds of work, by the name that rows of work carry."""

from __future__ import annotations

from computed.deeds import build, change, images, move, plug, power

DEEDS = {
    **build.DEEDS,
    **power.DEEDS,
    **change.DEEDS,
    **move.DEEDS,
    **images.DEEDS,
    **plug.DEEDS,
}
