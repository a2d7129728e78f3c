"""The tables of the identity service share one collection; every name begins with `identity_`."""

from __future__ import annotations

from core.columns import new_metadata

metadata = new_metadata()
