"""S3's form of an error: a code, a message, a status and the documented extra fields. Pure.

`S3Error` is raised anywhere in the dialect, including in the store's `check` callbacks and in a body
being stored. Errors of the store and of the engine keep their own types until `of_failure` translates
them. Codes, statuses and messages: Amazon S3 API reference, "Error responses".
"""

from __future__ import annotations

from core.errors import (
    Conflict,
    Full,
    NotFound,
    PreconditionFailed,
    Refused,
    RingstackError,
    Unavailable,
)

MESSAGES: dict[str, tuple[int, str]] = {
    "AccessForbidden": (403, "CORSResponse: CORS is not enabled for this bucket."),
    "AccessControlListNotSupported": (400, "The bucket does not allow ACLs"),
    "AccessDenied": (403, "Access Denied"),
    "AuthorizationHeaderMalformed": (400, "The authorization header is malformed"),
    "AuthorizationQueryParametersError": (
        400,
        (
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, "
            "X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
        ),
    ),
    "BadDigest": (400, "The Content-MD5 you specified did not match what we received."),
    "BucketNotEmpty": (409, "The bucket you tried to delete is not empty"),
    "BucketAlreadyOwnedByYou": (
        409,
        "Your previous request to create the named bucket succeeded and you already own it.",
    ),
    "EntityTooLarge": (400, "Your proposed upload exceeds the maximum allowed size"),
    "EntityTooSmall": (
        400,
        "Your proposed upload is smaller than the minimum allowed object size.",
    ),
    "IllegalLocationConstraintException": (
        400,
        (
            "The location constraint is incompatible for the region specific endpoint this request "
            "was sent to."
        ),
    ),
    "IncompleteBody": (
        400,
        "You did not provide the number of bytes specified by the Content-Length HTTP header",
    ),
    "InternalError": (500, "We encountered an internal error. Please try again."),
    "InvalidAccessKeyId": (
        403,
        "The AWS Access Key Id you provided does not exist in our records.",
    ),
    "InvalidArgument": (400, "Invalid Argument"),
    "InvalidBucketName": (400, "The specified bucket is not valid."),
    "InvalidDigest": (400, "The Content-MD5 you specified is not valid."),
    "InvalidLocationConstraint": (400, "The specified location-constraint is not valid"),
    "InvalidPart": (
        400,
        (
            "One or more of the specified parts could not be found. The part may not have been "
            "uploaded, or the specified entity tag may not match the part's entity tag."
        ),
    ),
    "InvalidPartNumber": (416, "The requested partnumber is not satisfiable"),
    "InvalidPartOrder": (
        400,
        (
            "The list of parts was not in ascending order. The parts list must be specified in order "
            "by part number."
        ),
    ),
    "InvalidPolicyDocument": (
        400,
        "The content of the form does not meet the conditions specified in the policy document.",
    ),
    "InvalidRange": (416, "The requested range is not satisfiable"),
    "InvalidRequest": (400, "Invalid Request"),
    "InvalidStorageClass": (400, "The storage class you specified is not valid"),
    "InvalidTag": (400, "The tag provided was not a valid tag."),
    "InvalidToken": (400, "The provided token is malformed or otherwise invalid."),
    "InvalidURI": (400, "Couldn't parse the specified URI."),
    "KeyTooLongError": (400, "Your key is too long"),
    "MalformedPOSTRequest": (
        400,
        "The body of your POST request is not well-formed multipart/form-data.",
    ),
    "MalformedTrailerError": (
        400,
        (
            "The request contained trailing data that was not well-formed or did not conform to our "
            "published schema."
        ),
    ),
    "MalformedXML": (
        400,
        "The XML you provided was not well-formed or did not validate against our published schema",
    ),
    "MaxPostPreDataLengthExceededError": (
        400,
        "Your POST request fields preceding the upload file were too large.",
    ),
    "MetadataTooLarge": (400, "Your metadata headers exceed the maximum allowed metadata size"),
    "MethodNotAllowed": (405, "The specified method is not allowed against this resource."),
    "MissingContentLength": (411, "You must provide the Content-Length HTTP header."),
    "MissingRequestBodyError": (400, "Request Body is empty"),
    "NoSuchBucket": (404, "The specified bucket does not exist"),
    "NoSuchBucketPolicy": (404, "The bucket policy does not exist"),
    "NoSuchConfiguration": (404, "The specified configuration does not exist."),
    "NoSuchCORSConfiguration": (404, "The CORS configuration does not exist"),
    "NoSuchKey": (404, "The specified key does not exist."),
    "NoSuchLifecycleConfiguration": (404, "The lifecycle configuration does not exist"),
    "NoSuchObjectLockConfiguration": (
        404,
        "The specified object does not have a ObjectLock configuration",
    ),
    "NoSuchPublicAccessBlockConfiguration": (
        404,
        "The public access block configuration was not found",
    ),
    "NoSuchTagSet": (404, "The TagSet does not exist"),
    "NoSuchUpload": (
        404,
        (
            "The specified upload does not exist. The upload ID may be invalid, or the upload may have "
            "been aborted or completed."
        ),
    ),
    "NoSuchVersion": (404, "The specified version does not exist."),
    "NoSuchWebsiteConfiguration": (
        404,
        "The specified bucket does not have a website configuration",
    ),
    "NotImplemented": (
        501,
        "A header or query you provided implies functionality that is not implemented.",
    ),
    "ObjectLockConfigurationNotFoundError": (
        404,
        "Object Lock configuration does not exist for this bucket",
    ),
    "OperationAborted": (
        409,
        "A conflicting conditional action is currently in progress against this resource. Try again.",
    ),
    "OwnershipControlsNotFoundError": (404, "The bucket ownership controls were not found"),
    "PreconditionFailed": (412, "At least one of the pre-conditions you specified did not hold"),
    "ReplicationConfigurationNotFoundError": (
        404,
        "The replication configuration was not found",
    ),
    "RequestTimeTooSkewed": (
        403,
        "The difference between the request time and the current time is too large.",
    ),
    "ServerSideEncryptionConfigurationNotFoundError": (
        404,
        "The server side encryption configuration was not found",
    ),
    "ServiceUnavailable": (503, "Service is unable to handle request."),
    "SignatureDoesNotMatch": (
        403,
        (
            "The request signature we calculated does not match the signature you provided. Check your "
            "key and signing method."
        ),
    ),
    "SlowDown": (503, "Please reduce your request rate."),
    "StorageFull": (507, "There is no space left for new data."),
    "UserKeyMustBeSpecified": (
        400,
        (
            "The bucket POST must contain the specified field name. If it is specified, please check "
            "the order of the fields."
        ),
    ),
    "XAmzContentSHA256Mismatch": (
        400,
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
    ),
}


