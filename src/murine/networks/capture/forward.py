"""A forward pass with hooks on the chosen modules."""

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
    """A network that is captured, and what is known about it.

    Attributes
    ----------
    direct
        Modules whose ``forward`` is called directly, so that hooks do not see the call.
    keeps_state
        Whether a pass changed the state of the network, which then had to be restored.
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
    """Runs images through a network once and calls `take` with every tensor that a chosen module returns.

    The call comes before other modules can change the tensor. The network starts from its initial state. It gets the
    images themselves, not a copy, and may change them.
    """

    #: Whether to search for calls that hooks do not see and outputs that cannot be searched.
    explores = False

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.n = 0
        self.image_size: tuple[int, ...] = ()
        #: Name of the module of each output.
        self.module_of: dict[str, str] = {}
        #: Types of outputs that could not be searched, by the name of their module.
        self.unknown: dict[str, list[str]] = {}
        self._not_of_the_network: BaseException | None = None

    @abstractmethod
    def take(self, key: str, args: tuple[object, ...], tensor: Tensor) -> None:
        """Process the output ``key`` of a module that was called with ``args``."""

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
            if scripts:  # TorchScript modules take no hooks of their own

                def hook(module: nn.Module, args: tuple[object, ...], output: object) -> None:
                    if any(module is script for script in scripts):
                        self._hook(module, args, output)

                stack.callback(register_module_forward_hook(hook).remove)
            yield

    def _hook(self, module: nn.Module, args: tuple[object, ...], output: object) -> None:
        if self.explores:  # random numbers drawn here (by type checks, for example) are not the network's
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
        """Call the hook also if ``module.forward`` is called instead of the module."""
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
