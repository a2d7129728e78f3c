"""Buckets and listings as boto3 sees them."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from tests.unit.proxy_s3.site import Site
from tests.unit.proxy_s3.test_object_api import refusal


def test_a_bucket_lives_and_dies(s3, site):
    """Create, head, list, delete; deleting again is NoSuchBucket."""
    s3.create_bucket(Bucket="life")
    assert s3.head_bucket(Bucket="life")["BucketRegion"] == "us-east-1"
    names = [row["Name"] for row in s3.list_buckets()["Buckets"]]
    assert "life" in names
    s3.put_object(Bucket="life", Key="k", Body=b"")
    assert refusal(s3.delete_bucket, Bucket="life") == ("BucketNotEmpty", 409)
    s3.delete_object(Bucket="life", Key="k")
    s3.delete_bucket(Bucket="life")
    assert refusal(s3.delete_bucket, Bucket="life") == ("NoSuchBucket", 404)
    assert refusal(s3.head_bucket, Bucket="life") == ("404", 404)


def test_creating_ones_own_bucket_again_succeeds_in_us_east_1_only(s3, bucket):
    """The documented exception of the oldest region; elsewhere BucketAlreadyOwnedByYou."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.create_bucket(Bucket=bucket)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    other = Site(region="eu-central-1")
    try:
        other.signer.region = "eu-central-1"
        assert other.call("PUT", "/abc").status == 200
        again = other.call("PUT", "/abc")
        assert (again.status, again.code) == (409, "BucketAlreadyOwnedByYou")
        location = other.call("GET", "/abc", ["location"])
        assert location.xml("LocationConstraint").text == "eu-central-1"
        body = b"<CreateBucketConfiguration><LocationConstraint>eu-central-1</LocationConstraint></CreateBucketConfiguration>"
        assert other.call("PUT", "/abd", body=body).status == 200
        wrong = body.replace(b"eu-central-1", b"ap-south-1")
        answer = other.call("PUT", "/abe", body=wrong)
        assert answer.code == "IllegalLocationConstraintException"
        answer = other.call("PUT", "/abe", body=body.replace(b"eu-central-1", b"moon"))
        assert answer.code == "InvalidLocationConstraint"
    finally:
        other.stop()


@pytest.mark.parametrize(
    "name",
    [
        "ab", "a" * 64, "Upper", "under_score", "-dash", "dash-", ".dot", "dot.", "a..b", "1.2.3.4",
        "xn--abc", "abc-s3alias", "sthree-x", "a b", "a%2Fb", "ü-ber",
    ],
)  # fmt: skip
def test_new_buckets_follow_the_naming_rules(site, name):
    """InvalidBucketName at creation."""
    answer = site.call("PUT", f"/{name}")
    assert (answer.status, answer.code) == (400, "InvalidBucketName")


@pytest.mark.parametrize("name", ["abc", "a-b.c-d", "123", "a" * 63, "a.b.c"])
def test_valid_names_are_accepted(site, name):
    """Three to 63 characters of the DNS alphabet."""
    assert site.call("PUT", f"/{name}").status == 200


def test_containers_with_other_names_stay_reachable(site):
    """A Swift container whose name S3 would refuse can be listed, read, written and deleted."""
    name = "Photos_2020 ü"
    site.run(site.store.create_container("AUTH_admin", name, policy=None, change={}))
    assert site.call("PUT", f"/{name}/k", body=b"x").status == 200
    assert site.call("GET", f"/{name}/k").body == b"x"
    assert site.call("DELETE", f"/{name}/k").status == 204
    assert name in site.call("GET", "/").body.decode()
    assert site.call("DELETE", f"/{name}").status == 204


def test_listing_buckets_pages(s3, site):
    """prefix, max-buckets, continuation-token."""
    for n in range(5):
        s3.create_bucket(Bucket=f"page-{n}")
    first = s3.list_buckets(Prefix="page-", MaxBuckets=3)
    assert [row["Name"] for row in first["Buckets"]] == ["page-0", "page-1", "page-2"]
    rest = s3.list_buckets(
        Prefix="page-", MaxBuckets=3, ContinuationToken=first["ContinuationToken"]
    )
    assert [row["Name"] for row in rest["Buckets"]] == ["page-3", "page-4"]
    assert "ContinuationToken" not in rest
    assert refusal(s3.list_buckets, ContinuationToken="nonsense") == ("InvalidArgument", 400)
    assert site.call("GET", "/", [("max-buckets", "0")]).code == "InvalidArgument"
    owner = s3.list_buckets()["Owner"]
    assert len(owner["ID"]) == 64


ABSENT = {
    "get_bucket_policy": "NoSuchBucketPolicy",
    "get_bucket_policy_status": "NoSuchBucketPolicy",
    "get_bucket_lifecycle_configuration": "NoSuchLifecycleConfiguration",
    "get_bucket_cors": "NoSuchCORSConfiguration",
    "get_bucket_encryption": "ServerSideEncryptionConfigurationNotFoundError",
    "get_bucket_website": "NoSuchWebsiteConfiguration",
    "get_bucket_replication": "ReplicationConfigurationNotFoundError",
    "get_public_access_block": "NoSuchPublicAccessBlockConfiguration",
    "get_bucket_ownership_controls": "OwnershipControlsNotFoundError",
    "get_object_lock_configuration": "ObjectLockConfigurationNotFoundError",
    "get_bucket_tagging": "NoSuchTagSet",
}


