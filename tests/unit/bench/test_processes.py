from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bench.ceilings import file_system_of
from bench.processes import cpu_seconds, memory_bytes, parse_stat, tree

BUSY = "import time, sys; end = time.process_time() + 0.05\nwhile time.process_time() < end: pass\n"


@given(
    st.text(st.characters(exclude_characters="\0\n"), max_size=20),
    st.integers(1, 99999),
    st.lists(st.integers(0, 10**9), min_size=4, max_size=4),
)
def test_a_process_may_have_any_name(name, parent, ticks):
    """Brackets and spaces in it do not shift the fields."""
    fields = ["0"] * 8 + [str(number) for number in ticks] + ["0"] * 30
    line = f"7 ({name}) S {parent} {' '.join(['0', *fields])}"
    assert parse_stat(line) == (parent, sum(ticks))


def test_a_tree_is_a_process_and_what_descends_from_it():
    """A child and its reaped grandchild count, this process does not."""
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}])\n"
    script += "print('done', flush=True); sys.stdin.read()"
    child = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stdout.readline() == b"done\n"
    assert list(tree([child.pid])) == [child.pid]
    assert cpu_seconds([child.pid]) >= 0.04
    assert memory_bytes([child.pid]) > 1 << 20
    assert {os.getpid(), child.pid} <= set(tree([os.getpid()]))
    child.communicate()
    assert tree([child.pid]) == {}
    assert memory_bytes([child.pid]) == 0


def test_the_file_system_of_a_directory_is_known(tmp_path):
    """The nearest mount decides; a directory below no mount that can be seen (in a chroot) has none."""
    assert file_system_of(Path("/proc/self")) == "proc"
    assert file_system_of(tmp_path) != "proc"
