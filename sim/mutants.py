"""Rules left out on purpose, to prove that the checkers would notice. Pure.

Each name is understood by one place of the code under test or of the simulated hardware; nothing outside
the simulator can set one.
"""

from __future__ import annotations

MUTANTS = {
    "write-quorum-1": "a mutation is acknowledged after one replica stored it",
    "skip-sync": "fdatasync does nothing",
    "no-write-back": "a read returns what it found without confirming it",
    "accept-below-promise": "an acceptor forgets what it has promised",
    "no-lineage": "a retry does not look for its own earlier effect",
    "unconfirmed-refusal": "a failed condition is answered from an unconfirmed record",
    "hand-off-votes": "a stand-in counts as one of an index range's replicas",
    "digest-ignores-versions": "the digest of a range depends on its names only",
    "no-catch-up": "the new replicas stand alone before joiners have learned what the old ones hold",
    "sweep-without-grace": "the sweep drops what is unnamed however young it is",
    "tombstone-early": "tombstones go when a majority of the replicas hold them",
}

# broken by no random history within reach: a written-down schedule, in tests/sim/test_ring_change.py
SCHEDULED = {
    "no-joint-majority": "while a range moves, the old replicas alone decide",
}
