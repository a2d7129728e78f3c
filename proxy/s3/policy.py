"""The policy document of a browser's form upload: its signature, its expiry, every condition. Pure.

Each field of the form must satisfy a condition and each condition must hold; a field that no
condition mentions is refused. Signature version 4, and for forms only also version 2, whose string to
sign is just the policy.
Reference: Amazon S3 API, "Creating a POST Policy", "POST Object", "Browser-Based Uploads Using POST".
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from proxy.s3 import sigv4
from proxy.s3.errors import S3Error

CONDITIONS_MAX = 1000
_UNCONDITIONED = frozenset({"policy", "signature", "awsaccesskeyid", "x-amz-signature", "file"})


class LengthRange(NamedTuple):
    """Size limits of the file, bytes, both inclusive."""

    low: int
    high: int


class Condition(NamedTuple):
    """`operator` is `eq` or `starts-with`; `name` is a lower-case field name."""

    operator: str
    name: str
    value: str

    def holds(self, given: str) -> bool:
        """Decide on a field's value."""
        if self.operator == "eq":
            return given == self.value
        if self.name == "content-type":
            return all(part.strip().startswith(self.value) for part in given.split(","))
        return given.startswith(self.value)


class Policy(NamedTuple):
    """A decoded policy document."""

    expires_s: float
    conditions: tuple[Condition, ...]
    length: LengthRange | None

    def check(self, fields: Mapping[str, str], now_s: float) -> None:
        """Raise AccessDenied unless every condition holds and every field has one."""
        if now_s >= self.expires_s:
            raise S3Error("AccessDenied", "Invalid according to Policy: Policy expired.")
        for condition in self.conditions:
            if not condition.holds(fields.get(condition.name, "")):
                shown = [condition.operator, "$" + condition.name, condition.value]
                raise S3Error(
                    "AccessDenied",
                    "Invalid according to Policy: Policy Condition failed: "
                    + msgspec.json.encode(shown).decode(),
                )
        named = {condition.name for condition in self.conditions}
        extra = [
            name
            for name in fields
            if name not in named
            and name not in _UNCONDITIONED
            and name != "bucket"
            and not name.startswith("x-ignore-")
        ]
        if extra:
            raise S3Error(
                "AccessDenied",
                f"Invalid according to Policy: Extra input fields: {', '.join(sorted(extra))}",
            )


def access_key_of(fields: Mapping[str, str]) -> str:
    """Whose signature a form claims to bear, before anything is checked; "" when it does not say."""
    credential = fields.get("x-amz-credential")
    if credential is not None:
        return credential.rsplit("/", 4)[0]
    return fields.get("awsaccesskeyid", "")


def verify(fields: Mapping[str, str], *, secret: str | None, region: str) -> str:
    """The base64 policy, after its signature was found good. Raises S3Error (403)."""
    policy = fields.get("policy")
    if policy is None:
        raise S3Error("AccessDenied")
    if "x-amz-security-token" in fields:
        raise S3Error("InvalidToken")
    if "x-amz-signature" in fields or "x-amz-algorithm" in fields:
        _verify_v4(fields, policy, secret=secret, region=region)
    else:
        _verify_v2(fields, policy, secret=secret)
    return policy


def _verify_v4(fields: Mapping[str, str], policy: str, *, secret: str | None, region: str) -> None:
    required = ("x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature")
    missing = [name for name in required if not fields.get(name)]
    if missing:
        raise S3Error(
            "InvalidArgument",
            "Bucket POST must contain a field named "
            f"'{missing[0]}'.  If it is specified, please check the order of the fields.",
        )
    if fields["x-amz-algorithm"] != sigv4.ALGORITHM:
        raise S3Error("InvalidArgument", "X-Amz-Algorithm only supports AWS4-HMAC-SHA256.")
    parts = fields["x-amz-credential"].rsplit("/", 4)
    if len(parts) != 5 or parts[3:] != ["s3", "aws4_request"] or parts[2] != region:
        raise S3Error(
            "InvalidArgument",
            f"The Credential is mal-formed; expecting <key>/YYYYMMDD/{region}/s3/aws4_request.",
        )
    access_key, date = parts[:2]
    if sigv4.parse_time(fields["x-amz-date"]) is None or fields["x-amz-date"][:8] != date:
        raise S3Error("InvalidArgument", "X-Amz-Date is not valid or not that of the Credential.")
    # without the cache: the date of a form is any date at all
    key = sigv4.signing_key.__wrapped__(secret or "unknown", date, region, "s3")
    expected = hmac.digest(key, policy.encode(), "sha256").hex()
    _compare(expected, fields["x-amz-signature"], access_key, known=secret is not None)


