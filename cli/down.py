"""`ringstack down`: stop the cloud cleanly."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import click

from cli.options import data_option
from core.errors import Unavailable
from core.installation import Installation

STOP_TIMEOUT_S = 60.0


@click.command()
@data_option
def down(data: Path) -> None:
    """Stop the cloud."""
    installation = Installation(data)
    pid = installation.supervisor_pid()
    if pid is None:
        click.echo("not running")
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while installation.supervisor_pid() is not None:
        if time.monotonic() > deadline:
            raise Unavailable(
                "StillRunning", f"process {pid} has not stopped; see `ringstack logs`"
            )
        time.sleep(0.05)
    click.echo("stopped")
