"""XML as S3 speaks it: a tiny escaping writer and a hardened reader. Pure.

The reader accepts no document type, no entities, no processing of inclusions, no network and no
document beyond the caller's limit; whatever it refuses is MalformedXML. The writer escapes characters
that XML 1.0 cannot carry as numeric references, as Amazon does; clients that meet such keys ask for
`encoding-type=url`.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from lxml import etree

from proxy.s3.errors import S3Error

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
DEPTH_MAX = 16

_ESCAPES = {code: f"&#x{code:x};" for code in range(32)} | {
    ord("\t"): "&#x9;",
    ord("&"): "&amp;",
    ord("<"): "&lt;",
    ord(">"): "&gt;",
    ord('"'): "&quot;",
    0x7F: "&#x7f;",
    0xFFFE: "&#xfffe;",
    0xFFFF: "&#xffff;",
}


# an error document must always parse, also when it quotes what could not be parsed
_HARMLESS = (
    _ESCAPES
    | dict.fromkeys([code for code in range(32) if code not in {9, 10, 13}], "\ufffd")
    | {0xFFFE: "\ufffd", 0xFFFF: "\ufffd"}
)


# a table is slow even when nothing is in it, and a listing asks for two thousand texts a page
_needs_escape = re.compile(f"[{''.join(re.escape(chr(code)) for code in _ESCAPES)}]").search


def escape(text: str) -> str:
    """Text as character data."""
    return text if _needs_escape(text) is None else text.translate(_ESCAPES)


def element(name: str, text: str | float) -> str:
    """`<name>text</name>` with the text escaped."""
    return f"<{name}>{escape(str(text))}</{name}>"


def optional(name: str, text: str) -> str:
    """The element, or nothing for an empty text."""
    return element(name, text) if text else ""


def document(root: str, *children: str) -> bytes:
    """A whole document; `children` are already markup."""
    return f'{DECLARATION}<{root} xmlns="{NAMESPACE}">{"".join(children)}</{root}>'.encode()


def error_document(
    code: str, message: str, fields: tuple[tuple[str, str], ...], request_id: str, host_id: str
) -> bytes:
    """`<Error>` with its documented fields (no namespace, as the reference shows it)."""
    pairs = (("Code", code), ("Message", message), *fields)
    pairs += (("RequestId", request_id), ("HostId", host_id))
    told = "".join(f"<{name}>{value.translate(_HARMLESS)}</{name}>" for name, value in pairs)
    return f"{DECLARATION}<Error>{told}</Error>".encode("utf-8", "replace")


def url_encoded(text: str) -> str:
    """A name under `encoding-type=url`."""
    return quote(text, safe="/-._~")


class Node:
    """One element, by local name; namespaces are ignored as S3 does."""

    __slots__ = ("children", "name", "text")

    def __init__(self, name: str, text: str, children: list[Node]) -> None:
        self.name = name
        self.text = text
        self.children = children

    def all(self, name: str) -> list[Node]:
        """Children of that name, in order."""
        return [child for child in self.children if child.name == name]

    def one(self, name: str) -> Node | None:
        """The only child of that name, or None. Raises MalformedXML when it repeats."""
        found = self.all(name)
        if len(found) > 1:
            raise S3Error("MalformedXML")
        return found[0] if found else None

    def value(self, name: str) -> str | None:
        """Text of the only child of that name, or None."""
        found = self.one(name)
        return None if found is None else found.text

    def number(self, name: str) -> int | None:
        """Non-negative decimal of the only child of that name, or None. Raises MalformedXML."""
        text = self.value(name)
        if text is None:
            return None
        text = text.strip()
        if not (text.isascii() and text.isdigit() and len(text) < 20):
            raise S3Error("MalformedXML")
        return int(text)


def parse(body: bytes, root: str) -> Node:
    """Parse a document whose root element is `root`. Raises MalformedXML on anything else."""
    parser = etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        tree = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError, LookupError):
        raise S3Error("MalformedXML") from None
    info = tree.getroottree().docinfo
    if info.doctype or info.internalDTD is not None or info.externalDTD is not None:
        raise S3Error("MalformedXML")
    node = _node(tree, DEPTH_MAX)
    if node.name != root:
        raise S3Error("MalformedXML")
    return node


def _node(source: Any, depth: int) -> Node:
    tag = source.tag
    if depth == 0 or not isinstance(tag, str):  # an entity reference has no name
        raise S3Error("MalformedXML")
    name = tag.rpartition("}")[2]
    return Node(name, source.text or "", [_node(child, depth - 1) for child in source])
