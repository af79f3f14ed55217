"""The names of modules: which are asked for, and which one a call goes by where a module has several."""

from __future__ import annotations

import fnmatch
import sys
from collections import Counter
from collections.abc import Iterable

import torch
from torch import nn

from murine.errors import MurineError, nearest, some
from murine.networks.surgery.insertion import HOLDER
from murine.networks.wrappers import unwrapped

#: What the network's own output is called; its modules are called as in ``named_modules()``.
OUTPUT = "(output)"


def is_compiled(module: nn.Module) -> bool:
    """Whether a module is what `torch.compile` returns. Does not import the compiler, which takes seconds."""
    dynamo = sys.modules.get("torch._dynamo.eval_frame")
    return dynamo is not None and isinstance(module, dynamo.OptimizedModule)


def named(module: nn.Module) -> dict[str, nn.Module]:
    """Return all modules that hooks can see by their names, the root as OUTPUT.

    A module that is registered twice is there twice. What lies within TorchScript is left out, since it does not run as
    modules; names are those without `torch.compile`."""
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
    """Return the names asked for: ``all``, ``own``, ``blocks`` or patterns, as `capture` takes them."""
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
    """Return the modules asked for, each with the first of its names, the root as OUTPUT."""
    modules = named(unwrapped(module))
    chosen: dict[nn.Module, str] = {}
    for name in chosen_names(modules, modules, layers):
        chosen.setdefault(modules[name], name)
    return chosen


class Naming:
    """Tells which name a call goes by.

    A module that is registered in two stages goes by the name that belongs to the stage it runs in; where that leaves
    several names, by the one that was used least, so that the two calls of one activation in a sequence have its two
    names, in order.

    Attributes
    ----------
    modules
        All modules by all their names.
    chosen
        The names asked for.
    is_shared
        Whether any module asked for has several names: then `enter` and `leave` must be told of every call.
    aliases
        Names asked for that a call might have gone by and none did, with the name it went by (`settle`).
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
        """The modules whose calls matter."""
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
            pass  # a module that raised something, which the network caught

    def name_of_call(self, module: nn.Module) -> str | None:
        """Return the name of a call that ends: ``path`` or ``path:2``; None where nobody asked for it."""
        names = self._names[module]
        name = names[0] if len(names) == 1 else self._best(names)
        self._calls[name] += 1
        shown = name if name in self.chosen else self._shown_as.get(name)
        call = self._calls[name]
        return shown if shown is None or call == 1 else f"{shown}:{call}"

    def settle(self) -> bool:
        """After a pass, find names for what no call went by; return whether calls have other names from now on."""
        again = False
        for name in self.chosen:
            used = [other for other in self._tied.get(name, ()) if self._calls[other]]
            if not used or self._calls[name] or name in self._shown_as.values():
                continue
            shown = [self._shown_as.get(other, other) for other in used]
            known = [other for other in shown if other in self.chosen]
            if known:
                self.aliases[name] = known[0]
            else:  # it goes by a name that nobody asked for
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
        """Place of the innermost module that runs and that the name lies in; -1 for the network itself."""
        parts = name.split(".")
        within = [self.modules.get(".".join(parts[:i])) for i in range(1, len(parts))]
        places = [place for place, module in enumerate(self._running) if any(module is other for other in within)]
        return places[-1] if places else -1
