"""SQL tables of the image service. A table is declared where its noun is; importing this package knows all."""

from __future__ import annotations

from imaged.tables import image, member, metadef, task
from imaged.tables.metadata import metadata

__all__ = ["image", "member", "metadata", "metadef", "task"]
