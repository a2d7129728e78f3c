"""The XML reader refuses what could harm; the writer never breaks out of an element."""

from __future__ import annotations

import pytest
from lxml import etree

from proxy.s3 import xml
from proxy.s3.errors import S3Error

LAUGHS = b"""<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;">
<!ENTITY lol3 "&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;">]><Delete>&lol3;</Delete>"""


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"<",
        b"<Delete>",
        b"<Delete></delete>",
        b"not xml",
        b"\0",
        b"\xff\xfe<\0D\0",
        b"<Other/>",
        b"<Delete/><Delete/>",
        b"<Delete>&unknown;</Delete>",
        b"<!DOCTYPE Delete><Delete/>",
        b'<!DOCTYPE Delete SYSTEM "http://127.0.0.1:1/x.dtd"><Delete/>',
        b'<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><Delete>&x;</Delete>',
        b'<!DOCTYPE d [<!ENTITY % x SYSTEM "file:///etc/passwd"> %x;]><Delete/>',
        LAUGHS,
        b'<?xml version="1.0" encoding="no-such-thing"?><Delete/>',
        b"<Delete>" + b"<a>" * 20 + b"</a>" * 20 + b"</Delete>",
        b"<Delete>" + b"<a>" * 5000 + b"</a>" * 5000 + b"</Delete>",
    ],
)
def test_what_is_not_plain_xml_is_malformed(body):
    """CVE-2022-47950: document types and entities, of whatever use, are MalformedXML."""
    with pytest.raises(S3Error) as caught:
        xml.parse(body, "Delete")
    assert caught.value.code == "MalformedXML"


def test_a_document_type_in_utf_16_is_refused_too():
    """The refusal is the parser's, not a search for bytes."""
    text = '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE Delete [<!ENTITY x "y">]><Delete/>'
    with pytest.raises(S3Error):
        xml.parse(text.encode("utf-16"), "Delete")


def test_inclusions_are_only_elements():
    """XInclude is never processed."""
    node = xml.parse(
        b'<Delete xmlns:xi="http://www.w3.org/2001/XInclude">'
        b'<xi:include href="file:///etc/passwd" parse="text"/></Delete>',
        "Delete",
    )
    assert [(child.name, child.text) for child in node.children] == [("include", "")]


def test_namespaces_do_not_matter():
    """Clients send S3's namespace, none, or a prefix."""
    for body in (
        b"<Delete><Quiet>true</Quiet></Delete>",
        b'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Quiet>true</Quiet></Delete>',
        b'<a:Delete xmlns:a="x"><a:Quiet>true</a:Quiet></a:Delete>',
    ):
        assert xml.parse(body, "Delete").value("Quiet") == "true"


def test_values_are_read_strictly():
    """Repeated elements and numbers that are none are malformed."""
    node = xml.parse(b"<Part><N>1</N><N>2</N><M> 7 </M><L>-1</L></Part>", "Part")
    assert node.number("M") == 7
    assert node.number("None") is None
    for name in ("N", "L"):
        with pytest.raises(S3Error):
            node.number(name)


@pytest.mark.parametrize("text", ["<&>\"'", "a\r\nb\tc", "ü€😀", "]]>", "<!--x-->"])
def test_what_is_written_reads_back(text):
    """Escaping round-trips through a real parser."""
    body = xml.document("Root", xml.element("Key", text))
    assert etree.fromstring(body)[0].text == text
    assert xml.parse(body, "Root").value("Key") == text


def test_characters_xml_cannot_carry_become_references():
    """As Amazon writes them when a client did not ask for encoding-type=url."""
    assert xml.escape("a\x01\x1f\ufffe") == "a&#x1;&#x1f;&#xfffe;"
