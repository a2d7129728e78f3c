"""Which databases a service's tests run on. Identity's run on both always, the others' on PostgreSQL with `make databases`."""

from __future__ import annotations

import os

ALL = ["sqlite", "postgresql"]
USUAL = ALL if os.environ.get("RINGSTACK_ALL_DATABASES") else ALL[:1]
