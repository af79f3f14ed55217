"""The names of modules: which were asked for, and which name a call gets if its module has several."""

from __future__ import annotations

import fnmatch
import sys
from collections import Counter
from collections.abc import Iterable

import torch
from torch import nn

from murine.errors import MurineError, nearest, some
from murine.networks.surgery.wrapped_modules import HOLDER
from murine.networks.wrappers import unwrapped

#: Name of the network's own output. Modules have their names in ``named_modules()``.
OUTPUT = "(output)"


def is_compiled(module: nn.Module) -> bool:
    """Whether a module is what `torch.compile` returns. Does not import the compiler, which takes seconds."""
    dynamo = sys.modules.get("torch._dynamo.eval_frame")
    return dynamo is not None and isinstance(module, dynamo.OptimizedModule)


def named(module: nn.Module) -> dict[str, nn.Module]:
    """Return all modules that hooks can see, by their names; the network itself is OUTPUT.

    A module that is registered twice appears twice. Parts of TorchScript modules are left out, because they do not run
    as modules. Names do not contain the prefix of `torch.compile`.
    """
    found: dict[str, nn.Module] = {}
    hidden: list[str] = []
    for name, child in module.named_modules(remove_duplicate=False):
        if any(name.startswith(prefix) for prefix in hidden):
            continue
        if isinstance(child, torch.jit.ScriptModule):
            hidden.append(f"{name}." if name else "")
        if not is_compiled(child):
            found[".".join(part for part in name.split(".") if part != "_orig_mod") or OUTPUT] = child
    return found


def chosen_names(every: Iterable[str], modules: dict[str, nn.Module], layers: str) -> list[str]:
    """Return the names that were asked for with ``all``, ``own``, ``blocks`` or patterns; see `capture`."""
    every = list(every)
    if layers == "all":
        return every
    if layers == "own":
        return [name for name in every if name.partition(".")[0] != HOLDER]
    chosen: set[str] = set()
    if layers == "blocks":
        sequences = [name for name, child in modules.items() if isinstance(child, (nn.Sequential, nn.ModuleList))]
        parents = {"" if name == OUTPUT else name for name in sequences}
        chosen = {name for name in every if "." not in name}
        chosen |= {
            name for name in every if name.rpartition(".")[0] in parents and any(True for _ in modules[name].children())
        }
    else:
        patterns = [pattern.strip() for pattern in layers.split(",") if pattern.strip()]
        for pattern in patterns:
            matched = fnmatch.filter(every, pattern)
            if not matched:
                raise MurineError(
                    f"no module matches {pattern!r}{nearest(pattern, every) or '.'} The network has {len(every)} "
                    f"modules, for example {some(every)}. `--layers all` takes every one, `--layers blocks` the larger "
                    "ones."
                )
            chosen |= set(matched)
    return [name for name in every if name in chosen]


def chosen_modules(module: nn.Module, layers: str) -> dict[nn.Module, str]:
    """Return the modules that were asked for, each with the first of its names; the network itself is OUTPUT."""
    modules = named(unwrapped(module))
    chosen: dict[nn.Module, str] = {}
    for name in chosen_names(modules, modules, layers):
        chosen.setdefault(modules[name], name)
    return chosen


class Naming:
    """Decides the name of every call of a module.

    A module that is registered in two stages gets the name in the stage that is running. If several names remain, it
    gets the name that was used least, so that two calls of one activation in a sequence have its two names, in order.

    Attributes
    ----------
    modules
        All modules by all their names.
    chosen
        The names that were asked for.
    is_shared
        Whether any of these modules has several names. If so, `enter` and `leave` must be called for every call.
    aliases
        Names that were asked for but not used, with the name that was used instead (`settle`).
    """

    def __init__(self, module: nn.Module, layers: str) -> None:
        self.modules = named(module)
        self.chosen = dict.fromkeys(chosen_names(self.modules, self.modules, layers))
        self.aliases: dict[str, str] = {}
        self._names: dict[nn.Module, list[str]] = {}
        for name, child in self.modules.items():
            self._names.setdefault(child, []).append(name)
        self.is_shared = any(len(self._names[self.modules[name]]) > 1 for name in self.chosen)
        self._shown_as: dict[str, str] = {}
        self._calls: Counter[str] = Counter()
        self._running: list[nn.Module] = []
        self._tied: dict[str, dict[str, None]] = {}

    def watched(self) -> list[nn.Module]:
        """Return the modules whose calls must be observed."""
        if self.is_shared:
            return list(self._names)
        return list(dict.fromkeys(self.modules[name] for name in self.chosen))

    def start(self) -> None:
        """Begin a pass."""
        self._calls.clear()
        self._running.clear()

    def enter(self, module: nn.Module) -> None:
        self._running.append(module)

    def leave(self, module: nn.Module) -> None:
        while self._running and self._running.pop() is not module:
            pass  # a module that raised an exception, which the network caught

    def name_of_call(self, module: nn.Module) -> str | None:
        """Return the name of a call that ends: ``path``, or ``path:2`` for the second; None if it was not asked for."""
        names = self._names[module]
        name = names[0] if len(names) == 1 else self._best(names)
        self._calls[name] += 1
        shown = name if name in self.chosen else self._shown_as.get(name)
        call = self._calls[name]
        return shown if shown is None or call == 1 else f"{shown}:{call}"

    def settle(self) -> bool:
        """After a pass, find replacements for unused names. Return whether names of calls change from now on."""
        again = False
        for name in self.chosen:
            used = [other for other in self._tied.get(name, ()) if self._calls[other]]
            if not used or self._calls[name] or name in self._shown_as.values():
                continue
            shown = [self._shown_as.get(other, other) for other in used]
            known = [other for other in shown if other in self.chosen]
            if known:
                self.aliases[name] = known[0]
            else:  # the name used was not asked for
                self._shown_as[used[0]] = name
                again = True
        return again

    def _best(self, names: list[str]) -> str:
        stages = {name: self._stage(name) for name in names}
        innermost = max(stages.values())
        tied = [name for name in names if stages[name] == innermost]
        for name in tied:
            self._tied.setdefault(name, {}).update(dict.fromkeys(tied))
        return min(tied, key=lambda name: self._calls[name])

    def _stage(self, name: str) -> int:
        """Return the position of the innermost running module that contains the name; -1 for the network itself."""
        parts = name.split(".")
        within = [self.modules.get(".".join(parts[:i])) for i in range(1, len(parts))]
        places = [place for place, module in enumerate(self._running) if any(module is other for other in within)]
        return places[-1] if places else -1
