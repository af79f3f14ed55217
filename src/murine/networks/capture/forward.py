"""One forward pass with hooks on the chosen modules."""

from __future__ import annotations

import functools
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from murine.errors import MurineError
from murine.networks.capture.failures import is_out_of_memory, refusal
from murine.networks.capture.naming import Naming
from murine.networks.capture.outputs import plain, tensors_in, unknown_in
from murine.networks.capture.state import SEED, InitialState, start_random_numbers


@dataclass
class Subject:
    """A network that is being captured, and what is known of it.

    Attributes
    ----------
    direct
        Modules whose ``forward`` is called as a function, which hooks do not see.
    keeps_state
        Whether a pass left something in the network that had to be put back.
    shown
        How many images the network has taken at once, 0 before the first pass.
    """

    module: nn.Module
    naming: Naming
    state: InitialState
    direct: set[nn.Module] = field(default_factory=set)
    keeps_state: bool = False
    shown: int = 0


class ForwardPass(ABC):
    """Shows images to a network once; `take` gets every tensor that a chosen module returns, before others change it.

    The network starts from the state it was given with. Images are handed to it as they are: it may change them."""

    #: Whether to look out for what would be missed: calls that hooks do not see, outputs that cannot be looked into.
    explores = False

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.n = 0
        self.image_size: tuple[int, ...] = ()
        #: The name of the module of each output.
        self.module_of: dict[str, str] = {}
        #: Types of outputs that could not be looked into, by the name of their module.
        self.unknown: dict[str, list[str]] = {}
        self._not_of_the_network: BaseException | None = None

    @abstractmethod
    def take(self, key: str, args: tuple[object, ...], tensor: Tensor) -> None:
        """Do something with the output ``key``; the arguments are those of its module."""

    def run(self, images: Tensor, seed: int = SEED) -> None:
        self.n, self.image_size = len(images), tuple(images.shape[2:])
        subject = self.subject
        try:
            with self._hooks():
                subject.naming.start()
                start_random_numbers(seed)
                subject.module(images)
            subject.shown = self.n
        except (KeyboardInterrupt, MurineError):
            raise
        except BaseException as error:  # a forward function may raise anything, `SystemExit` included
            if error is self._not_of_the_network and not is_out_of_memory(error):
                raise
            subject.state.restore()
            raise refusal(error, subject.module, subject.naming.modules, images, subject.shown) from error
        finally:
            subject.keeps_state |= subject.state.restore()

    @contextmanager
    def _hooks(self) -> Iterator[None]:
        naming = self.subject.naming
        with ExitStack() as stack:
            scripts = []
            for module in naming.watched():
                if isinstance(module, torch.jit.ScriptModule):
                    scripts.append(module)
                    continue
                if naming.is_shared:
                    stack.callback(module.register_forward_pre_hook(lambda m, _: naming.enter(m)).remove)
                stack.callback(module.register_forward_hook(self._hook).remove)
                if self.explores or module in self.subject.direct:
                    stack.enter_context(self._watching_direct_calls(module))
            if scripts:  # they take no hooks of their own

                def hook(module: nn.Module, args: tuple[object, ...], output: object) -> None:
                    if any(module is script for script in scripts):
                        self._hook(module, args, output)

                stack.callback(register_module_forward_hook(hook).remove)
            yield

    def _hook(self, module: nn.Module, args: tuple[object, ...], output: object) -> None:
        if self.explores:  # what is drawn here (by checks of types, for example) is not drawn by the network
            state = random.getstate()
            self._seen(module, args, output)
            random.setstate(state)
        else:
            self._seen(module, args, output)

    def _seen(self, module: nn.Module, args: tuple[object, ...], output: object) -> None:
        naming = self.subject.naming
        if naming.is_shared:
            naming.leave(module)
        call = naming.name_of_call(module)
        if call is None:
            return
        if self.explores and (unknown := unknown_in(output)):
            self.unknown[call] = unknown
        for key, tensor in tensors_in(output, call):
            self.module_of[key] = call
            try:
                self.take(key, args, tensor if tensor.is_nested else plain(tensor))
            except Exception as error:
                self._not_of_the_network = error
                raise

    @contextmanager
    def _watching_direct_calls(self, module: nn.Module) -> Iterator[None]:
        """Call the hook also where ``module.forward`` is called instead of the module."""
        forward: Callable[..., Any] = module.forward
        own = module.__dict__.get("forward")
        called: list[bool] = []
        watched = functools.partial(self._watched, module, forward, called)
        handle = module.register_forward_pre_hook(lambda *_: called.append(True))
        module.__dict__["forward"] = functools.update_wrapper(watched, forward)
        try:
            yield
        finally:
            handle.remove()
            if own is None:
                del module.__dict__["forward"]
            else:
                module.__dict__["forward"] = own

    def _watched(self, module: nn.Module, forward: Callable[..., Any], called: Any, *args: Any, **kwargs: Any) -> Any:
        through_hooks = bool(called)
        called.clear()
        if not through_hooks and self.subject.naming.is_shared:
            self.subject.naming.enter(module)
        output = forward(*args, **kwargs)
        if not through_hooks:
            self.subject.direct.add(module)
            self._hook(module, args, output)
        return output
