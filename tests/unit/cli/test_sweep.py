"""`ringstack sweep` on a cloud that is down, and its words."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from cli.main import main


def test_it_is_a_command() -> None:
    """With a line in the list and a help text."""
    assert "sweep" in CliRunner().invoke(main, ["--help"]).stdout
    assert "two" in CliRunner().invoke(main, ["sweep", "--help"]).stdout


def test_without_a_cloud_it_says_so(tmp_path: Path) -> None:
    """One line, exit code 1."""
    result = CliRunner().invoke(main, ["sweep", "--data", str(tmp_path)])
    assert result.exit_code == 1
    assert "there is no cloud" in result.output