@pytest.mark.parametrize("call", ABSENT)
def test_configurations_never_set_answer_their_documented_error(s3, bucket, call):
    """404 with the code clients look for, and NoSuchBucket for a bucket that is not."""
    assert refusal(getattr(s3, call), Bucket=bucket) == (ABSENT[call], 404)
    assert refusal(getattr(s3, call), Bucket="missing-bucket") == ("NoSuchBucket", 404)


def test_configurations_at_their_default_are_empty_documents(s3, bucket):
    """Versioning, logging, notification, acceleration, payment, location."""
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=bucket)
    assert "TopicConfigurations" not in s3.get_bucket_notification_configuration(Bucket=bucket)
    assert "Status" not in s3.get_bucket_accelerate_configuration(Bucket=bucket)
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
    assert refusal(s3.get_bucket_versioning, Bucket="missing-bucket") == ("NoSuchBucket", 404)


@pytest.mark.parametrize(
    "call",
    [
        "delete_bucket_policy",
        "delete_bucket_lifecycle",
        "delete_bucket_cors",
        "delete_bucket_encryption",
        "delete_bucket_website",
        "delete_bucket_replication",
        "delete_public_access_block",
        "delete_bucket_ownership_controls",
        "delete_bucket_tagging",
    ],
)
def test_deleting_a_configuration_that_is_not_set_succeeds(s3, bucket, call):
    """204, as documented; the bucket must exist."""
    answer = getattr(s3, call)(Bucket=bucket)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert refusal(getattr(s3, call), Bucket="missing-bucket") == ("NoSuchBucket", 404)


def test_configurations_that_are_not_built_cannot_be_set(s3, site, bucket):
    """501 and nothing stored."""
    for selector in ("policy", "cors", "lifecycle", "versioning", "website", "object-lock"):
        answer = site.call("PUT", f"/{bucket}", [selector], body=b"<X/>")
        assert (answer.status, answer.code) == (501, "NotImplemented")
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    assert refusal(
        s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}
    ) == ("NotImplemented", 501)


def test_bucket_tags(s3, bucket):
    """Up to fifty, replaced whole."""
    tags = [{"Key": f"k{n}", "Value": "v"} for n in range(50)]
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags
    too_many = [*tags, {"Key": "x", "Value": ""}]
    assert refusal(s3.put_bucket_tagging, Bucket=bucket, Tagging={"TagSet": too_many})[1] == 400
    s3.delete_bucket_tagging(Bucket=bucket)
    assert refusal(s3.get_bucket_tagging, Bucket=bucket) == ("NoSuchTagSet", 404)
    assert refusal(s3.put_bucket_tagging, Bucket="missing-bucket", Tagging={"TagSet": []})[1] == 404


def test_the_bucket_acl_is_the_owners(s3, bucket):
    """As with objects."""
    assert s3.get_bucket_acl(Bucket=bucket)["Grants"][0]["Permission"] == "FULL_CONTROL"
    s3.put_bucket_acl(Bucket=bucket, ACL="private")
    assert refusal(s3.put_bucket_acl, Bucket=bucket, ACL="public-read") == (
        "AccessControlListNotSupported",
        400,
    )
    assert refusal(s3.create_bucket, Bucket="public-bucket", ACL="public-read")[1] == 400


def test_bucket_creation_refuses_what_is_not_built(s3):
    """Object lock and foreign ownership."""
    assert refusal(s3.create_bucket, Bucket="locked", ObjectLockEnabledForBucket=True)[1] == 501
    assert refusal(s3.create_bucket, Bucket="locked", ObjectOwnership="ObjectWriter")[1] == 501
    assert refusal(s3.head_bucket, Bucket="locked")[1] == 404


def test_a_preflight_is_refused_without_cors_rules(site, bucket):
    """OPTIONS is never signed; no bucket has rules."""
    wire = site.signer.sign("OPTIONS", f"/{bucket}/k", mode="UNSIGNED-PAYLOAD", place="none")
    answer = site.send(wire)
    assert (answer.status, answer.code) == (403, "AccessForbidden")


def test_virtual_host_style_reaches_the_same_bucket(site, bucket):
    """The bucket in the Host header, the key alone in the path."""
    site.call("PUT", f"/{bucket}/k", body=b"x")
    from tests.unit.proxy_s3.signer import Signer

    port = site.host.rpartition(":")[2]
    for domain in ("localhost", "s3.localhost"):
        signer = Signer(f"{bucket}.{domain}:{port}")
        assert site.call("GET", "/k", signer=signer).body == b"x"
        assert b"<Key>k</Key>" in site.call("GET", "/", signer=signer).body
    assert site.call("GET", f"/{bucket}/k", signer=Signer("s3.localhost")).body == b"x"


def test_an_unknown_error_of_the_store_is_an_internal_error(site):
    """Nothing escapes the front: Unavailable is 503, Full 507, Corrupt 500."""
    from core.errors import Corrupt, Full, Unavailable, UnknownOutcome
    from proxy.s3.errors import of_failure

    for error, status in (
        (Unavailable("x"), 503),
        (UnknownOutcome("x"), 503),
        (Full("x"), 507),
        (Corrupt("x"), 500),
    ):
        assert of_failure(error).status == status


def test_client_errors_are_typed_by_boto(s3):
    """The codes map to boto3's modelled exceptions."""
    with pytest.raises(s3.exceptions.NoSuchBucket):
        s3.list_objects_v2(Bucket="missing-bucket")
    with pytest.raises(ClientError):
        s3.get_object(Bucket="missing-bucket", Key="k")
