"""The microversions of the Compute and Placement APIs that are spoken here. Pure."""

from __future__ import annotations

from core.api.microversion import Microversions

MICROVERSIONS = Microversions("compute", (2, 1), (2, 96))
PLACEMENT = Microversions("placement", (1, 0), (1, 29))
