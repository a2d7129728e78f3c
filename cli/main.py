"""The `ringstack` command. Each subcommand is imported only when it is used, so that start-up is quick."""

from __future__ import annotations

import importlib
from typing import Any

import click

from core.errors import RingstackError

COMMANDS = {
    "up": ("cli.up", "Start a cloud on this machine (made at the first start)."),
    "down": ("cli.down", "Stop the cloud."),
    "status": ("cli.status", "Every process, with its ports and memory."),
    "env": ("cli.env", "Credentials of this cloud for the usual tools."),
    "keys": ("cli.keys", "Keys that seal tokens, and their rotation."),
    "logs": ("cli.logs", "Recent log lines of the daemons."),
    "doctor": ("cli.doctor", "Check this machine and the running cloud."),
    "demo": ("cli.demo", "Store a directory, kill a storage node, read everything back."),
    "node": ("cli.node", "Machines of this cloud: let them join, list and remove them."),
    "ring": ("cli.ring", "Devices, placement and rebalancing."),
    "image": ("cli.image", "Images: from files, URLs and the indexes of distributions."),
    "volume": ("cli.volume", "Volumes on this machine: a block device, or an NBD address."),
    "fsck": ("cli.fsck.command", "Prove that every object is there in full, or say what is not."),
    "sweep": ("cli.sweep", "Reclaim tombstones, drop blobs that nothing names."),
    "scrub": ("cli.scrub", "Read and verify everything now; repair what is bad."),
    "why": ("cli.why", "Why an object or a server is where it is."),
    "check": ("cli.check", "Fault tests on a cluster that the command starts itself."),
    "sim": ("cli.sim", "Deterministic simulation of the storage cluster."),
    "bench": ("cli.bench", "Load benchmarks."),
}


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports them when asked."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of use."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(COMMANDS[cmd_name][0])
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Show our own errors as one line and exit code 1."""
        try:
            return super().invoke(ctx)
        except RingstackError as error:
            raise click.ClickException(error.message) from error


@click.group(cls=LazyGroup)
@click.version_option(package_name="ringstack")
def main() -> None:
    """Ringstack: a whole small cloud in which storage is the keel."""


if __name__ == "__main__":
    main()
