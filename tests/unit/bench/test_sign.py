from __future__ import annotations

import hashlib
import re

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.sign import EMPTY_SHA256, Signer, encode_path, encode_query

HOST = "127.0.0.1:8080"
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30)
QUERIES = st.dictionaries(TEXT, TEXT, max_size=4)
HEADERS = st.dictionaries(
    st.sampled_from(["x-amz-meta-a", "x-amz-acl", "content-type", "range"]),
    st.text("abcXYZ019 -=/", min_size=1, max_size=20).map(str.strip).filter(bool),
    max_size=3,
)


def signature(authorization: str) -> dict[str, str]:
    return dict(re.findall(r"(Credential|SignedHeaders|Signature)=([^,\s]+)", authorization))


@settings(max_examples=200)
@given(st.sampled_from(["GET", "PUT", "HEAD", "DELETE"]), TEXT, QUERIES, HEADERS, st.binary())
def test_signatures_are_what_botocore_writes(method, name, query, headers, body):
    """Any name, query, header and body, with the time that botocore took."""
    path, text = encode_path(f"/bucket/{name}"), encode_query(query)
    url = f"http://{HOST}{path}" + (f"?{text}" if text else "")
    request = AWSRequest(method, url, data=body, headers={**headers, "host": HOST})
    request.context["signing"] = {}
    S3SigV4Auth(Credentials("AKID", "secret/key"), "s3", "eu-west-1").add_auth(request)
    fields = Signer(HOST, "AKID", "secret/key", region="eu-west-1").fields(
        method,
        path,
        timestamp=request.headers["X-Amz-Date"],
        payload_hash=request.headers["X-Amz-Content-SHA256"],
        query=text,
        headers=headers,
    )
    theirs, ours = signature(request.headers["Authorization"]), signature(fields["authorization"])
    assert ours == theirs
    assert len(ours) == 3


def test_a_head_is_the_request_line_and_the_fields():
    """What goes on the wire, without the empty line."""
    signer = Signer(HOST, "AKID", "secret", region="us-east-1")
    head = signer.head(
        "GET",
        "/b",
        timestamp="20261122T000000Z",
        payload_hash=EMPTY_SHA256,
        query="list-type=2",
    )
    lines = head.decode().split("\r\n")
    assert lines[0] == "GET /b?list-type=2 HTTP/1.1"
    assert lines[1] == f"host: {HOST}"
    assert lines[-1].startswith(
        "authorization: AWS4-HMAC-SHA256 Credential=AKID/20261122/us-east-1/"
    )
    assert hashlib.sha256(b"").hexdigest() in head.decode()
