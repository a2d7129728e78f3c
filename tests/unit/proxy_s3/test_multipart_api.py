"""Multipart uploads: the whole life, its order of steps, and what may go wrong on the way."""

from __future__ import annotations

import hashlib

import pytest

from core.errors import NotFound, Unavailable
from proxy.store.record import PARTS, UPLOADS, ListQuery
from tests.unit.proxy_s3.test_object_api import refusal

MIB = 1024 * 1024
BIG = b"a" * (5 * MIB)


class Upload:
    """An upload under way, by boto3."""

    def __init__(self, s3, bucket, key="k", **options):
        self.s3, self.where = s3, {"Bucket": bucket, "Key": key}
        self.id = s3.create_multipart_upload(**self.where, **options)["UploadId"]
        self.parts = {}

    def put(self, number, body, **options):
        answer = self.s3.upload_part(
            **self.where, UploadId=self.id, PartNumber=number, Body=body, **options
        )
        self.parts[number] = answer["ETag"]
        return answer

    @property
    def list(self):
        return [{"PartNumber": n, "ETag": etag} for n, etag in sorted(self.parts.items())]

    def complete(self, parts=None, **options):
        return self.s3.complete_multipart_upload(
            **self.where,
            UploadId=self.id,
            MultipartUpload={"Parts": self.list if parts is None else parts},
            **options,
        )

    def abort(self):
        return self.s3.abort_multipart_upload(**self.where, UploadId=self.id)

    def read(self):
        return self.s3.get_object(**self.where)["Body"].read()


def records(site, bucket, space):
    page = site.run(
        site.store.list_objects("AUTH_admin", bucket, ListQuery(limit=1000), space=space)
    )
    return [row.name for row in page.rows]


def test_parts_become_one_object(site, s3, bucket):
    """Bytes in order of number, metadata of the creation, the documented entity tag, no leftovers."""
    upload = Upload(s3, bucket, Metadata={"a": "b"}, ContentType="text/x", Tagging="t=1")
    upload.put(7, b"tail")
    upload.put(2, BIG)
    upload.put(5, b"c" * (5 * MIB + 1))
    done = upload.complete()
    digests = b"".join(bytes.fromhex(part["ETag"].strip('"')) for part in upload.list)
    assert done["ETag"] == f'"{hashlib.md5(digests).hexdigest()}-3"'
    assert done["Location"].endswith(f"/{bucket}/k")
    got = s3.get_object(**upload.where)
    assert got["Body"].read() == BIG + b"c" * (5 * MIB + 1) + b"tail"
    assert (got["Metadata"], got["ContentType"], got["TagCount"]) == ({"a": "b"}, "text/x", 1)
    assert records(site, bucket, UPLOADS) == records(site, bucket, PARTS) == []
    assert [row["ETag"] for row in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [done["ETag"]]


def test_a_part_of_the_object_can_be_read_by_number(s3, bucket):
    """206 with the part's range and the number of parts; 416 beyond."""
    upload = Upload(s3, bucket)
    upload.put(1, BIG)
    upload.put(2, b"tail")
    upload.complete()
    got = s3.get_object(**upload.where, PartNumber=2)
    assert got["Body"].read() == b"tail"
    assert got["ContentRange"] == f"bytes {5 * MIB}-{5 * MIB + 3}/{5 * MIB + 4}"
    assert got["PartsCount"] == 2
    head = s3.head_object(**upload.where, PartNumber=1)
    assert (head["ContentLength"], head["PartsCount"]) == (5 * MIB, 2)
    assert refusal(s3.get_object, **upload.where, PartNumber=3) == ("InvalidPartNumber", 416)
    assert refusal(s3.get_object, **upload.where, PartNumber=1, Range="bytes=0-1")[1] == 400
    s3.put_object(Bucket=bucket, Key="plain", Body=b"x")
    assert s3.get_object(Bucket=bucket, Key="plain", PartNumber=1)["Body"].read() == b"x"
    assert refusal(s3.get_object, Bucket=bucket, Key="plain", PartNumber=2)[1] == 416


def test_a_part_sent_again_replaces_the_first(site, s3, bucket):
    """Only the newest counts; the older one's record goes with the upload."""
    upload = Upload(s3, bucket)
    first = upload.put(1, b"old")["ETag"]
    upload.put(1, b"new")
    parts = s3.list_parts(**upload.where, UploadId=upload.id)["Parts"]
    assert [(part["PartNumber"], part["Size"]) for part in parts] == [(1, 3)]
    assert refusal(upload.complete, parts=[{"PartNumber": 1, "ETag": first}])[0] == "InvalidPart"
    upload.complete()
    assert upload.read() == b"new"
    assert records(site, bucket, PARTS) == []


def test_unused_parts_are_left_out_and_removed(site, s3, bucket):
    """Parts not in the list are not in the object."""
    upload = Upload(s3, bucket)
    for number in (1, 2, 3):
        upload.put(number, str(number).encode())
    upload.complete(parts=[part for part in upload.list if part["PartNumber"] == 2])
    assert upload.read() == b"2"
    assert records(site, bucket, PARTS) == []


def test_completing_again_gives_the_same_answer(s3, bucket):
    """A client that lost the first answer asks again; not after the object was replaced."""
    upload = Upload(s3, bucket)
    upload.put(1, b"x")
    first = upload.complete()
    assert upload.complete()["ETag"] == first["ETag"]
    s3.put_object(**upload.where, Body=b"other")
    assert refusal(upload.complete) == ("NoSuchUpload", 404)
    assert upload.read() == b"other"


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([(1, "right"), (1, "right")], "InvalidPartOrder"),
        ([(2, "right"), (1, "right")], "InvalidPartOrder"),
        ([(1, "right"), (3, "right")], "InvalidPart"),
        ([(1, '"00000000000000000000000000000000"')], "InvalidPart"),
        ([], "MalformedXML"),
    ],
)
def test_a_wrong_part_list_is_refused(s3, bucket, parts, code):
    """And the upload stays open: the right list works afterwards."""
    upload = Upload(s3, bucket)
    upload.put(1, b"1")
    upload.put(2, b"2")
    given = [
        {"PartNumber": n, "ETag": upload.parts.get(n, '"x"') if etag == "right" else etag}
        for n, etag in parts
    ]
    assert refusal(upload.complete, parts=given) == (code, 400)
    upload.complete(parts=upload.list[1:])
    assert upload.read() == b"2"


