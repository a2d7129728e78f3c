"""Swift's pure parsers against oracles and against anything a client may send."""

# ruff: noqa: PT017 - either outcome is right; the refusal's status is what is checked

from __future__ import annotations

import asyncio
import io
import json
import tarfile
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Refused
from proxy.large import Segment, decode_manifest, encode_manifest
from proxy.store.record import ContainerInfo, ContainerRecord, ContainerRow, ObjectRow, Summary
from proxy.swift import (
    accept,
    acl,
    archive,
    draft,
    form,
    listing,
    manifest,
    metadata,
    ranges,
    tempurl,
)
from proxy.swift.errors import SwiftError
from proxy.swift.names import parse_path, quoted, split_pair
from proxy.swift.query import list_query, parse_query
from proxy.swift.timestamp import http_date, iso, parse_http_date, x_timestamp

ASCII = st.text(st.characters(max_codepoint=127), max_size=60)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)

# -- ranges ------------------------------------------------------------------------------------

SPEC = st.tuples(st.integers(0, 60) | st.none(), st.integers(0, 60) | st.none())


def written(spec):
    first, last = spec
    return f"{'' if first is None else first}-{'' if last is None else last}"


def chosen(spec, size):
    """Oracle: the bytes of range(size) that a range names, or None when it is unsatisfiable."""
    first, last = spec
    if first is None:
        picked = list(range(size))[-last:] if last else []
        return picked if last else None
    picked = [i for i in range(size) if i >= first and (last is None or i <= last)]
    return picked or None


@given(st.lists(SPEC, min_size=1, max_size=5), st.integers(0, 50))
def test_ranges_choose_the_bytes_that_they_name(specs, size):
    header = "bytes=" + ",".join(map(written, specs))
    parsed = ranges.parse(header)
    malformed = any(
        (f is None and la is None) or (f is not None and la is not None and la < f)
        for f, la in specs
    )
    assert (parsed is None) == malformed
    if parsed is None:
        return
    spans = ranges.satisfiable(parsed, size)
    wanted = [picked for spec in specs if (picked := chosen(spec, size)) is not None]
    if spans or not wanted:
        assert [list(range(s, s + n)) for s, n in spans] == wanted
    else:
        assert len(wanted) > 2  # refused as abuse


@given(ASCII)
def test_any_range_header_is_parsed_or_ignored(text):
    for header in (text, f"bytes={text}"):
        parsed = ranges.parse(header)
        if parsed:
            for start, length in ranges.satisfiable(parsed, 1000):
                assert 0 <= start < 1000
                assert 0 < length <= 1000 - start


def test_egregious_ranges_are_not_served():
    assert ranges.satisfiable([(i, i) for i in range(51)], 100) == []
    assert len(ranges.satisfiable([(i, i) for i in range(50)], 100)) == 50
    assert ranges.satisfiable([(0, 9)] * 4, 100) == []
    assert ranges.satisfiable([(i, i) for i in (8, 1, 2, 3, 4, 5, 6, 7)], 100) == []


@given(st.lists(st.tuples(st.integers(0, 10**12), st.integers(1, 10**6)), min_size=1, max_size=5))
def test_the_length_of_a_multipart_body_is_known_before_it_is_made(spans):
    size = 2 * 10**12
    body = sum(len(ranges.part_head("b", "t/x", span, size)) + span[1] + 2 for span in spans)
    assert ranges.multipart_length("b", "t/x", spans, size) == body + len("--b--")


# -- paths and queries -------------------------------------------------------------------------


@given(TEXT, TEXT, TEXT)
def test_names_survive_a_path(account, container, name):
    path = "/".join(["/v1", *(quoted(part) for part in (account, container, name))])
    try:
        target = parse_path(path)
    except SwiftError as error:
        assert error.status in {404, 412}
        return
    assert [*target] == f"{account}/{container}/{name}".split("/", 2)


@given(ASCII)
def test_any_path_gives_a_target_or_a_refusal(text):
    for path in (text, f"/v1/{text}", f"/v1/a/{text}", f"/v1/a/c/{text}"):
        try:
            target = parse_path(path)
        except SwiftError as error:
            assert error.status in {404, 412}
        else:
            assert target.account
            assert "\0" not in "".join(target)
            assert target.container or not target.name


@given(ASCII)
def test_any_query_gives_a_listing_or_a_refusal(text):
    for query in (text, f"limit={text}", f"marker={text}&reverse={text}", f"format={text}"):
        try:
            params = parse_query(query)
            asked = list_query(params)
            accept.listing_type(params, text)
        except SwiftError as error:
            assert error.status in {400, 406, 412}
        else:
            assert 0 <= asked.limit <= 10_000


