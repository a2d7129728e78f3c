"""One kind of block storage's work."""

from __future__ import annotations

from typing import TypeAlias

from blockd.service import Service
from core import worker

Deed: TypeAlias = worker.Deed[Service]
Finish = worker.Finish
