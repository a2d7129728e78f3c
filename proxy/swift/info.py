"""`/info`: what this server can do and how much of it (Swift's discoverability). Pure.

The list is truthful: a feature stands here only when it is built, each limit is the one enforced.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core import limits
from proxy.large import DYNAMIC_SEGMENTS_MAX, LINKS_MAX
from proxy.swift import metadata, tempurl
from ring.policy import Policy

BULK_DELETES_MAX = 10_000
BULK_FAILURES_MAX = 1_000
ARCHIVE_CONTAINERS_MAX = 10_000
ARCHIVE_FAILURES_MAX = 1_000
MANIFEST_SEGMENTS_MAX = 10_000
MANIFEST_BYTES_MAX = 8 * limits.MIB


def policy_entry(policy: Policy, *, default: bool) -> dict[str, Any]:
    """How /info shows a storage policy."""
    entry: dict[str, Any] = {
        "name": policy.name,
        "aliases": ", ".join((policy.name, *policy.aliases)),
    }
    if default:
        entry["default"] = True
    return entry


def capabilities(policies: Sequence[Policy], version: str) -> dict[str, Any]:
    """The document of /info."""
    return {
        "swift": {
            "version": version,
            "account_autocreate": True,
            "account_listing_limit": limits.LISTING_LIMIT_MAX,
            "allow_account_management": False,
            "container_listing_limit": limits.LISTING_LIMIT_MAX,
            "extra_header_count": 0,
            "max_account_name_length": limits.ACCOUNT_NAME_BYTES_MAX,
            "max_container_name_length": limits.CONTAINER_NAME_BYTES_MAX,
            "max_file_size": limits.PUT_BYTES_MAX,
            "max_header_size": metadata.HEADER_VALUE_BYTES_MAX,
            "max_meta_count": metadata.META_COUNT_MAX,
            "max_meta_name_length": metadata.META_NAME_BYTES_MAX,
            "max_meta_overall_size": metadata.META_TOTAL_BYTES_MAX,
            "max_meta_value_length": metadata.META_VALUE_BYTES_MAX,
            "max_object_name_length": limits.OBJECT_NAME_BYTES_MAX,
            "policies": [
                policy_entry(policy, default=index == 0) for index, policy in enumerate(policies)
            ],
            "strict_cors_mode": True,
            "valid_api_versions": ["v1", "v1.0"],
        },
        "account_quotas": {},
        "bulk_delete": {
            "max_deletes_per_request": BULK_DELETES_MAX,
            "max_failed_deletes": BULK_FAILURES_MAX,
        },
        "bulk_upload": {
            "max_containers_per_extraction": ARCHIVE_CONTAINERS_MAX,
            "max_failed_extractions": ARCHIVE_FAILURES_MAX,
        },
        "container_quotas": {},
        "dlo": {"max_segments": DYNAMIC_SEGMENTS_MAX},
        "formpost": {"allowed_digests": sorted(tempurl.DIGESTS)},
        "slo": {
            "allow_async_delete": False,
            "max_manifest_segments": MANIFEST_SEGMENTS_MAX,
            "max_manifest_size": MANIFEST_BYTES_MAX,
            "min_segment_size": 1,
            "yield_frequency": 10,
        },
        "symlink": {"symloop_max": LINKS_MAX, "static_links": True},
        "tempauth": {"account_acls": True},
        "tempurl": {
            "allowed_digests": sorted(tempurl.DIGESTS),
            "incoming_allow_headers": [],
            "incoming_remove_headers": [],
            "methods": list(tempurl.METHODS),
            "outgoing_allow_headers": [f"{tempurl.PUBLIC}*"],
            "outgoing_remove_headers": ["x-object-meta-*"],
        },
    }
