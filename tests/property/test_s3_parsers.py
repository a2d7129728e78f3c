"""Whatever bytes a client sends, S3's parsers refuse them in S3's form or accept them: nothing else."""

from __future__ import annotations

import hashlib

from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxy.s3 import acl, checksum, chunked, condition, form, policy, route, sigv4, tagging, xml
from proxy.s3 import range as range_
from proxy.s3.chunked import Chain, Decoder
from proxy.s3.copy import copy_source
from proxy.s3.errors import S3Error
from proxy.s3.sigv4 import Message
from proxy.s3.token import decode_token, encode_token

LINE = st.text(st.characters(max_codepoint=255), max_size=200)
TARGET = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=200
)  # what the engine lets in
HEADER_BYTES = st.binary(max_size=200)
NOW_S = 1_700_000_000
SECRET = "secret"


def refuses_or_returns(function, *arguments):
    """Call; any error must be an S3Error of the 4xx or 501 kind."""
    refusal = None
    try:
        return function(*arguments)
    except S3Error as error:
        refusal = error
    assert refusal.status in {*range(400, 500), 501}, refusal
    return None


def authorizations():
    pieces = st.sampled_from(
        [
            b"AWS4-HMAC-SHA256 ", b"AWS4-HMAC-SHA256", b"Credential=", b"SignedHeaders=", b"Signature=", b",",
            b", ", b"AKID/20231114/us-east-1/s3/aws4_request", b"AKID", b"/", b"host", b";", b"x-amz-date",
            b"0" * 64, b"=", b" ", b"\xff", b"AWS ", b":",
        ]
    )  # fmt: skip
    return st.one_of(HEADER_BYTES, st.lists(pieces, max_size=14).map(b"".join))


STAMPS = st.one_of(st.just(b"20231114T221320Z"), HEADER_BYTES)


@given(authorization=authorizations(), stamp=STAMPS, payload=HEADER_BYTES, query=LINE)
@settings(max_examples=400, deadline=None)
@example(
    b"AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request,SignedHeaders=\xff,Signature=\xe9",
    b"",
    b"",
    "",
)
def test_no_authorization_header_verifies_or_crashes(authorization, stamp, payload, query):
    """The header parser and the verifier over hostile headers: 4xx, and never accepted."""
    headers = {
        b"host": b"h",
        b"authorization": authorization,
        b"x-amz-date": stamp,
        b"x-amz-content-sha256": payload,
    }
    assert not _accepted(Message("GET", "/", route.query_pairs(query), headers))


QUERY_VALUES = st.one_of(
    LINE,
    st.sampled_from(
        [
            "AWS4-HMAC-SHA256", "AKID/20231114/us-east-1/s3/aws4_request", "20231114T221320Z", "60", "host",
            "0" * 64, "-0", "604800", "9" * 11, "\u0660", "99991231T235959Z", "20230230T000000Z",
        ]
    ),
)  # fmt: skip
NAMES = (
    "Algorithm",
    "Credential",
    "Date",
    "Expires",
    "SignedHeaders",
    "Signature",
    "Security-Token",
)


@given(
    values=st.fixed_dictionaries({}, optional={f"X-Amz-{name}": QUERY_VALUES for name in NAMES}),
    more=st.lists(st.tuples(LINE, LINE), max_size=3),
)
@settings(max_examples=400, deadline=None)
def test_no_presigned_query_verifies_or_crashes(values, more):
    """The same for queries, repeated and unknown names included."""
    message = Message("GET", "/", [*values.items(), *more], {b"host": b"h"})
    assert not _accepted(message)


def _accepted(message: Message) -> bool:
    signed = refuses_or_returns(sigv4.parse, message)
    if signed is None:
        return False

    def verify():
        return sigv4.verify(
            message,
            signed,
            secret=SECRET if signed.scope.access_key == "AKID" else None,
            region="us-east-1",
            now_s=NOW_S,
        )

    return refuses_or_returns(verify) is not None


