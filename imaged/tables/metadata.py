"""The collection that all tables of the image service belong to; their names begin with `image_`."""

from __future__ import annotations

from core.columns import new_metadata

metadata = new_metadata()
