"""DeleteObjects: up to 1000 keys in one request, each with its own outcome."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from core.errors import NotFound, RingstackError
from core.http import Response
from proxy.s3 import checksum
from proxy.s3.call import Call, xml_response
from proxy.s3.concurrent import each
from proxy.s3.condition import WriteCondition, entry_condition
from proxy.s3.errors import S3Error, of_failure
from proxy.s3.route import check_key
from proxy.s3.source import check_version
from proxy.s3.xml import Node, document, element

ENTRIES_MAX = 1000
CONCURRENT_MAX = 32


class Entry(NamedTuple):
    """One key to delete."""

    key: str
    version: str | None
    condition: WriteCondition | None


class Outcome(NamedTuple):
    """What became of one entry; `error` is None when it is gone."""

    entry: Entry
    error: S3Error | None


async def delete_objects(call: Call) -> Response:
    """DeleteObjects. The body must be covered by Content-MD5 or a checksum, as S3 requires."""
    if b"content-md5" not in call.headers and checksum.wanted(call.headers) is None:
        raise S3Error(
            "InvalidRequest",
            "Missing required header for this request: Content-MD5 OR x-amz-checksum-*",
        )
    node = await call.document("Delete")
    entries = [_entry(child) for child in node.all("Object")]
    if not 1 <= len(entries) <= ENTRIES_MAX:
        raise S3Error("MalformedXML")
    quiet = (node.value("Quiet") or "").strip().lower() == "true"
    await call.store.get_container(call.account, call.bucket)
    outcomes = await _delete_all(call, entries)
    return xml_response(
        document("DeleteResult", *[_render(outcome, quiet=quiet) for outcome in outcomes])
    )


def _entry(node: Node) -> Entry:
    key = node.value("Key")
    if not key:
        raise S3Error("MalformedXML")
    condition = entry_condition(
        node.value("ETag"), node.value("Size"), node.value("LastModifiedTime")
    )
    return Entry(key, node.value("VersionId"), condition)


async def _delete_all(call: Call, entries: Sequence[Entry]) -> list[Outcome]:
    """Outcomes in the order of the entries."""

    async def work(entry: Entry) -> Outcome:
        return await _delete_one(call, entry)

    return await each(entries, work, at_once=CONCURRENT_MAX)


async def _delete_one(call: Call, entry: Entry) -> Outcome:
    try:
        if entry.version:
            check_version(entry.version)
        check_key(entry.key)
        await call.store.delete_object(
            call.name_of(entry.key),
            check=None if entry.condition is None else entry.condition.check,
        )
    except NotFound as error:
        return Outcome(entry, None if error.code == "NoSuchObject" else of_failure(error))
    except RingstackError as error:
        return Outcome(entry, of_failure(error))
    return Outcome(entry, None)


def _render(outcome: Outcome, *, quiet: bool) -> str:
    entry, error = outcome
    key = element("Key", entry.key)
    if entry.version:
        key += element("VersionId", entry.version)
    if error is not None:
        return (
            f"<Error>{key}{element('Code', error.code)}{element('Message', error.message)}</Error>"
        )
    return "" if quiet else f"<Deleted>{key}</Deleted>"
