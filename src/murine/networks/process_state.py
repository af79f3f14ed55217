"""Protection of the process from changes that a network makes to its state.

A network is other people's code. It may set torch's default dtype, the number of threads, the working directory or a
seed, and not restore it. Without protection, the results of later networks would depend on that.
"""

from __future__ import annotations

import gc
import locale
import logging
import os
import random
import signal
import socket
import ssl
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from murine.errors import MurineError

_MISSING = object()


@contextmanager
def preserved_state(whose: str = "") -> Iterator[None]:
    """Restore the state of the process at the end of this block, also after an exception. Blocks may be nested.

    The state is everything that changes results, output or control of the process. In torch: default dtype and device,
    threads, gradient and inference mode, autocast, determinism, precision of products, choice of kernels, global hooks,
    random state. In NumPy: random state, handling of errors, printing. In Python: random state, warning filters, import
    path, standard streams, limits, logging. In the process: environment variables, working directory, umask, locale,
    signal handlers, timers.

    Parameters
    ----------
    whose
        Name of a network for messages. If it is given, a block that leaves another default dtype or working directory
        is refused, because outside the block the network would compute with another dtype, or search its files in
        another folder, than its author intended.

    Raises
    ------
    MurineError
        If ``whose`` is given and the block changes one of these two. Both are restored first.
    """
    dtype, folder = torch.get_default_dtype(), _working_directory()
    with ExitStack() as stack:
        for part in _PARTS:
            stack.enter_context(part())
        yield
        left = torch.get_default_dtype(), _working_directory()
    if whose and left[0] != dtype:
        raise MurineError(
            f"{whose!r} sets torch's default dtype to {_word(left[0])} (it was {_word(dtype)}) and does not set it "
            "back. Convert the network itself, for example with module.double(), or set the default back before "
            "returning."
        )
    if whose and left[1] not in (folder, ""):
        raise MurineError(
            f"{whose!r} changes the working directory to {left[1]!r} and does not change it back. Name files by "
            "pathlib.Path(__file__).parent, or change back before returning."
        )