@given(st.text(max_size=30), st.text(max_size=30))
def test_pairs_in_headers_are_split_or_refused(left, right):
    try:
        value = f"{quoted(left)}/{quoted(right)}"
        container, name = split_pair(value, "Destination")
    except (SwiftError, UnicodeEncodeError):
        return
    assert f"{container}/{name}" == f"{left}/{right}".removeprefix("/")


# -- metadata, ACLs, expiry --------------------------------------------------------------------

HEADERS = st.dictionaries(
    st.sampled_from(
        [
            b"x-object-meta-a",
            b"x-object-meta-",
            b"content-type",
            b"etag",
            b"x-delete-at",
            b"x-delete-after",
            b"x-object-manifest",
            b"content-disposition",
            b"x-detect-content-type",
            b"x-account-meta-b",
            b"x-container-meta-quota-bytes",
            b"x-remove-container-meta-c",
        ]
    ),
    st.binary(max_size=40),
)


@given(HEADERS)
def test_any_headers_make_a_draft_or_a_refusal(headers):
    for make in (
        lambda: draft.draft_of(headers, "name", 10**15),
        lambda: metadata.merge_change("account", headers),
        lambda: metadata.merge_change("container", headers),
    ):
        try:
            make()
        except SwiftError as error:
            assert error.status in {400, 412}


@given(TEXT)
def test_cleaning_an_acl_is_stable(text):
    try:
        cleaned = acl.clean(text, write=False)
    except ValueError:
        return
    assert acl.clean(cleaned, write=False) == cleaned
    acl.permits(cleaned, None, referer=text)


@given(st.integers(0, 4 * 10**15))
def test_times_are_written_and_read(time_us):
    second = parse_http_date(http_date(time_us))
    assert second is not None
    assert 0 <= second * 1_000_000 - time_us < 1_000_000
    assert abs(float(x_timestamp(time_us)) * 1e6 - time_us) <= 10
    assert len(iso(time_us)) == 26


@given(ASCII)
def test_any_date_is_read_or_ignored(text):
    assert parse_http_date(text) is None or isinstance(parse_http_date(text), int)


# -- listings ----------------------------------------------------------------------------------

SUMMARY = st.builds(
    Summary,
    st.integers(0, 4 * 10**15),
    st.integers(0, 2**50),
    st.sampled_from(["d" * 32, "d" * 32 + "-" + "e" * 32, "d" * 32 + "-7", "d" * 32 + "-link", ""]),
    TEXT,
)
ROWS = st.lists(st.builds(ObjectRow, TEXT, SUMMARY | st.none()), max_size=8)


@given(ROWS, TEXT)
def test_a_listing_reads_back_in_every_form(rows, base):
    entries = listing.object_entries(rows)
    decoded = json.loads(listing.render("container", base, entries, accept.JSON))
    assert [row.get("name", row.get("subdir")) for row in decoded] == [row.name for row in rows]
    for row, shown in zip(rows, decoded, strict=True):
        if row.summary is not None:
            assert shown["bytes"] == row.summary.size
            assert shown["last_modified"] == iso(row.summary.modified_us)
            assert ("slo_etag" in shown) == (row.summary.etag[32:] not in {"", "-link"})
    root = ET.fromstring(listing.render("container", base, entries, accept.XML))
    assert len(root) == len(rows)
    plain = listing.render("container", base, entries, accept.PLAIN)
    assert plain == "".join(f"{row.name}\n" for row in rows).encode()


@given(st.lists(TEXT, max_size=5), st.integers(0, 2**40))
def test_an_account_listing_reads_back(names, count):
    info = [ContainerInfo(n, ContainerRecord(1, 1, 0, {}, b""), count, count) for n in names]
    rows = [ContainerRow(n, i) for n, i in zip(names, info, strict=True)]
    entries = listing.container_entries(rows, lambda _: "gold")
    decoded = json.loads(listing.render("account", "a", entries, accept.JSON))
    assert [row["count"] for row in decoded] == [count] * len(names)
    ET.fromstring(listing.render("account", "a", entries, accept.XML))


# -- manifests ---------------------------------------------------------------------------------

VALUE = (
    st.none()
    | st.integers()
    | st.text(max_size=12)
    | st.sampled_from(["1-2", "-3", "eHg=", "/s/a"])
)
ITEM = st.dictionaries(
    st.sampled_from(["path", "etag", "size_bytes", "range", "data", "teag"]), VALUE, max_size=4
)