class S3Error(Refused):
    """Ends a request with `code`; `fields` are extra elements of the error document.

    `status` and `message` default to those of the code. Raises KeyError for an unknown code.
    """

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        fields: tuple[tuple[str, str], ...] = (),
        status: int = 0,
    ) -> None:
        known_status, known_message = MESSAGES[code]
        super().__init__(code, message or known_message)
        self.status = status or known_status
        self.fields = fields


def invalid_argument(name: str, value: str, message: str) -> S3Error:
    """InvalidArgument that names the argument at fault."""
    return S3Error(
        "InvalidArgument", message, fields=(("ArgumentName", name), ("ArgumentValue", value))
    )


def not_implemented(header: str) -> S3Error:
    """501 for a header or query parameter whose function does not exist here."""
    return S3Error("NotImplemented", fields=(("Header", header),))


def of_failure(error: RingstackError) -> S3Error:
    """Translate an error of the store or of the engine into S3's form."""
    if isinstance(error, S3Error):
        return error
    if error.code == "BodyTruncated":  # of the engine
        return S3Error("IncompleteBody")
    if isinstance(error, NotFound):
        return S3Error("NoSuchBucket" if error.code == "NoSuchContainer" else "NoSuchKey")
    if isinstance(error, Conflict):
        code = "BucketNotEmpty" if error.code == "ContainerNotEmpty" else "OperationAborted"
        return S3Error(code)
    if isinstance(error, PreconditionFailed):
        return S3Error("PreconditionFailed")
    if isinstance(error, Refused):
        return _of_refused(error)
    if isinstance(error, Full):
        return S3Error("StorageFull")
    if isinstance(error, Unavailable):
        return S3Error("ServiceUnavailable", error.message)
    return S3Error("InternalError")


def _of_refused(error: Refused) -> S3Error:
    if error.code == "NameTooLong":
        return S3Error("KeyTooLongError")
    if error.code == "EntityTooLarge":
        return S3Error("EntityTooLarge", error.message)
    return S3Error("InvalidRequest", error.message)
