"""All kinds of work, by the name that rows of work carry."""

from __future__ import annotations

from blockd.deeds import attachments, backups, groups, snapshots, uploads, volumes

DEEDS = {
    **volumes.DEEDS,
    **uploads.DEEDS,
    **snapshots.DEEDS,
    **attachments.DEEDS,
    **backups.DEEDS,
    **groups.DEEDS,
}
