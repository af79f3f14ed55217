"""Help texts that list what is registered: names of plug-ins are looked up when the help is shown, not before."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

from murine.scoring.metric_registry import metrics

#: What stands in a help text -> the registry whose names are shown instead.
_REGISTRIES = {"{metrics}": metrics}


class CommandWithNames(TyperCommand):
    """A command whose options may say ``{metrics}`` in their help: the names of all metrics are shown there."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        for parameter in self.params:
            text = getattr(parameter, "help", None) or ""
            for placeholder, registry in _REGISTRIES.items():
                if placeholder in text:
                    text = text.replace(placeholder, ", ".join(registry.names()))
                    parameter.help = text  # type: ignore[attr-defined]
        super().format_help(ctx, formatter)
