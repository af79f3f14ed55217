"""State of the process: whatever a network changes is put back, whatever ends it."""

from __future__ import annotations

import gc
import io
import locale
import logging
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info

from murine.errors import MurineError
from murine.networks.process_state import preserved_state


def registered_hooks():
    return {
        name: dict(v) for name, v in vars(torch.nn.modules.module).items() if isinstance(v, dict) and "hooks" in name
    }


def blas_threads():
    return {each["filepath"]: each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}


def set_blas_threads():
    from threadpoolctl import ThreadpoolController

    for library in ThreadpoolController().select(user_api="blas").lib_controllers:
        library.set_num_threads(3)


def umask():
    os.umask(mask := os.umask(0))
    return mask


def replace_path():
    sys.path = ["/nowhere"]


def let_go_of_standard_output():
    sys.stdout = io.StringIO()


#: What a network may change: how to read it, how to change it.
CHANGES = {
    "default dtype": (torch.get_default_dtype, lambda: torch.set_default_dtype(torch.float64)),
    "default device": (torch.get_default_device, lambda: torch.set_default_device("meta")),
    "device entered": (torch.get_default_device, lambda: torch.device("meta").__enter__()),
    "threads": (torch.get_num_threads, lambda: torch.set_num_threads(torch.get_num_threads() + 1)),
    "threads of BLAS": (blas_threads, set_blas_threads),
    "gradients": (torch.is_grad_enabled, lambda: torch.set_grad_enabled(False)),
    "inference mode": (torch.is_inference_mode_enabled, lambda: KEPT.append(entered(torch.inference_mode()))),
    "autocast": (lambda: torch.is_autocast_enabled("cpu"), lambda: torch.set_autocast_enabled("cpu", True)),
    "determinism": (torch.get_deterministic_debug_mode, lambda: torch.set_deterministic_debug_mode(2)),
    "determinism of cuDNN": (
        lambda: torch.backends.cudnn.deterministic,
        lambda: setattr_(torch.backends.cudnn, "deterministic", True),
    ),
    "benchmarks of cuDNN": (
        lambda: torch.backends.cudnn.benchmark,
        lambda: setattr_(torch.backends.cudnn, "benchmark", True),
    ),
    "oneDNN": (lambda: torch.backends.mkldnn.enabled, lambda: setattr_(torch.backends.mkldnn, "enabled", False)),
    "tf32": (
        lambda: torch.backends.cuda.matmul.allow_tf32,
        lambda: setattr_(torch.backends.cuda.matmul, "allow_tf32", True),
    ),
    "precision of products": (torch.get_float32_matmul_precision, lambda: torch.set_float32_matmul_precision("medium")),
    "fast attention": (torch.backends.mha.get_fastpath_enabled, lambda: torch.backends.mha.set_fastpath_enabled(False)),
    "hooks of all modules": (registered_hooks, lambda: torch.nn.modules.module.register_module_forward_hook(print)),
    "random state of torch": (lambda: torch.get_rng_state().tolist(), lambda: torch.manual_seed(1)),
    "random state of NumPy": (lambda: np.random.get_state()[1].tolist(), lambda: np.random.seed(1)),  # noqa: NPY002
    "random state of Python": (random.getstate, lambda: random.seed(1)),
    "errors of NumPy": (np.geterr, lambda: np.seterr(all="raise")),
    "printing of NumPy": (np.get_printoptions, lambda: np.set_printoptions(precision=1)),
    "denormal numbers": (lambda: sys.float_info.min / 2 == 0, lambda: torch.set_flush_denormal(True)),
    "working directory": (os.getcwd, lambda: os.chdir("/")),
    "environment": (lambda: dict(os.environ), lambda: os.environ.update(MURINE_TEST="1", HOME="/nowhere")),
    "environment removed": (lambda: dict(os.environ), lambda: os.environ.pop("PATH")),
    "import path": (lambda: list(sys.path), lambda: sys.path.insert(0, "/nowhere")),
    "import path replaced": (lambda: id(sys.path), replace_path),
    "arguments": (lambda: list(sys.argv), lambda: sys.argv.append("--x")),
    "standard output": (lambda: sys.stdout, let_go_of_standard_output),
    "depth of recursion": (sys.getrecursionlimit, lambda: sys.setrecursionlimit(5000)),
    "garbage": (gc.isenabled, gc.disable),
    "filters of warnings": (lambda: list(warnings.filters), lambda: warnings.simplefilter("ignore")),
    "locale": (lambda: locale.setlocale(locale.LC_ALL), lambda: locale.setlocale(locale.LC_ALL, other_locale())),
    "handlers of signals": (
        lambda: signal.getsignal(signal.SIGTERM),
        lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
    ),
    "timers": (
        lambda: any(signal.getitimer(signal.ITIMER_VIRTUAL)),
        lambda: signal.setitimer(signal.ITIMER_VIRTUAL, 1e6),
    ),
    "level of the root logger": (lambda: logging.root.level, lambda: logging.root.setLevel(logging.CRITICAL)),
    "handlers of the root logger": (
        lambda: list(logging.root.handlers),
        lambda: logging.root.addHandler(logging.NullHandler()),
    ),
    "silence": (lambda: logging.root.manager.disable, lambda: logging.disable(logging.CRITICAL)),
    "murine's logger": (
        lambda: logging.getLogger("murine.networks.zoo").disabled,
        lambda: setattr_(logging.getLogger("murine.networks.zoo"), "disabled", True),
    ),
    "umask": (umask, lambda: os.umask(0o707)),
    "time to wait for connections": (socket.getdefaulttimeout, lambda: socket.setdefaulttimeout(3.0)),
    "certificates": (
        lambda: ssl._create_default_https_context,
        lambda: setattr_(ssl, "_create_default_https_context", ssl._create_unverified_context),
    ),
}
KEPT = []


