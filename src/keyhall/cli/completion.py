"""`keyhall completion SHELL`: the script that teaches a shell Keyhall's commands."""

import click
from click.shell_completion import get_completion_class

HOW = {
    "bash": 'eval "$(keyhall completion bash)"  # in ~/.bashrc',
    "zsh": 'eval "$(keyhall completion zsh)"  # in ~/.zshrc',
    "fish": "keyhall completion fish > ~/.config/fish/completions/keyhall.fish",
}


@click.command()
@click.argument("shell", type=click.Choice(sorted(HOW)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for SHELL (bash, zsh or fish)."""
    kind = get_completion_class(shell)
    assert kind is not None
    root = ctx.find_root().command
    click.echo(kind(root, {}, "keyhall", "_KEYHALL_COMPLETE").source())
