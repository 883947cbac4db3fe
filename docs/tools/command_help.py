"""The page with the help of every command, as `--help` prints it: made when the site is built, so it can't be stale."""

import click

_HEAD = """# Options of every command

What `torchstone COMMAND --help` prints, made from the commands themselves.
[Command line](cli.md) explains what they do.
"""


def page() -> str:
    """Return the page."""
    from torchstone_runtime.cli.main import torchstone  # noqa: PLC0415 - the site's checks need none of Torchstone

    parts, root = [_HEAD], click.Context(torchstone, info_name="torchstone", terminal_width=96, max_content_width=96)
    for name in torchstone.list_commands(root):
        command = torchstone.get_command(root, name)
        if command is not None:
            context = click.Context(command, parent=root, info_name=name, terminal_width=96, max_content_width=96)
            parts.append(f"## {name}\n\n```\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)
