"""Every maximum of the system, asserted against each other. Pure.

Sizes are bytes, times are seconds, unless the name says otherwise. A limit that a client can meet
is also published (`/info`, docs/limits.md).
"""

from __future__ import annotations

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

# HTTP front
URL_BYTES_MAX = 16 * KIB
HEADER_BYTES_MAX = 64 * KIB  # all header lines of one request together
HEADER_COUNT_MAX = 256
BODY_BUFFER_HIGH_BYTES = 1 * MIB  # stop reading from the client above this
BODY_BUFFER_LOW_BYTES = 256 * KIB
BODY_DRAIN_BYTES_MAX = 1 * MIB  # an unread body up to this is swallowed to keep the connection
LINGER_BYTES_MAX = 64 * MIB  # swallowed of a refused body after the answer, before the reset
LINGER_S = 5.0
PIPELINED_REQUESTS_MAX = 16
HEADER_TIMEOUT_S = 30.0  # first byte of a request to the end of its headers
IDLE_TIMEOUT_S = 75.0  # between requests
BODY_TIMEOUT_S = 60.0  # between two pieces of a body, either direction
CONNECTIONS_MAX = 10_000

# Names (Swift API: 256 and 1024; S3: 63 and 1024)
ACCOUNT_NAME_BYTES_MAX = 256
CONTAINER_NAME_BYTES_MAX = 256
OBJECT_NAME_BYTES_MAX = 1024

# Objects
STRIPE_BYTES = 4 * MIB
INLINE_BYTES_MAX = 8 * KIB
OBJECT_BYTES_MAX = 5 * 1024 * GIB  # S3's largest object, 5 TiB
PUT_BYTES_MAX = 5 * GIB + 2 * MIB  # one PUT or part (Swift max_file_size)
MANIFEST_ENTRIES_MAX = 200_000
SUM_BLOCK_BYTES = 64 * KIB  # one checksum for each block of a blob
LISTING_LIMIT_MAX = 10_000
MULTIPART_PARTS_MAX = 10_000

# Data plane
FRAME_BYTES_MAX = 16 * MIB
FRAME_HEAD_BYTES_MAX = 4 * MIB
RECORD_META_BYTES_MAX = 12 * MIB  # a manifest of MANIFEST_ENTRIES_MAX stripes must fit
SEGMENT_BYTES = 256 * MIB
GROUP_BYTES_MAX = 16 * MIB  # one group commit
GROUP_RECORDS_MAX = 512
LINEAGE_MAX = 64
LINEAGE_WINDOW_US = 60_000_000
MUTATION_DEADLINE_S = 20.0
READ_DEADLINE_S = 20.0
CEILING_AHEAD_US = (
    4_000_000  # how far ahead of the clock promises are covered by one synced ceiling
)

assert INLINE_BYTES_MAX < STRIPE_BYTES <= OBJECT_BYTES_MAX
assert STRIPE_BYTES + MIB < FRAME_BYTES_MAX
assert RECORD_META_BYTES_MAX + INLINE_BYTES_MAX < FRAME_BYTES_MAX <= GROUP_BYTES_MAX < SEGMENT_BYTES
assert MANIFEST_ENTRIES_MAX * 48 <= RECORD_META_BYTES_MAX
assert STRIPE_BYTES % SUM_BLOCK_BYTES == 0
assert MUTATION_DEADLINE_S * 1e6 < LINEAGE_WINDOW_US
assert BODY_BUFFER_LOW_BYTES < BODY_BUFFER_HIGH_BYTES
