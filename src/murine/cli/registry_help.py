"""Help texts that list what is registered: names of plug-ins are looked up when the help is shown, not before."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

from typer.core import TyperCommand

#: What stands in a help text -> the registry whose names are shown instead.
REGISTRIES = {
    "{datasets}": "murine.cortex.dataset_registry:datasets",
    "{metrics}": "murine.scoring.metric_registry:metrics",
    "{public_datasets}": "murine.cortex.public_data:public_datasets",
    "{studies}": "murine.studies.study:studies",
    "{selections}": "murine.cortex.selection:selections",
}


class CommandWithNames(TyperCommand):
    """A command whose options may say ``{metrics}`` in their help: the names of all metrics are shown there."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help with the names that are registered at the moment."""
        for parameter in self.params:
            if text := getattr(parameter, "help", None):
                parameter.help = re.sub(r"{\w+}", _names, text)  # type: ignore[attr-defined]
        super().format_help(ctx, formatter)


def _names(placeholder: re.Match[str]) -> str:
    """Return the names of the registry of a placeholder."""
    module, _, attribute = REGISTRIES[placeholder[0]].partition(":")
    return ", ".join(getattr(import_module(module), attribute).names())
