"""The microversions of the Block Storage API that are spoken here. Pure."""

from __future__ import annotations

from core.api.microversion import Microversions

MICROVERSIONS = Microversions("volume", (3, 0), (3, 71))