def test_only_the_last_part_may_be_small(s3, bucket):
    """EntityTooSmall names the part."""
    upload = Upload(s3, bucket)
    upload.put(1, b"small")
    upload.put(2, b"tail")
    assert refusal(upload.complete) == ("EntityTooSmall", 400)


def test_an_aborted_upload_is_gone(site, s3, bucket):
    """With its parts; every verb answers NoSuchUpload then."""
    upload = Upload(s3, bucket)
    upload.put(1, b"x")
    upload.abort()
    assert records(site, bucket, UPLOADS) == records(site, bucket, PARTS) == []
    for call in (upload.abort, upload.complete, lambda: upload.put(2, b"y")):
        assert refusal(call) == ("NoSuchUpload", 404)
    assert refusal(s3.list_parts, **upload.where, UploadId=upload.id)[0] == "NoSuchUpload"
    assert records(site, bucket, PARTS) == []


@pytest.mark.parametrize("upload_id", ["x", "0" * 32, "../" * 5, "a\x01b", "A" * 32])
def test_an_unknown_upload_id_is_no_such_upload(s3, bucket, upload_id):
    """Whatever its form; it never becomes part of a name unless it is one of ours."""
    where = {"Bucket": bucket, "Key": "k", "UploadId": upload_id}
    assert refusal(s3.list_parts, **where) == ("NoSuchUpload", 404)
    assert refusal(s3.upload_part, **where, PartNumber=1, Body=b"")[0] == "NoSuchUpload"
    assert refusal(s3.abort_multipart_upload, **where)[0] == "NoSuchUpload"
    part = {"Parts": [{"PartNumber": 1, "ETag": "x"}]}
    assert refusal(s3.complete_multipart_upload, **where, MultipartUpload=part)[1] == 404


@pytest.mark.parametrize("number", ["0", "10001", "-1", "x", "", "1.5", "٣"])
def test_part_numbers_run_from_1_to_10000(site, bucket, number):
    """InvalidArgument."""
    query = [("partNumber", number), ("uploadId", "0" * 32)]
    assert site.call("PUT", f"/{bucket}/k", query).code == "InvalidArgument"


def test_parts_are_listed_in_pages(s3, bucket):
    """max-parts and part-number-marker."""
    upload = Upload(s3, bucket)
    for number in (1, 3, 5, 9):
        upload.put(number, b"x" * number)
    page = s3.list_parts(**upload.where, UploadId=upload.id, MaxParts=3)
    assert [part["PartNumber"] for part in page["Parts"]] == [1, 3, 5]
    assert (page["IsTruncated"], page["NextPartNumberMarker"]) == (True, 5)
    page = s3.list_parts(**upload.where, UploadId=upload.id, PartNumberMarker=5)
    assert [(part["PartNumber"], part["Size"]) for part in page["Parts"]] == [(9, 9)]
    assert not page["IsTruncated"]
    assert page["StorageClass"] == "STANDARD"
    assert page["Initiator"]["ID"] == page["Owner"]["ID"]