@given(path=LINE)
@settings(max_examples=300, deadline=None)
def test_canonical_paths_decode_to_what_the_path_decodes_to(path):
    """The canonical form changes the encoding, never the name; and it is a fixed point."""
    from urllib.parse import unquote_to_bytes

    canonical = sigv4.canonical_path("/" + path)
    assert unquote_to_bytes(canonical) == unquote_to_bytes(("/" + path).encode("latin-1"))
    assert sigv4.canonical_path(canonical.decode("ascii")) == canonical


@given(path=st.one_of(TARGET, st.text("/%.aA0fF2eE+", max_size=40)), host=LINE, query=TARGET)
@settings(max_examples=400, deadline=None)
def test_targets_and_operations_are_found_or_refused(path, host, query):
    """Paths, hosts and queries of any characters a request line can carry."""
    target = refuses_or_returns(route.target_of, "/" + path, host, ("localhost", "s3.localhost"))
    if target is not None:
        assert "\0" not in target.bucket + target.key
        assert len(target.key.encode()) <= 1024
    pairs = route.query_pairs(query)
    known = refuses_or_returns(route.parameters, pairs)
    if known is not None:
        for method in ("GET", "PUT", "POST", "DELETE", "HEAD", "PATCH"):
            name = refuses_or_returns(route.operation_of, method, route.OBJECT, known, {})
            assert name is None or route.OPERATIONS[name].built


MODES = st.sampled_from([chunked.SIGNED, chunked.SIGNED_TRAILER, chunked.UNSIGNED_TRAILER])
CHUNKY = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.sampled_from(
            [
                b"\r\n", b"0\r\n", b"0;chunk-signature=" + b"0" * 64 + b"\r\n", b"5\r\nhello\r\n",
                b"5;chunk-signature=x\r\n", b"x-amz-checksum-crc32:NhCmhg==\r\n", b"x-amz-trailer-signature:0\r\n",
                b"ffffffffffffffff\r\n", b":", b";", b"\n", b"\0",
            ]
        ),
    ),
    max_size=12,
)  # fmt: skip


def decoder_of(mode: str, length: int) -> Decoder:
    chain = Chain(b"k", "t", "s", "seed") if mode != chunked.UNSIGNED_TRAILER else None
    announced = frozenset({"x-amz-checksum-crc32"}) if mode != chunked.SIGNED else frozenset()
    return Decoder(mode, length, chain=chain, announced=announced)


@given(mode=MODES, pieces=CHUNKY, length=st.integers(0, 40))
@settings(max_examples=600, deadline=None)
def test_a_hostile_chunked_body_is_refused_or_is_just_as_long_as_announced(mode, pieces, length):
    """No loop, no crash, no more bytes than announced; signed modes never accept unsigned data."""
    decoder = decoder_of(mode, length)
    out = bytearray()

    def run():
        for piece in pieces:
            for data in decoder.feed(piece):
                out.extend(data)
        decoder.finish()
        return True

    done = refuses_or_returns(run)
    assert len(out) <= length
    if done:
        assert mode == chunked.UNSIGNED_TRAILER
        assert len(out) == length


@given(body=st.binary(max_size=300), sizes=st.lists(st.integers(1, 40), min_size=1, max_size=20))
@settings(max_examples=200, deadline=None)
def test_chunked_bodies_do_not_depend_on_how_they_are_cut(body, sizes):
    """One encoding, any network pieces: the same bytes out."""
    encoded = b""
    at = 0
    for size in sizes:
        chunk = body[at : at + size]
        if chunk:
            encoded += b"%x\r\n%s\r\n" % (len(chunk), chunk)
        at += size
    body = body[:at]
    encoded += b"0\r\nx-amz-checksum-crc32:x\r\n\r\n"
    results = []
    for step in (len(encoded), 1, sizes[0]):
        decoder = decoder_of(chunked.UNSIGNED_TRAILER, len(body))
        out = b""
        for start in range(0, len(encoded), step):
            out += b"".join(decoder.feed(encoded[start : start + step]))
        decoder.finish()
        results.append(out)
    assert results == [body] * 3