def _word(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _working_directory() -> str:
    """Return the working directory; '' if it was deleted."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""


# --------------------------------------------------------------------------------- torch

#: Settings of torch that are attributes, by the path of their owner. Settings that a version lacks are skipped.
_SWITCHES = {
    "backends": ("fp32_precision",),
    "backends.cudnn": ("enabled", "benchmark", "benchmark_limit", "deterministic", "fp32_precision", "allow_tf32"),
    "backends.cudnn.conv": ("fp32_precision",),
    "backends.cudnn.rnn": ("fp32_precision",),
    "backends.cuda.matmul": (
        "fp32_precision",
        "allow_tf32",
        "allow_fp16_reduced_precision_reduction",
        "allow_bf16_reduced_precision_reduction",
        "allow_fp16_accumulation",
    ),
    "backends.mkldnn": ("enabled", "deterministic", "allow_tf32", "fp32_precision"),
    "backends.mkldnn.matmul": ("fp32_precision",),
    "backends.mkldnn.conv": ("fp32_precision",),
    "backends.mkldnn.rnn": ("fp32_precision",),
    "backends.opt_einsum": ("enabled", "strategy"),
    "backends.quantized": ("engine",),
    "utils.deterministic": ("fill_uninitialized_memory",),
}

#: Settings of torch that are pairs of functions: one that reads, one that sets.
_FUNCTIONS: tuple[tuple[Callable[[], Any], Callable[[Any], Any]], ...] = (
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    (torch.is_autocast_cache_enabled, torch.set_autocast_cache_enabled),
    (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
    (torch.backends.mha.get_fastpath_enabled, torch.backends.mha.set_fastpath_enabled),
    (torch.backends.cuda.flash_sdp_enabled, torch.backends.cuda.enable_flash_sdp),
    (torch.backends.cuda.mem_efficient_sdp_enabled, torch.backends.cuda.enable_mem_efficient_sdp),
    (torch.backends.cuda.math_sdp_enabled, torch.backends.cuda.enable_math_sdp),
    (torch.backends.cuda.cudnn_sdp_enabled, torch.backends.cuda.enable_cudnn_sdp),
)


@contextmanager
def _torch_switches() -> Iterator[None]:
    attributes = [(_owner(path), name) for path, names in _SWITCHES.items() for name in names]
    read = [*(lambda o=o, n=n: getattr(o, n) for o, n in attributes), *(get for get, _ in _FUNCTIONS)]
    write = [*(lambda v, o=o, n=n: setattr(o, n, v) for o, n in attributes), *(set_ for _, set_ in _FUNCTIONS)]
    before = [_value(get) for get in read]
    try:
        yield
    finally:
        for get, set_, old in zip(read, write, before, strict=True):
            if old is not _MISSING and _value(get) != old:
                with suppress(RuntimeError, AttributeError):  # a setting that this build of torch cannot change
                    set_(old)


def _owner(path: str) -> object:
    found: object = torch
    for name in path.split("."):
        found = getattr(found, name, None)
    return found


def _value(get: Callable[[], Any]) -> Any:
    """Return the value of a setting; _MISSING if this build of torch lacks it or cannot read it."""
    try:
        return get()
    except (AttributeError, RuntimeError):
        return _MISSING


@contextmanager
def _torch_modes() -> Iterator[None]:
    """Restore gradient mode, inference mode and autocast."""
    gradients = torch.is_grad_enabled()
    autocast = {kind: (torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in ("cpu", "cuda")}
    # Leaving this guard also ends an inference mode that was entered inside and never left.
    with torch.inference_mode(torch.is_inference_mode_enabled()):
        torch.set_grad_enabled(gradients)
        try:
            yield
        finally:
            for kind, (enabled, dtype) in autocast.items():
                torch.set_autocast_enabled(kind, enabled)
                torch.set_autocast_dtype(kind, dtype)


@contextmanager
def _torch_functions() -> Iterator[None]:
    """Restore the default device and other function modes of torch, which have no public names."""
    from torch.utils import _device

    overrides: Any = torch.overrides
    modes = overrides._get_current_function_mode_stack()
    context, device = getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None), _device.CURRENT_DEVICE
    try:
        yield
    finally:
        if overrides._get_current_function_mode_stack() != modes:
            while torch._C._len_torch_function_stack():
                overrides._pop_mode()
            for mode in modes:
                overrides._push_mode(mode)
        torch._GLOBAL_DEVICE_CONTEXT.device_context, _device.CURRENT_DEVICE = context, device


@contextmanager
def _torch_hooks() -> Iterator[None]:
    """Restore the hooks that are registered for all modules."""
    tables = {
        name: table
        for name, table in vars(torch.nn.modules.module).items()
        if name.startswith("_global_") and isinstance(table, dict)
    }
    before = {name: dict(table) for name, table in tables.items()}
    try:
        yield
    finally:
        for name, table in tables.items():
            table.clear()
            table.update(before[name])


@contextmanager
def _random_states() -> Iterator[None]:
    python, of_numpy, of_torch = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    on_cuda = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    of_cuda = torch.cuda.get_rng_state_all() if on_cuda else None
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(of_numpy)  # noqa: NPY002
        torch.set_rng_state(of_torch)
        if of_cuda is not None:
            torch.cuda.set_rng_state_all(of_cuda)


@contextmanager
def _arithmetic() -> Iterator[None]:
    """Restore NumPy's handling of errors and printing of arrays, and whether denormal numbers count as zero."""
    flushed = _denormals_are_zero()
    with np.errstate(**np.geterr()), np.printoptions(**np.get_printoptions()):
        try:
            yield
        finally:
            if _denormals_are_zero() != flushed:
                torch.set_flush_denormal(flushed)


def _denormals_are_zero() -> bool:
    return sys.float_info.min / 2 == 0  # torch can set this but not read it


# --------------------------------------------------------------------------------- Python


#: Packages that, when they are imported, replace how Python finds modules: without their finder nothing is found.
_FINDERS = ("importlib_metadata", "six")


def _finds_modules(new: object) -> bool:
    """Return whether an entry of ``sys.meta_path`` belongs to an installed package, which is imported only once."""
    owner = new if isinstance(new, type) else type(new)
    return owner.__module__.partition(".")[0] in _FINDERS


@contextmanager
def _interpreter() -> Iterator[None]:
    names = ("stdin", "stdout", "stderr", "excepthook", "displayhook", "dont_write_bytecode")
    lists: tuple[list[Any], ...] = (sys.path, sys.meta_path, sys.path_hooks, sys.argv)
    objects, contents = {name: getattr(sys, name) for name in names}, [list(each) for each in lists]
    recursion, interval, collecting = sys.getrecursionlimit(), sys.getswitchinterval(), gc.isenabled()
    tracing, profiling, of_threads = sys.gettrace(), sys.getprofile(), threading.excepthook
    try:
        yield
    finally:
        sys.path, sys.meta_path, sys.path_hooks, sys.argv = lists  # the lists themselves may have been replaced
        for each, content in zip(lists, contents, strict=True):
            if each != content:
                each[:] = [*content, *(new for new in each if new not in content and _finds_modules(new))]
        for name, value in objects.items():
            setattr(sys, name, value)
        threading.excepthook = of_threads
        if sys.getrecursionlimit() != recursion:
            sys.setrecursionlimit(recursion)
        sys.setswitchinterval(interval)
        if gc.isenabled() != collecting:
            (gc.enable if collecting else gc.disable)()
        if sys.gettrace() is not tracing:
            sys.settrace(tracing)
        if sys.getprofile() is not profiling:
            sys.setprofile(profiling)


@contextmanager
def _logging() -> Iterator[None]:
    """Restore the loggers whose messages the user sees: the root and murine's own."""
    ours = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "murine"]
    loggers = [logging.root, *map(logging.getLogger, ours)]
    before = [(log.level, log.disabled, log.propagate, log.handlers[:], log.filters[:]) for log in loggers]
    silenced = logging.root.manager.disable
    try:
        yield
    finally:
        # Only changed levels are set, because setting a level clears the caches of all loggers.
        if logging.root.manager.disable != silenced:
            logging.disable(silenced)
        for log, (level, disabled, propagate, handlers, filters) in zip(loggers, before, strict=True):
            if log.level != level:
                log.setLevel(level)
            log.disabled, log.propagate = disabled, propagate
            log.handlers[:], log.filters[:] = handlers, filters


