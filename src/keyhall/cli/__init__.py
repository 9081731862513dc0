"""The command line: one file per noun, loaded only when it is called.

`keyhall --version` and the list of commands import nothing but click, so that completion and
scripts stay fast.
"""

import difflib
import errno
import gc
import importlib
from typing import Any

import click

from keyhall import __version__

# Command -> (where it is, what `keyhall --help` says of it).
COMMANDS: dict[str, tuple[str, str]] = {
    "serve": ("keyhall.cli.serve:serve", "Start the server; hands out a first key."),
    "keys": ("keyhall.cli.manage.keys:keys", "Create, list, rotate, pause and revoke API keys."),
    "limits": ("keyhall.cli.manage.limits:limits", "Show a key's effective limits and why."),
    "usage": ("keyhall.cli.manage.usage:usage", "Tokens, requests and cost by key, model or day."),
    "quotas": (
        "keyhall.cli.manage.spending.quotas:quotas",
        "Set what may be used in a day or month; credit, alerts.",
    ),
    "statements": (
        "keyhall.cli.manage.spending.statements:statements",
        "What an organization used and owes in a month.",
    ),
    "tokens": ("keyhall.cli.tokens:tokens", "Count the tokens of a conversation, offline."),
    "tiers": ("keyhall.cli.manage.tiers:tiers", "List the tiers and their limits."),
    "versions": ("keyhall.cli.manage.versions:versions", "List, add and retire model versions."),
    "aliases": ("keyhall.cli.manage.aliases:aliases", "Show and move the names that callers use."),
    "models": (
        "keyhall.cli.manage.models.commands:models",
        "Add, pull and list models that this machine runs.",
    ),
    "engines": ("keyhall.cli.manage.engines:engines", "Add and list the engines that answer."),
    "accounts": (
        "keyhall.cli.manage.accounts:accounts",
        "List, invite, suspend and help who signs in.",
    ),
    "organizations": (
        "keyhall.cli.manage.organizations:organizations",
        "Suspend, resume, limit and bill organizations.",
    ),
    "projects": ("keyhall.cli.manage.projects:projects", "Create projects and set their limits."),
    "content": (
        "keyhall.cli.manage.operate.content:content",
        "List, show and erase conversations that are kept.",
    ),
    "review": (
        "keyhall.cli.manage.review.commands:review",
        "Claim and decide answers that people look at.",
    ),
    "asks": ("keyhall.cli.manage.operate.asks:asks", "Answer those who ask for higher limits."),
    "filters": (
        "keyhall.cli.manage.filters.commands:filters",
        "List, try and switch rules on what goes in and out.",
    ),
    "audit": ("keyhall.cli.manage.operate.audit:audit", "Show who did what, from where, and when."),
    "database": ("keyhall.cli.database:database", "Show and upgrade the database's schema."),
    "verify": ("keyhall.cli.verify:verify", "Compute everything again and compare."),
    "backup": ("keyhall.cli.backup:backup", "Copy the data folder, beside a running server."),
    "restore": ("keyhall.cli.backup:restore", "Make a data folder from a backup, and verify it."),
    "config": ("keyhall.cli.settings:config", "Show every setting and where it came from."),
    "doctor": ("keyhall.cli.doctor:doctor", "Check port, clock, disk, permissions and engines."),
    "completion": ("keyhall.cli.completion:completion", "Print the shell completion script."),
}


# What a write to standard output fails with where nobody is to blame.
UNSHOWN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class LazyGroup(click.Group):
    """A group whose commands are imported when they run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        gc.disable()  # What an import makes stays: looking through it for garbage is in vain.
        try:
            command = getattr(importlib.import_module(module), name)
        finally:
            gc.enable()
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], COMMANDS, n=2) if args else []
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            raise click.UsageError(error.message + hint, ctx) from None

    def main(self, *args: Any, **options: Any) -> Any:
        """As click does it, and a full disk behind standard output is one line."""
        try:
            return super().main(*args, **options)
        except OSError as error:
            if error.errno not in UNSHOWN or error.filename is not None:
                raise
            from keyhall.cli.options import unshown

            unshown(error)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, says) for name, (_, says) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": None},
)
@click.version_option(__version__, prog_name="keyhall")
def main(**_options: Any) -> None:
    """Keyhall hands out API keys for chat models and keeps their limits.

    Start with `keyhall serve`. Every command works on the data folder, whether or not a server
    runs on it; `--json` gives machines what tables give people.
    """