XML_TEXT = st.lists(
    st.one_of(
        st.text(max_size=10),
        st.sampled_from(
            [
                "<Delete>", "</Delete>", "<Object>", "</Object>", "<Key>", "</Key>", "<Quiet/>", "&amp;", "&#1;",
                "&x;", "<!DOCTYPE x>", "<![CDATA[", "]]>", "<!--", "-->", "<?xml version='1.0'?>", "<?pi?>",
                '<a xmlns="b">', "</a>", "<a:b/>", "\0", "\ufffe",
            ]
        ),
    ),
    max_size=12,
).map("".join)  # fmt: skip


@given(
    body=st.one_of(
        st.binary(max_size=200), XML_TEXT.map(lambda text: text.encode("utf-8", "replace"))
    )
)
@settings(max_examples=500, deadline=None)
def test_documents_parse_or_are_malformed(body):
    """MalformedXML is the only refusal; what parses has no entity and no document type."""
    for root in ("Delete", "Tagging", "a"):
        node = refuses_or_returns(xml.parse, body, root)
        if node is not None:
            assert b"<!DOCTYPE" not in body.partition(b"<" + root.encode())[0]
            refuses_or_returns(tagging.of_document, node, 10)
            refuses_or_returns(acl.check_document, node, "owner")


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
@settings(max_examples=300, deadline=None)
def test_written_text_is_read_back(text):
    """Every text XML can carry survives; every error document parses."""
    legal = all(
        ord(c) in {9, 10, 13} or (ord(c) >= 32 and ord(c) not in {0xFFFE, 0xFFFF}) for c in text
    )
    if legal:
        assert xml.parse(xml.document("A", xml.element("B", text)), "A").value("B") == text
    told = xml.error_document("Code", text, (("Field", text),), "id", "host")
    assert xml.parse(told, "Error").value("Code") == "Code"


RANGES = st.one_of(
    LINE,
    st.lists(
        st.sampled_from(["bytes", "=", "-", "0", "5", "9", "10", "99", ",", " ", "9" * 30, "٣"]),
        max_size=8,
    ).map("".join),
)


@given(header=RANGES, size=st.integers(0, 12))
@settings(max_examples=500, deadline=None)
def test_ranges_lie_inside_the_object(header, size):
    """Whatever is asked, what is served exists; copies ask exactly or not at all."""
    span = refuses_or_returns(range_.span_of, header, size)
    if span is not None:
        assert 0 <= span.start < size
        assert 1 <= span.length <= size - span.start
    span = refuses_or_returns(range_.copy_span, header, size)
    if span is not None:
        assert span.start >= 0
        assert 1 <= span.length <= size - span.start


@given(header=st.one_of(LINE, st.text("/%.abAB02fF?=versionId", max_size=40)))
@settings(max_examples=400, deadline=None)
def test_copy_sources_name_a_bucket_and_a_key_or_are_refused(header):
    """Never an empty half, never NUL, never too long."""
    source = refuses_or_returns(copy_source, header)
    if source is not None:
        bucket, key = source
        assert bucket
        assert key
        assert "/" not in bucket
        assert "\0" not in bucket + key


@given(name=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40))
@settings(max_examples=200, deadline=None)
def test_tokens_round_trip(name):
    """A continuation token gives back the name it was made of."""
    assert decode_token(encode_token(name)) == name


@given(token=LINE)
@settings(max_examples=200, deadline=None)
def test_foreign_tokens_are_refused(token):
    """Or decode to some name; never a crash."""
    refuses_or_returns(decode_token, token)


TAG_TEXT = st.text("abcü0 +-=._:/@", min_size=1, max_size=20)


@given(tags=st.dictionaries(TAG_TEXT, st.one_of(TAG_TEXT, st.just("")), max_size=10))
@settings(max_examples=200, deadline=None)
def test_tags_round_trip(tags):
    """Kept form, header and document give the same set."""
    pairs = list(tags.items())
    kept = tagging.encoded(pairs)
    assert tagging.decoded(kept) == pairs
    assert tagging.count(kept) == len(pairs)
    assert tagging.of_header(kept) == kept
    assert tagging.of_document(xml.parse(tagging.render(kept), "Tagging"), 10) == kept


