"""Every kind of resource of the Block Storage API: what is in this list is served."""

from __future__ import annotations

from blockd.api.volumes import Volumes

RESOURCES = (Volumes,)