@contextmanager
def _connections() -> Iterator[None]:
    """Restore the timeout of connections and the check of certificates."""
    timeout, context = socket.getdefaulttimeout(), ssl._create_default_https_context
    try:
        yield
    finally:
        socket.setdefaulttimeout(timeout)
        ssl._create_default_https_context = context


# --------------------------------------------------------------------------------- the operating system


@contextmanager
def _process() -> Iterator[None]:
    folder, language = _working_directory(), locale.setlocale(locale.LC_ALL)
    # Read as a whole: variables that are read one by one would count as dependencies of a network.
    variables: Any = os.environ
    environment = dict(variables._data)
    os.umask(mask := os.umask(0o077))  # the umask can only be read by setting it
    try:
        yield
    finally:
        os.umask(mask)
        if variables._data != environment:
            for name in variables._data.keys() - environment.keys():
                del variables[variables.decodekey(name)]
            for name, value in environment.items():
                if variables._data.get(name) != value:
                    variables[variables.decodekey(name)] = variables.decodevalue(value)
        if folder and _working_directory() != folder:
            with suppress(OSError):  # the network deleted the folder
                os.chdir(folder)
        if locale.setlocale(locale.LC_ALL) != language:
            locale.setlocale(locale.LC_ALL, language)


@contextmanager
def _signals() -> Iterator[None]:
    """Restore the handlers of signals, and stop timers that would send one later."""
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    timers = [which for which in _TIMERS if not any(signal.getitimer(which))]
    try:
        yield
    finally:
        for which in timers:
            signal.setitimer(which, 0)
        if threading.current_thread() is threading.main_thread():  # only the main thread may set them
            for number, handler in handlers.items():
                if handler is not None and signal.getsignal(number) != handler:
                    signal.signal(number, handler)


_TIMERS = [getattr(signal, name) for name in ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF") if hasattr(signal, name)]


@contextmanager
def _blas_threads() -> Iterator[None]:
    """Restore the threads of linear algebra outside torch. Only the outermost block does so: it takes milliseconds."""
    if _inside.get():
        yield
        return
    limits = threadpool_limits()  # changes nothing, but remembers the current limits
    mark = _inside.set(True)
    try:
        yield
    finally:
        _inside.reset(mark)
        limits.restore_original_limits()


_inside: ContextVar[bool] = ContextVar("_inside", default=False)


#: The parts of the state, in the order in which they are saved. They are restored in the opposite order.
_PARTS: tuple[Callable[[], AbstractContextManager[Any]], ...] = (
    _process,
    _signals,
    _logging,
    _connections,
    _interpreter,
    warnings.catch_warnings,
    _arithmetic,
    _blas_threads,
    _torch_switches,
    _torch_hooks,
    _random_states,
    _torch_modes,
    _torch_functions,
)
