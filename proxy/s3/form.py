"""A multipart/form-data body as an incremental state machine. Pure.

Fields come before the file and are kept, within bounds; the file's bytes come out as they arrive;
what follows the file is ignored, as S3 documents. Nothing is buffered but a field, a part's headers,
or the last few bytes that may begin a boundary (RFC 7578, RFC 2046 section 5.1).
"""

from __future__ import annotations

from email.message import Message

from proxy.s3.errors import S3Error

FIELD_BYTES_MAX = 20 * 1024  # all fields together, S3's own limit
HEADER_BYTES_MAX = 8 * 1024
BOUNDARY_BYTES_MAX = 70

START, HEADERS, FIELD, FILE, END = "start", "headers", "field", "file", "end"


class Form:
    """One body. `fields` have lower-case names; `in_file` is true once the file has begun."""

    def __init__(self, boundary: bytes) -> None:
        self.fields: dict[str, str] = {}
        self.filename = ""
        self.file_type = ""
        self.in_file = False
        self._delimiter = b"\r\n--" + boundary
        self._buffer = b"\r\n"  # so that the first boundary looks like the others
        self._state = START
        self._name = ""
        self._field_bytes = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take a piece of the body, return the pieces of the file in it. Raises S3Error."""
        self._buffer += data
        pieces: list[bytes] = []
        while self._step(pieces):
            pass
        return pieces

    def finish(self) -> None:
        """The body is over. Raises IncompleteBody unless the file was complete."""
        if self._state is not END:
            if not self.in_file:
                raise S3Error("MalformedPOSTRequest")
            raise S3Error("IncompleteBody")

    def _step(self, pieces: list[bytes]) -> bool:
        """Make progress; False when more bytes are needed."""
        if self._state is START:
            return self._boundary(discard=True)
        if self._state is HEADERS:
            return self._headers()
        if self._state is FIELD:
            return self._field()
        if self._state is FILE:
            return self._file(pieces)
        self._buffer = b""
        return False

    def _boundary(self, *, discard: bool) -> bool:
        """Skip to after a boundary; decide whether a part or the end follows."""
        at = self._buffer.find(self._delimiter)
        if at < 0:
            if discard and len(self._buffer) > HEADER_BYTES_MAX:
                raise S3Error("MalformedPOSTRequest")
            return False
        rest = self._buffer[at + len(self._delimiter) :]
        line, found, tail = rest.partition(b"\r\n")
        if not found and not rest.startswith(b"--"):
            if len(rest) > HEADER_BYTES_MAX:
                raise S3Error("MalformedPOSTRequest")
            return False
        if rest.startswith(b"--"):
            if not self.in_file:
                raise S3Error(
                    "InvalidArgument", "POST requires exactly one file upload per request."
                )
            self._state = END
            self._buffer = b""
            return False
        if line.strip():
            raise S3Error("MalformedPOSTRequest")
        self._buffer = b"\r\n" + tail  # a part may have no headers at all
        self._state = END if self.in_file else HEADERS
        return True

    def _headers(self) -> bool:
        head, found, tail = self._buffer.partition(b"\r\n\r\n")
        if len(head) > HEADER_BYTES_MAX:
            raise S3Error("MalformedPOSTRequest")
        if not found:
            return False
        message = Message()
        kind = ""
        for line in head.split(b"\r\n"):
            name, colon, value = line.decode("utf-8", "replace").partition(":")
            if colon and name.strip().lower() == "content-disposition":
                message["content-disposition"] = value.strip()
            elif colon and name.strip().lower() == "content-type":
                kind = value.strip()
        name = _parameter(message, "name")
        if not name:
            raise S3Error("MalformedPOSTRequest")
        self._name = name.lower()
        self._buffer = b"\r\n" + tail  # a boundary may follow at once
        if self._name == "file":
            self.in_file = True
            self.filename = _parameter(message, "filename").replace("\\", "/").rpartition("/")[2]
            self.file_type = kind
            self._buffer = tail
            self._state = FILE
            return False  # let the caller look at the fields first
        self._state = FIELD
        return True

    def _field(self) -> bool:
        at = self._buffer.find(self._delimiter)
        size = (at if at >= 0 else len(self._buffer)) - 2
        if self._field_bytes + size > FIELD_BYTES_MAX:
            raise S3Error("MaxPostPreDataLengthExceededError")
        if at < 0:
            return False
        value = self._buffer[2:at] if at else b""
        self._field_bytes += len(value) + len(self._name)
        if self._name in self.fields:
            raise S3Error("InvalidArgument", f"POST contains the field {self._name} twice.")
        try:
            self.fields[self._name] = value.decode()
        except UnicodeDecodeError:
            raise S3Error("MalformedPOSTRequest") from None
        self._buffer = self._buffer[at:]
        self._state = START
        return True

    def _file(self, pieces: list[bytes]) -> bool:
        at = self._buffer.find(self._delimiter)
        if at >= 0:
            if at:
                pieces.append(self._buffer[:at])
            self._buffer = self._buffer[at:]
            return self._boundary(discard=False)
        keep = len(self._delimiter) - 1
        if len(self._buffer) > keep:
            pieces.append(self._buffer[:-keep])
            self._buffer = self._buffer[-keep:]
        return False


def _parameter(message: Message, name: str) -> str:
    value = message.get_param(name, "", header="content-disposition")
    if isinstance(value, tuple):  # RFC 2231 form
        value = value[2]
    return str(value or "")


def boundary_of(content_type: str) -> bytes:
    """The boundary of a Content-Type. Raises MalformedPOSTRequest."""
    message = Message()
    message["content-type"] = content_type.replace("\r", " ").replace("\n", " ")
    boundary = message.get_param("boundary", "")
    text = boundary if isinstance(boundary, str) else ""
    data = text.encode("utf-8", "replace")
    if message.get_content_type() != "multipart/form-data" or not (
        1 <= len(data) <= BOUNDARY_BYTES_MAX
    ):
        raise S3Error("MalformedPOSTRequest")
    return data