@given(st.lists(ITEM | VALUE, max_size=5))
def test_any_manifest_is_taken_or_refused(items):
    try:
        wanted = manifest.parse(json.dumps(items).encode(), ("c", "o"))
    except SwiftError as error:
        assert error.status in {400, 413}
    else:
        assert len(wanted) == len(items)
        assert all(bool(item.path) != bool(item.data) for item in wanted)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_manifest_or_a_refusal(body):
    try:
        manifest.parse(body, ("c", "o"))
    except SwiftError as error:
        assert error.status == 400


def test_a_manifest_nested_beyond_reason_is_refused():
    with pytest.raises(SwiftError):
        manifest.parse(b"[" * 100_000, ("c", "o"))


@given(
    st.lists(
        st.builds(
            Segment,
            name=st.just("/s/a"),
            size=st.integers(10, 99),
            etag=st.just("d" * 32),
            span=st.sampled_from(["", "0-0", "3-9"]),
        )
        | st.builds(Segment, data=st.just("eHg=")),
        max_size=5,
    )
)
def test_a_stored_manifest_reads_back_and_can_be_put_again(segments):
    assert decode_manifest(encode_manifest(segments)) == segments
    if any(segment.name for segment in segments):
        again = manifest.parse(manifest.raw(segments), ("c", "o"))
        assert len(again) == len(segments)


# -- temporary URLs ----------------------------------------------------------------------------


@given(
    st.dictionaries(
        st.sampled_from(
            ["temp_url_sig", "temp_url_expires", "temp_url_prefix", "temp_url_ip_range"]
        ),
        ASCII | st.sampled_from(["a" * 40, "sha256:", "2030-01-01", "99999999999", "é"]),
    )
)
def test_any_temporary_url_is_read_or_refused(params):
    try:
        ticket = tempurl.read_ticket(params)
    except ValueError:
        return
    target = parse_path("/v1/a/c/o")
    tempurl.in_force(ticket, target, now_s=0, peer="127.0.0.1")
    assert tempurl.signed_by(ticket, "GET", target, {"account": ["k"]}) is None


@given(TEXT)
def test_a_disposition_is_one_printable_line(name):
    value = tempurl.disposition("attachment", name)
    assert value.isascii()
    assert value.isprintable()


# -- archives ----------------------------------------------------------------------------------


async def pieces(data, size):
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def unpack(data, size, form="tar"):
    tar = archive.Archive(archive.inflated(pieces(data, size), form))
    found = []
    while (entry := await tar.next()) is not None:
        found.append((entry.name, b"".join([chunk async for chunk in tar.body()])))
    return found


FILE_NAME = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF), min_size=1, max_size=200)


@given(
    st.lists(st.tuples(FILE_NAME, st.binary(max_size=1500)), max_size=5),
    st.integers(1, 3000),
    st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
)
def test_an_archive_reads_as_the_standard_library_wrote_it(files, size, form):
    files = [(name.strip("/") or "x", data) for name, data in files]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    assert asyncio.run(unpack(buffer.getvalue(), size)) == files


@given(st.binary(max_size=3000), st.sampled_from(["tar", "tar.gz", "tar.bz2"]))
def test_any_bytes_are_an_archive_or_a_refusal(data, form):
    try:
        asyncio.run(unpack(data, 700, form))
    except Refused as error:
        assert error.code == "BadArchive"


# -- forms -------------------------------------------------------------------------------------


async def read_form(data, size, boundary="b"):
    parsed = form.Form(pieces(data, size), boundary)
    found = []
    while (part := await parsed.next()) is not None:
        found.append((part.name, b"".join([chunk async for chunk in parsed.body()])))
    return found


FIELD = st.tuples(
    st.sampled_from(["a", "b"]), st.binary(max_size=60).filter(lambda d: b"--b" not in d)
)


@given(st.lists(FIELD, max_size=4), st.integers(1, 50))
def test_a_form_reads_as_it_was_written(fields, size):
    body = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), data)
        for name, data in fields
    )
    assert asyncio.run(read_form(body + b"--b--\r\n", size)) == fields


@given(
    st.binary(max_size=300)
    | st.lists(st.sampled_from([b"--b", b"\r\n", b"--", b"x", b"\r\n--b"])).map(b"".join)
)
def test_any_bytes_are_a_form_or_a_refusal(data):
    try:
        asyncio.run(read_form(data, 7))
    except Refused as error:
        assert error.code == "BadForm"


@given(TEXT)
def test_any_disposition_is_read(text):
    form.parameters(text)
    form.parameters(f'form-data; name="{text}"; filename={text}')
    form.boundary_of(text)