def _verify_v2(fields: Mapping[str, str], policy: str, *, secret: str | None) -> None:
    access_key = fields.get("awsaccesskeyid", "")
    given = fields.get("signature", "")
    if not access_key or not given:
        raise S3Error("InvalidArgument", "Bucket POST must contain a signature and its key.")
    digest = hmac.digest((secret or "unknown").encode(), policy.encode(), "sha1")
    expected = base64.b64encode(digest).decode()
    _compare(expected, given, access_key, known=secret is not None)


def _compare(expected: str, given: str, access_key: str, *, known: bool) -> None:
    good = hmac.compare_digest(expected.encode(), given.strip().encode())
    if not known:
        raise S3Error("InvalidAccessKeyId", fields=(("AWSAccessKeyId", access_key),))
    if not good:
        raise S3Error("SignatureDoesNotMatch", fields=(("AWSAccessKeyId", access_key),))


def parse(policy: str) -> Policy:
    """Decode a base64 policy document. Raises InvalidPolicyDocument."""
    try:
        body = base64.b64decode(policy.encode(), validate=False)
        document = msgspec.json.decode(body)
    except (binascii.Error, ValueError, RecursionError):
        raise _invalid("Invalid JSON.") from None
    if not isinstance(document, dict):
        raise _invalid("Invalid JSON.")
    if "expiration" not in document:
        raise _invalid("Policy missing expiration.")
    items = document.get("conditions")
    if not isinstance(items, list) or len(items) > CONDITIONS_MAX:
        raise _invalid("Policy missing conditions." if items is None else "Invalid conditions.")
    conditions: list[Condition] = []
    length = None
    for item in items:
        if isinstance(item, dict):
            conditions += _equalities(item)
        elif isinstance(item, list) and item and item[0] == "content-length-range":
            length = _length(item, length)
        else:
            conditions.append(_condition(item))
    return Policy(_expiration(document["expiration"]), tuple(conditions), length)


def _expiration(value: Any) -> float:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise _invalid("Invalid expiration.") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _equalities(item: dict[Any, Any]) -> list[Condition]:
    if not item or not all(isinstance(v, str) and isinstance(k, str) for k, v in item.items()):
        raise _invalid("Invalid Simple-Condition: value must be a string.")
    return [Condition("eq", name.lower(), value) for name, value in item.items()]


def _condition(item: Any) -> Condition:
    if not isinstance(item, list) or len(item) != 3 or not all(isinstance(x, str) for x in item):
        raise _invalid("Invalid Condition.")
    operator, name, value = item
    if operator.lower() not in {"eq", "starts-with"} or not name.startswith("$"):
        raise _invalid(f"Invalid Condition: unknown operation '{operator}'.")
    return Condition(operator.lower(), name[1:].lower(), value)


def _length(item: list[Any], known: LengthRange | None) -> LengthRange:
    if len(item) != 3:
        raise _invalid("Invalid content-length-range.")
    bounds = []
    for bound in item[1:]:
        if isinstance(bound, str) and bound.isascii() and bound.isdigit() and len(bound) < 20:
            bound = int(bound)  # noqa: PLW2901 - numbers may be written as strings
        if not isinstance(bound, int) or isinstance(bound, bool) or bound < 0:
            raise _invalid("Invalid content-length-range.")
        bounds.append(bound)
    low, high = bounds
    if known is not None:  # both must hold
        low, high = max(low, known.low), min(high, known.high)
    return LengthRange(low, high)


def _invalid(message: str) -> S3Error:
    return S3Error("InvalidPolicyDocument", f"Invalid Policy: {message}")
