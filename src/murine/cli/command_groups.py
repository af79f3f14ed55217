"""Commands of other packages: the entry points ``murine.command``, loaded when such a command is called.

An entry is a `typer.Typer`. Its name is that of the entry point. The help of murine lists the names without importing
anything, so that a package cannot slow murine down, nor break it.
"""

from __future__ import annotations

import logging
from typing import Any

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup

from murine.cli.common import quieten
from murine.errors import reason_of
from murine.registry import Registry

log = logging.getLogger(__name__)

command_groups: Registry[typer.Typer] = Registry("command")


class MurineCommands(TyperGroup):
    """The commands of murine, followed by those of other packages."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._loaded: set[str] = set()
        self._told: set[str] = set()

    def list_commands(self, ctx: Any) -> list[str]:
        """Return all names; those of other packages come last, without those that murine has."""
        names = [name for name in command_groups.names() if name not in self._loaded]
        if taken := sorted(set(names) & set(self.commands) - self._told):
            self._told |= set(taken)
            quieten(False)  # a warning is printed as those of commands are
            log.warning("commands of other packages are left out, since murine has these: %s.", ", ".join(taken))
        own = super().list_commands(ctx)
        return [*own, *(name for name in names if name not in self.commands)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command; of another package's only what the help says of it."""
        if cmd_name in self.commands or cmd_name not in command_groups.names():
            return super().get_command(ctx, cmd_name)
        return TyperCommand(cmd_name, help="A command of another package.", callback=None)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Load another package's command when it is called."""
        name = args[0]
        if name not in self.commands and name in command_groups.names():
            quieten(False)
            command = _load(name)
            if command is None:
                ctx.fail(f"the command {name!r} cannot be loaded.")
            self.commands[name] = command
            self._loaded.add(name)
        return super().resolve_command(ctx, args)


def _load(name: str) -> Any:
    """Return the command of another package; None, with a warning, where it cannot be made."""
    if name not in command_groups:  # the registry has warned
        return None
    try:
        app = command_groups[name]
        if not isinstance(app, typer.Typer):
            raise TypeError(f"it is a {type(app).__name__}; expected a typer.Typer")
        command = typer.main.get_command(app)
    except Exception as error:  # it is somebody else's code
        log.warning("the command %r is left out, since it cannot be used (%s).", name, reason_of(error))
        return None
    command.name = name
    return command
