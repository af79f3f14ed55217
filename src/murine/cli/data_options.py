"""Commands about public data sets take options from the data sets: one that a package adds brings its own."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.main

from murine.cli.registry_help import CommandWithNames

if TYPE_CHECKING:
    from murine.cortex.public_data import PublicDataset, PublicOption, Use

log = logging.getLogger(__name__)

_PANEL = "Options of the data sets"


class PublicDataCommand(CommandWithNames):
    """A command that has the options of all public data sets, for the uses of its subclass.

    What was given of them is the context's ``obj``, by name. They are looked up when the command is run or its help is
    shown, and not when another command starts.
    """

    uses: tuple[Use, ...] = ()
    _own: list[Any]
    _identifiers: dict[str, str] | None = None

    @property
    def params(self) -> list[Any]:
        """Parameters of the function, then options of the data sets. Always the same list: Typer appends to it."""
        if self._identifiers is None:
            options = _union(self.uses, {name for own in self._own for name in own.opts})
            self._identifiers = {_identifier(name): name for name in options}
            self._own += _parameters(options)
        return self._own

    @params.setter
    def params(self, own: list[Any]) -> None:
        self._own = own

    def invoke(self, ctx: Any) -> Any:
        """Call the function without the options of the data sets, which it finds in the context."""
        given = {name: ctx.params.pop(key) for key, name in (self._identifiers or {}).items()}
        ctx.obj = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in given.items()
            if value is not None and value != () and value != []
        }
        return super().invoke(ctx)


class ListCommand(PublicDataCommand):
    """With options that choose what is listed."""

    uses = ("list",)


class FetchCommand(PublicDataCommand):
    """With options that choose what is fetched."""

    uses = ("plan",)


class BuildCommand(PublicDataCommand):
    """With options that choose what a recording is made of, and how images are written."""

    uses = ("build", "images")


def settings_of(data_set: PublicDataset, use: Use, ctx: typer.Context, *, apart: tuple[Use, ...] = ()) -> Any:
    """Return the settings of a use: what was given on the command line, without options of the uses ``apart``."""
    others = {option.name for option in data_set.options if set(apart) & set(option.uses)}
    return data_set.read_options(use, {name: value for name, value in ctx.obj.items() if name not in others})


def given_options(data_set: PublicDataset, use: Use, ctx: typer.Context) -> Mapping[str, Any]:
    """Return what was given of the options of one use."""
    names = {option.name for option in data_set.options if use in option.uses}
    return {name: value for name, value in ctx.obj.items() if name in names}


def _union(uses: tuple[Use, ...], taken: set[str]) -> dict[str, list[tuple[str, PublicOption]]]:
    """Options by name, each with the data sets that have it; one that is an option of the command is left out."""
    from murine.cortex.public_data import usable_datasets

    found: dict[str, list[tuple[str, PublicOption]]] = {}
    for name, data_set in usable_datasets().items():
        for option in data_set.options:
            if not set(option.uses) & set(uses):
                continue
            same = found.get(option.name, [(name, option)])[0][1]
            if f"--{option.name}" in taken or (same.kind, same.many) != (option.kind, option.many):
                log.warning("the option --%s of the data set %s is left out: the name is taken.", option.name, name)
                continue
            found.setdefault(option.name, []).append((name, option))
    return found


def _parameters(options: Mapping[str, list[tuple[str, PublicOption]]]) -> list[Any]:
    """What Typer makes of options."""
    from murine.cortex.public_data import usable_datasets

    if not options:
        return []
    everyone = len(usable_datasets())
    parameters = []
    for name, owners in options.items():
        option = owners[0][1]
        names = [f"--{name}", *([f"--{option.other_name}"] if option.other_name else [])]
        kind: Any = option.kind
        told = typer.Option(
            *([f"{names[0]}/--{option.negative}"] if option.negative else names),
            help=_help(owners, everyone),
            metavar=f"[{'|'.join(_names(option))}]" if option.choices else None,
            rich_help_panel=_PANEL,
            show_default=False,
        )
        wanted: Any = (list[kind] if option.many else kind) | None
        annotation = Annotated[wanted, told]
        parameters.append(
            inspect.Parameter(_identifier(name), inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        )

    def command(**values: Any) -> None: ...

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    app = typer.Typer(add_completion=False)
    app.command()(command)
    return list(typer.main.get_command(app).params)


def _help(owners: list[tuple[str, PublicOption]], everyone: int) -> str:
    """What an option does, and of which data sets it is."""
    texts = list(dict.fromkeys(option.help for _, option in owners))
    of = {text: [name for name, option in owners if option.help == text] for text in texts}
    if len(owners) == everyone and len(texts) == 1:
        parts = texts
    else:
        parts = [f"{', '.join(names)}: {text}" for text, names in of.items()]
    default = owners[0][1].default
    said = f" [default: {default}]" if isinstance(default, (str, int)) and not isinstance(default, bool) else ""
    return " ".join(parts) + said


def _names(option: PublicOption) -> list[str]:
    """The names of choices; those of a registry without importing what they stand for."""
    names = getattr(option.choices, "names", None)
    return list(names() if names else option.choices)


def _identifier(name: str) -> str:
    return "option_" + name.replace("-", "_")
