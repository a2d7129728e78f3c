"""Signed requests of any shape get an answer of the 2xx to 4xx kind, or 501: never 5xx, never silence."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.http import Body, Request
from proxy.s3.front import S3Front
from proxy.s3.xml import parse
from tests.model.memory_store import MemoryStore
from tests.static_gate import StaticGate
from tests.unit.proxy_s3.signer import MODES, SHA256, Signer
from tests.unit.proxy_s3.site import CREDENTIALS, POLICIES


class FixedEnv:
    """A clock that stands still and chance that counts."""

    def __init__(self):
        self.count = 0

    def wall_us(self):
        return 1_700_000_000_000_000

    def random_bytes(self, count):
        self.count += 1
        return self.count.to_bytes(count, "big")


TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n", max_codepoint=0x2FF),
    max_size=12,
)
NAMES = st.one_of(st.sampled_from(["bucket", "key", "a/b", "..", "", "none"]), TEXT)
SELECTORS = [
    "acl", "tagging", "uploads", "uploadId", "partNumber", "delete", "versions", "list-type", "attributes",
    "location", "policy", "cors", "lifecycle", "versioning", "prefix", "delimiter", "marker", "max-keys",
    "continuation-token", "start-after", "encoding-type", "key-marker", "upload-id-marker", "max-uploads",
    "max-parts", "part-number-marker", "versionId", "response-content-type", "torrent", "retention", "x",
]  # fmt: skip
QUERY = st.lists(
    st.tuples(
        st.sampled_from(SELECTORS),
        st.one_of(st.just(""), st.sampled_from(["2", "0", "url", "null"]), TEXT),
    ),
    max_size=3,
)
HEADER_NAMES = [
    "range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range",
    "content-md5", "content-type", "content-encoding", "expires", "x-amz-acl", "x-amz-meta-a",
    "x-amz-tagging", "x-amz-storage-class", "x-amz-copy-source", "x-amz-copy-source-range",
    "x-amz-copy-source-if-match", "x-amz-metadata-directive", "x-amz-tagging-directive",
    "x-amz-checksum-crc32", "x-amz-checksum-sha256", "x-amz-checksum-mode", "x-amz-checksum-algorithm",
    "x-amz-checksum-type", "x-amz-sdk-checksum-algorithm", "x-amz-trailer", "x-amz-mp-object-size",
    "x-amz-object-attributes", "x-amz-max-parts", "x-amz-part-number-marker", "x-amz-if-match-size",
    "x-amz-if-match-last-modified-time", "x-amz-expected-bucket-owner", "x-amz-decoded-content-length",
    "x-amz-server-side-encryption", "x-amz-request-payer", "x-amz-object-ownership",
]  # fmt: skip
HEADERS = st.dictionaries(
    st.sampled_from(HEADER_NAMES),
    st.one_of(
        st.sampled_from(
            ["*", "bytes=0-1", "bucket/key", "/bucket/key", "REPLACE", "COPY", "STANDARD", "private", "CRC32", "1",
             "ETag,Checksum,ObjectParts", "ENABLED", "FULL_OBJECT", "NhCmhg==", "a=b&c=d", "Thu, 01 Jan 2032 00:00:00 GMT"]
        ),
        TEXT,
    ),
    max_size=4,
)  # fmt: skip
BODIES = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [
            b"<Delete><Object><Key>key</Key></Object></Delete>",
            b"<Delete><Object><Key>key</Key><Size>x</Size></Object></Delete>",
            b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>",
            b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>",
            b"<CreateBucketConfiguration/>",
            b"<AccessControlPolicy/>",
        ]
    ),
)


@pytest.fixture(scope="module")
def loop():
    running = asyncio.new_event_loop()
    yield running
    running.close()


@given(
    method=st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"]),
    bucket=NAMES,
    key=NAMES,
    query=QUERY,
    headers=HEADERS,
    body=BODIES,
    mode=st.one_of(st.just(SHA256), st.sampled_from(MODES)),
)
@settings(
    max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_signed_request_gets_an_answer_that_is_not_5xx(
    loop, method, bucket, key, query, headers, body, mode
):
    """Every operation with every mix of parameters, headers and bodies."""
    from datetime import UTC, datetime

    env = FixedEnv()
    store = MemoryStore(env.wall_us, POLICIES)
    front = S3Front(store, env, StaticGate(env, CREDENTIALS))
    signer = Signer("localhost")
    signer.now = datetime.fromtimestamp(1_700_000_000, UTC)

    async def send(wire) -> object:
        path, _, raw = wire.target.partition("?")
        given = {name.encode(): value.encode() for name, value in wire.headers.items()}
        request = Request(wire.method, path, raw, given)
        request.body = Body(None, len(wire.body))
        if wire.body:
            request.body.feed(wire.body)
        request.body.finish()
        response = await front.handle(request)
        data = response.body
        if not isinstance(data, bytes):
            data = b"".join([piece async for piece in data])
        return response, data

    async def run():
        await send(signer.sign("PUT", "/bucket"))
        await send(signer.sign("PUT", "/bucket/key", body=b"0123456789"))
        return await send(signer.sign(method, f"/{bucket}/{key}", query, headers, body, mode=mode))

    response, data = loop.run_until_complete(run())
    assert 200 <= response.status < 500 or response.status == 501, (response.status, data)
    names = {name for name, _ in response.headers}
    assert {"x-amz-request-id", "x-amz-id-2"} <= names
    for name, value in response.headers:
        assert not {"\r", "\n", "\0"} & set(name + value)
    if response.status >= 400 and method != "HEAD":
        assert parse(data, "Error").value("Code")