def test_uploads_are_listed_by_key_then_id(s3, bucket):
    """Prefix, delimiter (any, also one that occurs in ids), markers."""
    ids = {}
    for key in ("a", "a", "b/1", "b/2", "c", "c/d/e"):
        ids.setdefault(key, []).append(Upload(s3, bucket, key).id)

    def listed(**options):
        page = s3.list_multipart_uploads(Bucket=bucket, **options)
        uploads = [(row["Key"], row["UploadId"]) for row in page.get("Uploads", [])]
        return uploads, [row["Prefix"] for row in page.get("CommonPrefixes", [])], page

    everything = [(key, one) for key in sorted(ids) for one in sorted(ids[key])]
    assert listed()[0] == everything
    assert listed(Prefix="b/")[0] == everything[2:4]
    assert listed(Delimiter="/")[:2] == ([*everything[:2], everything[4]], ["b/", "c/"])
    assert listed(Prefix="c", Delimiter="/")[:2] == ([everything[4]], ["c/"])
    for delimiter in "0123456789abcdef":
        uploads, prefixes, _ = listed(Delimiter=delimiter)
        keys = {key for key in ids if delimiter not in key}
        assert {key for key, _ in uploads} == keys
        assert all("\0" not in prefix for prefix in prefixes)
    for delimiter in ({}, {"Delimiter": "/"}):
        seen, markers = [], {}
        while True:
            uploads, prefixes, page = listed(MaxUploads=1, **markers, **delimiter)
            seen += uploads + prefixes
            if not page["IsTruncated"]:
                break
            markers = {"KeyMarker": page["NextKeyMarker"]}
            if page.get("NextUploadIdMarker"):
                markers["UploadIdMarker"] = page["NextUploadIdMarker"]
        want = everything if not delimiter else [*everything[:2], "b/", everything[4], "c/"]
        assert seen == want
    assert listed(KeyMarker="a")[0] == everything[2:]
    assert listed(KeyMarker="a", UploadIdMarker=everything[0][1])[0] == everything[1:]


def test_completion_is_conditional(s3, bucket):
    """If-None-Match and If-Match on the object it would replace; a failed one leaves it open."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"there")
    etag = s3.head_object(Bucket=bucket, Key="k")["ETag"]
    upload = Upload(s3, bucket)
    upload.put(1, b"1")
    upload.put(2, b"2")
    one = upload.list[:1]
    assert refusal(upload.complete, parts=one, IfNoneMatch="*")[1] == 412
    assert refusal(upload.complete, parts=one, IfMatch='"x"')[1] == 412
    upload.complete(parts=upload.list[1:], IfMatch=etag)
    assert upload.read() == b"2"
    fresh = Upload(s3, bucket, "fresh")
    fresh.put(1, b"x")
    assert refusal(fresh.complete, IfMatch="*") == ("NoSuchKey", 404)
    fresh.complete(IfNoneMatch="*")
    assert fresh.read() == b"x"


def test_the_announced_object_size_is_checked(s3, bucket):
    """x-amz-mp-object-size."""
    upload = Upload(s3, bucket)
    upload.put(1, b"four")
    assert refusal(upload.complete, MpuObjectSize=5) == ("InvalidRequest", 400)
    upload.complete(MpuObjectSize=4)


def test_bad_parts_are_not_stored(site, s3, bucket):
    """Digests of parts are checked like those of objects."""
    upload = Upload(s3, bucket)
    query = [("partNumber", "1"), ("uploadId", upload.id)]
    answer = site.call(
        "PUT", f"/{bucket}/k", query, {"Content-MD5": "1B2M2Y8AsgTpgAmY7PhCfg=="}, b"x"
    )
    assert answer.code == "BadDigest"
    assert "Parts" not in s3.list_parts(**upload.where, UploadId=upload.id)


def test_parts_can_be_copied_from_objects(s3, bucket):
    """Whole objects and ranges; the part's entity tag is what completion expects."""
    s3.put_object(Bucket=bucket, Key="src", Body=BIG + b"0123456789")
    source = {"Bucket": bucket, "Key": "src"}
    upload = Upload(s3, bucket)

    def copy(number, **options):
        answer = s3.upload_part_copy(
            **upload.where, UploadId=upload.id, PartNumber=number, CopySource=source, **options
        )
        upload.parts[number] = answer["CopyPartResult"]["ETag"]

    copy(1)
    copy(2, CopySourceRange=f"bytes={5 * MIB}-{5 * MIB + 3}")
    upload.complete()
    assert upload.read() == BIG + b"01234567890123"
    upload = Upload(s3, bucket, "k2")
    for bad in ("bytes=0-", "bytes=-5", "0-5", "bytes=0-5,7-8", "bytes=5-2", f"bytes=0-{6 * MIB}"):
        assert refusal(copy, number=1, CopySourceRange=bad) == ("InvalidArgument", 400)
    assert refusal(copy, number=1, CopySourceIfMatch='"x"') == ("PreconditionFailed", 412)
    assert refusal(copy, number=1, CopySourceIfNoneMatch="*") == ("PreconditionFailed", 412)