def entered(context):
    context.__enter__()
    return context


def setattr_(owner, name, value):
    setattr(owner, name, value)


def other_locale():
    return "C" if locale.setlocale(locale.LC_ALL) != "C" else "C.UTF-8"


@pytest.mark.parametrize("end", [None, SystemExit(0)], ids=repr)
@pytest.mark.parametrize("what", CHANGES)
def test_what_a_network_changes_is_put_back(what, end):
    read, change = CHANGES[what]
    before = read()

    def network():
        with preserved_state():
            change()
            assert read() != before  # the test changes something
            if end is not None:
                raise end

    if end is None:
        network()
    else:
        with pytest.raises(type(end)):
            network()
    assert read() == before


def test_everything_at_once_and_nested():
    before = {what: read() for what, (read, _) in CHANGES.items()}
    with preserved_state():
        torch.set_default_dtype(torch.float16)
        with preserved_state():
            for _, change in CHANGES.values():
                change()
        assert torch.get_default_dtype() == torch.float16
    assert {what: read() for what, (read, _) in CHANGES.items()} == before


def test_modes_around_it_stay():
    with torch.no_grad(), preserved_state():
        assert not torch.is_grad_enabled()
        torch.set_grad_enabled(True)
    assert torch.is_grad_enabled()
    with torch.inference_mode():
        with preserved_state():
            assert torch.is_inference_mode_enabled()
            assert not torch.is_grad_enabled()
        assert torch.is_inference_mode_enabled()
    with torch.device("meta"):
        with preserved_state():
            assert torch.zeros(1).is_meta
            torch.set_default_device("cpu")
            assert not torch.zeros(1).is_meta
        assert torch.zeros(1).is_meta
    assert not torch.zeros(1).is_meta


def test_draws_go_on_where_they_stopped():
    for draw in (lambda: torch.rand(3).tolist(), lambda: np.random.rand(3).tolist(), random.random):  # noqa: NPY002
        with preserved_state():
            once = draw()
        assert draw() == once


def test_a_network_that_leaves_its_dtype_or_folder_changed_is_refused(tmp_path):
    here = os.getcwd()

    def changed(change, whose="net.py:make"):
        with preserved_state(whose):
            change()

    with pytest.raises(MurineError, match=r"'net.py:make' sets torch's default dtype to float64 \(it was float32\)"):
        changed(lambda: torch.set_default_dtype(torch.float64))
    with pytest.raises(MurineError, match=r"changes the working directory to '.*' and does not change it back"):
        changed(lambda: os.chdir(tmp_path))
    assert torch.get_default_dtype() == torch.float32
    assert os.getcwd() == here
    changed(lambda: torch.set_num_threads(2))  # put back in silence: nothing of the network depends on it
    with pytest.raises(SystemExit):  # what a network raises goes first
        changed(lambda: (os.chdir(tmp_path), sys.exit()))


def test_a_folder_that_is_gone(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    with preserved_state("net.py:make"):
        gone.rmdir()


def test_a_package_that_replaces_how_packages_are_found():
    """importlib_metadata, which Dask imports, takes the finder of the standard library away and adds its own."""
    pytest.importorskip("importlib_metadata")
    code = (
        "import sys\n"
        "from importlib.metadata import version\n"
        "from murine.networks.process_state import preserved_state\n"
        "assert 'importlib_metadata' not in sys.modules\n"
        "class Foreign:\n"
        "    find_spec = None\n"
        "with preserved_state('a network'):\n"
        "    import importlib_metadata\n"
        "    sys.meta_path.append(Foreign)\n"
        "assert Foreign not in sys.meta_path\n"
        "print(version('numpy'))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == np.__version__, done.stderr