@given(value=LINE)
@settings(max_examples=300, deadline=None)
def test_tag_headers_are_read_or_refused(value):
    """x-amz-tagging of any characters."""
    refuses_or_returns(tagging.of_header, value)


@given(
    fields=st.lists(st.one_of(st.none(), HEADER_BYTES), min_size=4, max_size=4),
    etag=st.text("abc", max_size=3),
)
@settings(max_examples=300, deadline=None)
def test_conditions_never_crash(fields, etag):
    """Dates that are none are ignored, tags are compared as text."""
    names = (b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since")
    headers = {name: value for name, value in zip(names, fields, strict=True) if value is not None}
    found = refuses_or_returns(condition.read_condition, headers)
    if found is not None:
        refuses_or_returns(found.decide, etag, 1_000_000)
    size_names = (b"x-amz-if-match-size", b"x-amz-if-match-last-modified-time")
    more = {
        name: value for name, value in zip(size_names, fields, strict=False) if value is not None
    }
    refuses_or_returns(condition.delete_condition, more)


@given(
    headers=st.dictionaries(
        st.sampled_from(
            [
                b"x-amz-checksum-crc32", b"x-amz-checksum-sha256", b"x-amz-checksum-nope", b"x-amz-trailer",
                b"x-amz-sdk-checksum-algorithm", b"x-amz-checksum-mode",
            ]
        ),
        st.one_of(HEADER_BYTES, st.sampled_from([b"NhCmhg==", b"CRC32", b"x-amz-checksum-crc32"])),
    )
)  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_checksum_headers_are_read_or_refused(headers):
    """And an accepted value is a digest of its algorithm."""
    wanted = refuses_or_returns(checksum.wanted, headers)
    if wanted is not None and wanted.value is not None:
        assert checksum.check_value(wanted.algorithm, wanted.value)


FORM_PIECES = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.sampled_from(
            [
                b"--B\r\n", b"\r\n--B\r\n", b"\r\n--B--", b"\r\n\r\n", b"\r\n", b"--", b"B",
                b'Content-Disposition: form-data; name="key"\r\n', b'Content-Disposition: form-data; name="file"\r\n',
                b"Content-Disposition: form-data; name*=utf-8''a%ff\r\n", b"content-disposition:;;=\r\n", b"value",
            ]
        ),
    ),
    max_size=14,
)  # fmt: skip


@given(pieces=FORM_PIECES)
@settings(max_examples=500, deadline=None)
def test_forms_parse_or_are_refused(pieces):
    """Multipart bodies of any bytes, in any pieces."""
    parser = form.Form(b"B")

    def run():
        for piece in pieces:
            parser.feed(piece)
        parser.feed(b"")
        parser.finish()

    refuses_or_returns(run)


JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=8)
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(["expiration", "conditions", "bucket", "$key"]), inner, max_size=3
        ),
    ),
    max_leaves=12,
)


@given(document=JSON, raw=st.text(max_size=40))
@settings(max_examples=400, deadline=None)
def test_policies_parse_or_are_refused(document, raw):
    """Any JSON, and what is no JSON or no base64."""
    import base64
    import json

    refuses_or_returns(policy.parse, raw)
    told = refuses_or_returns(
        policy.parse, base64.b64encode(json.dumps(document).encode()).decode()
    )
    if told is not None:
        refuses_or_returns(told.check, {"key": "k"}, NOW_S)
    fields = {"policy": raw, "x-amz-signature": raw, "x-amz-credential": raw, "x-amz-date": raw}
    digest = hashlib.sha256(raw.encode()).hexdigest()

    def verify(given):
        return policy.verify(given, secret=SECRET, region="us-east-1")

    assert refuses_or_returns(verify, fields) is None
    for name in ("signature", "awsaccesskeyid"):
        fields[name] = digest
    assert (
        refuses_or_returns(verify, {"policy": raw, "awsaccesskeyid": "a", "signature": digest})
        is None
    )
