"""The records of a multipart upload: what is kept where, and in which state. Pure.

Space `uploads`, name `<key>NUL<upload id>`: the draft of the final object in its attributes, plus the
state. Space `parts`, name `<upload id>/<number, 5 digits>/<nonce>`: one record for every upload of a
part. A part sent again gets a record of its own and supersedes the older one by time; the older one
stays until the upload ends, because its blobs may be named already by a completion under way.

    open -> completing -> (gone)      open -> aborting -> (gone)

`completing` carries the chosen part records; from then on their blobs belong to the final object.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from proxy.s3 import checksum
from proxy.s3.checksum import Algorithm
from proxy.s3.errors import S3Error
from proxy.store.record import Draft, ObjectRecord, ObjectRow

OPEN, COMPLETING, ABORTING = "open", "completing", "aborting"
STATE = "s3:upload-state"
CHOSEN = "s3:upload-parts"
RESULT = "s3:upload-etag"
ALGORITHM = "s3:upload-algorithm"
TYPE = "s3:upload-checksum-type"
UPLOAD_ID = "s3:upload-id"  # on the final object, so that a repeated completion is recognised
ID_DIGITS = 32
PART_BYTES_MIN = 5 * 1024 * 1024
_OWN = frozenset({STATE, CHOSEN, RESULT, ALGORITHM, TYPE})
_HEX = frozenset("0123456789abcdef")


class Part(NamedTuple):
    """One uploaded part as the listing of its records shows it."""

    number: int
    record_name: str
    size: int
    etag: str
    modified_us: int
    checksum: str  # base64 in the upload's algorithm, or empty

    @property
    def token(self) -> str:
        """Number and nonce, as the choice of parts is kept."""
        return self.record_name.partition("/")[2]


def is_id(upload_id: str) -> bool:
    """The form of our upload ids."""
    return len(upload_id) == ID_DIGITS and _HEX.issuperset(upload_id)


def upload_name(key: str, upload_id: str) -> str:
    """Name of an upload record."""
    return f"{key}\0{upload_id}"


def part_name(upload_id: str, number: int, nonce: str) -> str:
    """Name of a part record."""
    return f"{upload_id}/{number:05d}/{nonce}"


def split_name(name: str) -> tuple[str, str]:
    """Key and upload id of an upload record's name."""
    key, _, upload_id = name.rpartition("\0")
    return key, upload_id


def part_of(row: ObjectRow) -> Part:
    """A row of the part listing. The checksum travels in the content type, which listings show."""
    assert row.summary is not None
    number = int(row.name.split("/")[1])
    summary = row.summary
    _, _, value = summary.content_type.partition(":")
    return Part(number, row.name, summary.size, summary.etag, summary.modified_us, value)


def current(rows: Sequence[ObjectRow]) -> dict[int, Part]:
    """The newest record of each part number, in order of number."""
    result: dict[int, Part] = {}
    for row in rows:
        part = part_of(row)
        known = result.get(part.number)
        if known is None or (known.modified_us, known.record_name) < (
            part.modified_us,
            part.record_name,
        ):
            result[part.number] = part
    return result


def part_type(algorithm: Algorithm | None, value: str) -> str:
    """Content type of a part record."""
    return "" if algorithm is None else f"{algorithm.name}:{value}"


def algorithm_of(attributes: Mapping[str, str]) -> Algorithm | None:
    """The checksum algorithm of an upload."""
    name = attributes.get(ALGORITHM)
    return None if name is None else checksum.ALGORITHMS[name]


def state_of(record: ObjectRecord) -> str:
    """The state of an upload."""
    return record.attributes.get(STATE, OPEN)


def final_attributes(record: ObjectRecord, upload_id: str) -> dict[str, str]:
    """Attributes of the final object, without its checksum."""
    kept = {key: value for key, value in record.attributes.items() if key not in _OWN}
    return {**kept, UPLOAD_ID: upload_id}


def completing(record: ObjectRecord, chosen: str, etag: str) -> Draft:
    """Enter (or stay in) `completing` with this choice of parts. Raises NoSuchUpload, InvalidRequest."""
    state = state_of(record)
    if state == ABORTING:
        raise S3Error("NoSuchUpload")
    if state == COMPLETING and record.attributes.get(CHOSEN) != chosen:
        raise S3Error(
            "OperationAborted", "The upload is being completed with another list of parts."
        )
    return _draft(record, {STATE: COMPLETING, CHOSEN: chosen, RESULT: etag})


def aborting(record: ObjectRecord) -> Draft:
    """Enter `aborting`, unless a completion has begun: its choice stays on record."""
    if state_of(record) == COMPLETING:
        return _draft(record, {})
    return _draft(record, {STATE: ABORTING})


def _draft(record: ObjectRecord, change: Mapping[str, str]) -> Draft:
    return Draft(record.content_type, {**record.attributes, **change}, etag=record.etag)


def chosen_names(record: ObjectRecord, upload_id: str) -> frozenset[str]:
    """Part records whose blobs the final object may name."""
    chosen = record.attributes.get(CHOSEN, "")
    return frozenset(f"{upload_id}/{token}" for token in chosen.split(",") if token)