# -- the order of steps, driven through a store that fails where told ---------------------------


class Failing:
    """The model store, raising at one call of a verb."""

    def __init__(self, store):
        self.store = store
        self.at = None
        self.log = []

    def __getattr__(self, name):
        verb = getattr(self.store, name)
        if name not in {"compose_object", "delete_object", "update_object"}:
            return verb

        async def call(*args, **options):
            if self.at == name:
                self.at = None
                raise Unavailable("down", "the store is down")
            self.log.append((name, args[0], options.get("keep_blobs", False)))
            return await verb(*args, **options)

        return call


@pytest.fixture
def fragile(site):
    from tests.unit.proxy_s3.site import Site

    running = Site(Failing(site.store))
    yield running
    running.stop()


@pytest.mark.parametrize("verb", ["update_object", "compose_object", "delete_object"])
def test_an_interrupted_completion_is_finished_by_the_next(fragile, site, s3, bucket, verb):
    """503 at any step; asking again gives the object, and nothing is left over."""
    upload = Upload(s3, bucket)
    upload.put(1, b"x")
    again = fragile.client()
    fragile.store.at = verb
    call = {
        **upload.where,
        "UploadId": upload.id,
        "MultipartUpload": {"Parts": upload.list},
    }
    assert refusal(again.complete_multipart_upload, **call)[1] == 503
    assert again.complete_multipart_upload(**call)["ETag"].endswith('-1"')
    assert upload.read() == b"x"
    assert records(site, bucket, UPLOADS) == records(site, bucket, PARTS) == []


def test_completion_deletes_chosen_parts_without_their_blobs(fragile, s3, bucket):
    """The final object owns them; those of superseded and unused parts go."""
    upload = Upload(s3, bucket)
    upload.put(1, b"old")
    upload.put(1, b"new")
    upload.put(2, b"unused")
    client = fragile.client()
    client.complete_multipart_upload(
        **upload.where, UploadId=upload.id, MultipartUpload={"Parts": upload.list[:1]}
    )
    verbs = [name for name, _, _ in fragile.store.log]
    assert verbs == ["update_object", "compose_object", *["delete_object"] * 4]
    kept = [keep for name, where, keep in fragile.store.log if where.space == PARTS]
    assert sorted(kept) == [False, False, True]


def test_an_abort_after_a_completion_began_keeps_the_blobs(fragile, site, s3, bucket):
    """The completion may yet compose the object (or has): its blobs are not the abort's to free."""
    upload = Upload(s3, bucket)
    upload.put(1, b"x")
    upload.put(2, b"unused")
    client = fragile.client()
    fragile.store.at = "compose_object"
    call = {
        **upload.where,
        "UploadId": upload.id,
        "MultipartUpload": {"Parts": upload.list[:1]},
    }
    assert refusal(client.complete_multipart_upload, **call)[1] == 503
    client.abort_multipart_upload(**upload.where, UploadId=upload.id)
    kept = {where.name[33:38]: keep for _, where, keep in fragile.store.log if where.space == PARTS}
    assert kept == {"00001": True, "00002": False}
    with pytest.raises(NotFound):
        site.run(site.store.get_object(fragile.store.log[0][1]))


def test_a_part_that_lands_after_the_end_is_taken_away(site, s3, bucket):
    """Its upload was aborted while its body was still coming: NoSuchUpload, nothing left."""
    upload = Upload(s3, bucket)
    query = [("partNumber", "1"), ("uploadId", upload.id)]
    wire = site.signer.sign("PUT", f"/{bucket}/k", query, body=b"half-half")
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=20)
    connection.putrequest("PUT", wire.target, skip_host=True, skip_accept_encoding=True)
    for name, value in wire.headers.items():
        connection.putheader(name, value)
    connection.endheaders(wire.body[:4])
    site.call("GET", f"/{bucket}/k", query[1:])  # a round trip: the part is under way by now
    upload.abort()
    connection.send(wire.body[4:])
    response = connection.getresponse()
    assert (response.status, b"NoSuchUpload" in response.read()) == (404, True)
    connection.close()
    assert records(site, bucket, PARTS) == []
