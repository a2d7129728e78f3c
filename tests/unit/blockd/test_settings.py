"""The operator's settings, and the signature of requests to another cloud's S3."""

from __future__ import annotations

from pathlib import Path

import pytest

from blockd import settings
from blockd.s3_signature import Account, headers_for, path_of, query_of
from core.errors import Corrupt

TARGET = (
    b'{"backup_target": {"endpoint": "https://s3.example.org", "bucket": "backups",'
    b' "access_key": "A", "secret_key": "S"}}'
)


def test_no_file_means_defaults(tmp_path: Path) -> None:
    """This cloud's own object store."""
    assert settings.load(tmp_path / "none").backup_target is None


def test_a_file_with_a_secret_is_for_its_owner(tmp_path: Path) -> None:
    """Others must not be able to read it."""
    path = tmp_path / "s.json"
    path.write_bytes(TARGET)
    path.chmod(0o644)
    with pytest.raises(Corrupt):
        settings.load(path)
    path.chmod(0o600)
    assert settings.load(path).backup_target is not None


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b'{"unknown": 1}',
        b'{"backup_target": {}}',
        TARGET.replace(b"https:", b"ftp:"),
        TARGET.replace(b"backups", b"Not A Bucket"),
        TARGET.replace(b"s3.example.org", b"u:p@s3.example.org/path"),
    ],
)
def test_nonsense_stops_the_start(tmp_path: Path, text: bytes) -> None:
    """With the file's name."""
    path = tmp_path / "s.json"
    path.write_bytes(text)
    path.chmod(0o600)
    with pytest.raises(Corrupt):
        settings.load(path)


def test_requests_are_signed_as_documented() -> None:
    """AWS's own example of a GET with a query ("GET Bucket (List Objects)", 24 May 2013)."""
    account = Account(
        "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1"
    )
    made = headers_for(
        account,
        "GET",
        "examplebucket.s3.amazonaws.com",
        "/",
        query=query_of({"prefix": "J", "max-keys": "2"}),
        body=b"",
        now_us=1_369_353_600_000_000,
    )
    assert made["x-amz-date"] == "20130524T000000Z"
    wanted = "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
    assert made["Authorization"].endswith(f"Signature={wanted}")
    assert path_of("bucket", "a b/ü") == "/bucket/a%20b/%C3%BC"
