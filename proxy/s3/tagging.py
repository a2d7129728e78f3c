"""Tag sets of objects and buckets: their rules, and the forms they travel and rest in. Pure.

A tag set is kept in one attribute in the form of the `x-amz-tagging` header (URL-encoded pairs, in
order). Limits: Amazon S3 User Guide, "Categorizing your objects using tags".
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote, unquote_plus

from proxy.s3.errors import S3Error
from proxy.s3.xml import Node, document, element

ATTRIBUTE = "s3:tags"
OBJECT_TAGS_MAX = 10
BUCKET_TAGS_MAX = 50
KEY_CHARACTERS_MAX = 128
VALUE_CHARACTERS_MAX = 256
_PUNCTUATION = frozenset("+-=._:/@")

Tags = Sequence[tuple[str, str]]


def checked(tags: Tags, count_max: int) -> Tags:
    """The tags themselves. Raises InvalidTag."""
    if len(tags) > count_max:
        raise S3Error("InvalidTag", f"There cannot be more than {count_max} tags.")
    keys = set()
    for key, value in tags:
        if not 1 <= len(key) <= KEY_CHARACTERS_MAX or not _allowed(key):
            raise S3Error("InvalidTag", "The TagKey you have provided is invalid")
        if len(value) > VALUE_CHARACTERS_MAX or not _allowed(value):
            raise S3Error("InvalidTag", "The TagValue you have provided is invalid")
        if key.lower().startswith("aws:"):
            raise S3Error("InvalidTag", "System tags cannot be added/updated by requester")
        if key in keys:
            raise S3Error("InvalidTag", "Cannot provide multiple Tags with the same key")
        keys.add(key)
    return tags


def _allowed(text: str) -> bool:
    return all(
        character.isalnum() or character == " " or character in _PUNCTUATION for character in text
    )


def of_header(value: str) -> str:
    """What to keep for an `x-amz-tagging` header. Raises InvalidArgument, InvalidTag."""
    tags = []
    for part in value.split("&"):
        if part:
            key, _, text = part.partition("=")
            try:
                tags.append(
                    (unquote_plus(key, errors="strict"), unquote_plus(text, errors="strict"))
                )
            except UnicodeDecodeError:
                raise S3Error(
                    "InvalidArgument",
                    "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query "
                    "parameters without tag name duplicates.",
                ) from None
    return encoded(checked(tags, OBJECT_TAGS_MAX))


def of_document(node: Node, count_max: int) -> str:
    """What to keep for a `<Tagging>` document. Raises MalformedXML, InvalidTag."""
    tag_set = node.one("TagSet")
    if tag_set is None:
        raise S3Error("MalformedXML")
    tags = []
    for tag in tag_set.children:
        key, value = tag.value("Key"), tag.value("Value")
        if tag.name != "Tag" or key is None or value is None:
            raise S3Error("MalformedXML")
        tags.append((key, value))
    return encoded(checked(tags, count_max))


def encoded(tags: Tags) -> str:
    """Tags as one attribute value."""
    return "&".join(f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in tags)


def decoded(kept: str) -> Tags:
    """Tags of an attribute value."""
    pairs = (part.partition("=") for part in kept.split("&") if part)
    return [(unquote_plus(key), unquote_plus(value)) for key, _, value in pairs]


def count(kept: str) -> int:
    """Number of tags in an attribute value."""
    return kept.count("&") + 1 if kept else 0


def render(kept: str) -> bytes:
    """The `<Tagging>` document of an attribute value."""
    tags = "".join(
        f"<Tag>{element('Key', key)}{element('Value', value)}</Tag>" for key, value in decoded(kept)
    )
    return document("Tagging", f"<TagSet>{tags}</TagSet>")
