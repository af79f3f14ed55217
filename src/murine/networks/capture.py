"""Capture: every module's output from one forward pass, reduced to a kernel as it appears and then dropped."""

from __future__ import annotations

import fnmatch
import itertools
import logging
import mmap
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from murine.errors import MurineError, nearest, some
from murine.networks.kernel import BLOCK, LayerKernel
from murine.networks.memory import available_memory
from murine.networks.surgery import HOLDER
from murine.progress import Progress, Silent

log = logging.getLogger(__name__)

#: Part of the available memory that one forward pass may plan with.
MEMORY_SHARE = 0.5

#: Part of the available memory that features gathered from groups of images may take beside a pass.
GATHERED_SHARE = 0.25

#: What the network's own output is called; its modules are called as in ``named_modules()``.
OUTPUT = "(output)"


@dataclass(frozen=True, eq=False)
class Features:
    """What a reducer sees of one output of one module: the features themselves, for as long as it runs.

    Attributes
    ----------
    name
        As `CapturedLayer.name`.
    tensor
        (n_stimuli, *shape), float32 or float64, on the device of the network. Often a view of what the network goes on
        with: not to be changed, nor kept, whole or as a view. Unit u is number u in the C order of ``shape``, in
        whatever order the memory is.
    image_size
        (height, width) of the images that entered the network, or () where they are no images.
    """

    name: str
    tensor: Tensor
    image_size: tuple[int, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the features of one image."""
        return tuple(self.tensor.shape[1:])

    @property
    def n_units(self) -> int:
        return int(np.prod(self.shape))

    def blocks(self, size: int) -> Iterator[tuple[int, Tensor]]:
        """The features by blocks of at most ``size`` units, (n_stimuli, n_members), each with its first unit.

        Where the memory is in another order, what is copied at once is a block or one member of the first axis,
        whichever is more."""
        if not self.shape:
            yield 0, self.tensor[:, None]
            return
        inner = max(self.n_units // max(self.shape[0], 1), 1)
        together = max(size // inner, 1)
        for first in range(0, self.shape[0], together):
            part = self.tensor[:, first : first + together].flatten(1)
            for start in range(0, part.shape[1], size):
                yield first * inner + start, part[:, start : start + size]

    def units(self, which: np.ndarray) -> np.ndarray:
        """The features of some units (numbers in C order of ``shape``): (n_stimuli, n_wanted) float64."""
        if not self.shape:
            return self.tensor[:, None].double().cpu().numpy()[:, which]
        places = np.unravel_index(which, self.shape)
        index: Any = (slice(None), *(torch.as_tensor(place, device=self.tensor.device) for place in places))
        return self.tensor[index].double().cpu().numpy()


#: Keeps of a layer's features what is small: no view of them, for then they would pile up.
Reducer = Callable[[Features], Any]


@dataclass(frozen=True)
class CapturedLayer:
    """One output of one module.

    Attributes
    ----------
    name
        The module's path in ``named_modules()``; ``path:2`` for its second call, ``path[0]`` for a member of a tuple or
        dictionary.
    depth
        Position in the order of execution, 0 (first) to 1 (last).
    shape
        Shape of the features of one image.
    kernel
        None where the output is flagged as no features at all.
    flag
        Why the layer cannot be compared, or ''.
    same_as
        Name of an earlier layer with identical output, or ''.
    reduced
        What the reducer returned; None without a reducer, or where the output is flagged as no features at all.
    """

    name: str
    depth: float
    shape: tuple[int, ...]
    kernel: LayerKernel | None
    flag: str = ""
    same_as: str = ""
    reduced: Any = field(default=None, compare=False, repr=False)

    @property
    def n_units(self) -> int:
        return int(np.prod(self.shape))


def capture(
    module: nn.Module,
    inputs: Tensor,
    *,
    layers: str = "all",
    batch_size: int | None = None,
    progress: Progress | None = None,
    reducer: Reducer | None = None,
) -> list[CapturedLayer]:
    """Pass images through a network and reduce the output of every module to its kernel.

    A kernel is computed inside the forward hook, before anything can change the features in place, and the features
    are then dropped: they pile up neither in memory nor on disk. On Linux, `murine.networks.memory.freed_memory_kept`
    around it saves a quarter of the time.

    Parameters
    ----------
    module
        Any network that accepts ``inputs``; put in evaluation mode meanwhile.
    inputs
        (n_stimuli, channels, height, width), on the device of the module; preprocessed.
    layers
        ``all`` modules; ``own``: all but what surgery put in (`murine.networks.surgery`); ``blocks``: top-level modules
        and the composite members of sequences (residual blocks, transformer blocks); or names with wildcards, separated
        by commas.
    batch_size
        Images that may pass at once, at least 2. By default all, or as many as half the available memory allows. A
        kernel needs every pair of images together, so with fewer than all, images pass in pairs of groups, several
        times: slower, the same numbers to float32 rounding.
    reducer
        For what needs single units: called with the `Features` of every output, of all images, beside the computation
        of its kernel; its result is ``reduced`` of the layer. Not called again for an output that is the tensor of an
        earlier one. Where images pass in groups, the features of as many layers as a quarter of the available memory
        holds are gathered from all groups, then reduced, then the next: one pass over the images for each such bundle,
        after those for the kernels. What the reducer raises is passed on.

    Raises
    ------
    MurineError
        If no module matches, the network refuses the input, or memory does not suffice: for all images, or for the
        features of one layer where a reducer needs them gathered.
    """
    n = len(inputs)
    if batch_size is not None and batch_size < 2:
        raise MurineError(f"batch size is {batch_size}; at least 2 images must pass together.")
    names = chosen_modules(module, layers)
    advance: Callable[[], None] = lambda: None  # noqa: E731
    with _prepared(module, inputs) as images, torch.no_grad(), ExitStack() as open_bars:
        probe = _Pass(names, 2, None, advance)
        probe.run(module, images[:2])
        if not probe.found:
            raise MurineError(f"none of the modules {some(names.values())} ran in the forward pass.")
        size = batch_size or affordable_images(probe.peak_bytes // 2, n, images.device)
        groups = image_groups(n, size)
        passes = [np.concatenate(pair) for pair in itertools.combinations(groups, 2)] or groups
        if len(passes[0]) == 2 < n:  # as many as were probed: the axis of images would not stand out
            probe = _Pass(names, 3, None, advance)
            probe.run(module, images[:3])
        if len(passes) > 1:
            log.info("%d images in %d passes of at most %d", n, len(passes), 2 * len(groups[0]))
        together = _bundles(probe, n, images.device) if reducer and len(passes) > 1 else []
        sweep = _covering(groups)
        n_passes = len(passes) + len(together) * len(sweep)
        bar = (progress or Silent()).task("capturing layers", n_passes * len(probe.found))
        advance = open_bars.enter_context(bar).advance
        merged = _Merged(n, list(probe.found))
        for members in passes:
            whole = reducer if len(members) == n else None
            current = _Pass(names, len(members), probe, advance, merged.space(len(members)), whole)
            current.run(module, images if len(members) == n else images[torch.as_tensor(members)])
            merged.add(members, current)
        captured = merged.layers()
        if reducer is None or not together:
            return captured
        reduced: dict[str, Any] = {}
        wanted = {layer.name for layer in captured if layer.kernel is not None and not layer.same_as}
        for bundle in together:
            gathered = {name: torch.empty(0) for name in bundle if name in wanted}
            for members in sweep:
                part = images[torch.as_tensor(members)]
                _Gathering(names, members, probe, advance, gathered, n).run(module, part)
            for name in list(gathered):
                reduced[name] = reducer(Features(name, gathered.pop(name), tuple(images.shape[2:])))
    return [replace(layer, reduced=reduced.get(layer.same_as or layer.name)) for layer in captured]


def chosen_modules(module: nn.Module, layers: str) -> dict[nn.Module, str]:
    """The modules asked for, with their names, the root as OUTPUT."""
    every = {name or OUTPUT: child for name, child in module.named_modules()}
    if layers == "all":
        chosen = set(every)
    elif layers == "own":
        chosen = {name for name in every if name.partition(".")[0] != HOLDER}
    elif layers == "blocks":
        sequences = [name for name, child in every.items() if isinstance(child, (nn.Sequential, nn.ModuleList))]
        parents = {"" if name == OUTPUT else name for name in sequences}
        chosen = {name for name in every if "." not in name}
        chosen |= {
            name
            for name, child in every.items()
            if name.rpartition(".")[0] in parents and any(True for _ in child.children())
        }
    else:
        patterns = [pattern.strip() for pattern in layers.split(",") if pattern.strip()]
        chosen = set()
        for pattern in patterns:
            matched = fnmatch.filter(every, pattern)
            if not matched:
                raise MurineError(
                    f"no module matches {pattern!r}{nearest(pattern, every) or '.'} The network has {len(every)} "
                    f"modules, for example {some(every)}. `--layers all` takes every one, `--layers blocks` the larger "
                    "ones."
                )
            chosen |= set(matched)
    return {child: name for name, child in every.items() if name in chosen}


@contextmanager
def _prepared(module: nn.Module, inputs: Tensor) -> Iterator[Tensor]:
    """Evaluation mode, undone at the end, and a copy of the images in the memory format convolutions are fastest in.

    It is handed on from layer to layer, so the weights need no conversion.
    """
    training = {child: child.training for child in module.modules()}
    channels_last = inputs.dim() == 4 and inputs.device.type == "cpu"
    images = inputs.clone(memory_format=torch.channels_last) if channels_last else inputs.clone()
    stored = [(x, x.data) for x in (*module.parameters(), *module.buffers()) if channels_last and x.dim() == 4]
    try:
        module.eval()
        for tensor, data in stored:
            tensor.data = data.contiguous(memory_format=torch.channels_last)
        yield images
    finally:
        for tensor, data in stored:
            tensor.data = data
        for child, mode in training.items():
            child.training = mode


def affordable_images(bytes_per_image: int, n: int, device: torch.device, memory: int | None = None) -> int:
    """How many images may pass at once, with the memory that is available or with this."""
    if memory is None:
        memory = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available_memory()
    return max(2, min(n, int(MEMORY_SHARE * memory / max(bytes_per_image, 1))))


def working_bytes(args: tuple[object, ...], output: Tensor) -> int:
    """Memory a module needs while it runs: its input and output are alive together, a shortcut may keep one more."""
    taken = sum(t.numel() * t.element_size() for _, t in tensors_in(args, ""))
    return 2 * taken + 2 * output.numel() * output.element_size()


def image_groups(n: int, batch_size: int) -> list[np.ndarray]:
    """Split n images into one group, or into groups of which any two pass together."""
    if batch_size >= n:
        return [np.arange(n)]
    return np.array_split(np.arange(n), -(-n // (batch_size // 2)))


def _covering(groups: list[np.ndarray]) -> list[np.ndarray]:
    """Passes that show every image at least once, each of two groups: as many images as pass for the kernels."""
    if len(groups) == 1:
        return groups
    pairs = [groups[i : i + 2] for i in range(0, len(groups) - 1, 2)]
    if len(groups) % 2:
        pairs.append(groups[-2:])
    return [np.concatenate(pair) for pair in pairs]


def _bundles(probe: _Pass, n: int, device: torch.device) -> list[list[str]]:
    """Which outputs are gathered together, in order of execution."""
    memory = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available_memory()
    budget = GATHERED_SHARE * memory
    bundles: list[list[str]] = []
    filled = budget
    for name, size in probe.bytes_per_image.items():
        if n * size > memory / 2:
            raise MurineError(
                f"memory does not suffice for the features of {name!r}: {n} images take {n * size / 1e9:.1f} GB, of "
                f"{memory / 1e9:.1f} GB available. Choose other layers (--layers) or a smaller --input-size."
            )
        if filled + n * size > budget:
            bundles.append([])
            filled = 0.0
        bundles[-1].append(name)
        filled += n * size
    return bundles


def tensors_in(output: object, name: str) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a module's output: itself, or the members of tuples, lists and mappings."""
    if isinstance(output, Tensor):
        yield name, output
    elif isinstance(output, Mapping):
        for key, value in output.items():
            yield from tensors_in(value, f"{name}[{key}]")
    elif isinstance(output, (tuple, list)):
        for i, value in enumerate(output):
            yield from tensors_in(value, f"{name}[{i}]")


@dataclass
class _Found:
    shape: tuple[int, ...]
    kernel: LayerKernel | None = None
    flag: str = ""
    same_as: str = ""
    reduced: Any = None


class _Pass:
    """One forward pass over ``n`` images with hooks on the chosen modules.

    ``probe`` is an earlier pass with another number of images: comparing shapes tells which axis counts images. The
    probe itself has none, and computes no kernels. ``space`` holds an array of zeros for the kernel of each output:
    what lives on after the pass must not be allocated during it, among the large blocks of the features, whose place
    could then not be used again. ``reducer`` is given where ``n`` is all images."""

    def __init__(
        self,
        names: dict[nn.Module, str],
        n: int,
        probe: _Pass | None,
        advance: Callable[[], None],
        space: Mapping[str, np.ndarray] | None = None,
        reducer: Reducer | None = None,
    ) -> None:
        self.names, self.n, self.probe, self.advance = names, n, probe, advance
        self.space, self.reducer = space or {}, reducer
        self.found: dict[str, _Found] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.bytes_per_image: dict[str, int] = {}
        self.peak_bytes = 0
        self._image_size: tuple[int, ...] = ()
        self._failure: Exception | None = None
        self._calls: dict[str, int] = {}
        self._alive: dict[int, tuple[weakref.ref[Tensor], int, str]] = {}

    def run(self, module: nn.Module, images: Tensor) -> None:
        self._image_size = tuple(images.shape[2:])
        handles = [child.register_forward_hook(self._hook) for child in self.names]
        try:
            module(images)
        except MurineError:
            raise
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise MurineError(
                f"memory does not suffice for {self.n} images at once; give --batch-size {max(2, self.n // 2)} or less."
            ) from error
        except Exception as error:
            if error is self._failure:
                raise
            if isinstance(error, RuntimeError) and "alloc" in str(error):
                raise MurineError(
                    f"memory does not suffice for {self.n} images at once; give --batch-size {max(2, self.n // 2)} or "
                    "less."
                ) from error
            shape = " x ".join(str(size) for size in images.shape[1:])
            raise MurineError(
                f"the network does not accept images of {shape} (channels x height x width): "
                f"{type(error).__name__}: {error}. Give another --input-size, or none for its own."
            ) from error
        finally:
            for handle in handles:
                handle.remove()

    def _hook(self, module: nn.Module, args: tuple[object, ...], output: object) -> None:
        name = self.names[module]
        self._calls[name] = call = self._calls.get(name, 0) + 1
        for key, tensor in tensors_in(output, name if call == 1 else f"{name}:{call}"):
            if self.probe:
                self.found[key] = self._reduce(key, tensor)
                self.advance()
            else:
                self.found[key] = _Found(())
                self.peak_bytes = max(self.peak_bytes, working_bytes(args, tensor))
                self.bytes_per_image[key] = tensor.numel() * max(tensor.element_size(), 4) // self.n
            self.shapes[key] = tuple(tensor.shape)

    def _reduce(self, key: str, tensor: Tensor) -> _Found:
        features, shape = self._features(key, tensor)
        if features is None:
            return _Found(shape, flag="no axis of images")
        if features.is_complex():
            return _Found(shape, flag="complex")
        # Without gaps or repeats, as many numbers from the same address are the same numbers.
        dense = tensor.numel() == 1 + sum(
            (size - 1) * step for size, step in zip(tensor.shape, tensor.stride(), strict=True)
        )
        known = self._alive.get(tensor.data_ptr()) if dense else None
        if known and known[0]() is not None and known[1] == tensor._version:
            earlier = self.found[known[2]]
            if np.prod(earlier.shape) == np.prod(shape):
                return replace(earlier, shape=shape, same_as=earlier.same_as or known[2])
        if dense:
            self._alive[tensor.data_ptr()] = (weakref.ref(tensor), tensor._version, key)
        kernel = _kernel(_flat(features), self.space.get(key))
        return _Found(shape, kernel, kernel.flag, reduced=self._reduced(key, features))

    def _reduced(self, key: str, features: Tensor) -> Any:
        if self.reducer is None:
            return None
        try:
            return self.reducer(Features(key, features, self._image_size))
        except Exception as error:  # no fault of the network's
            self._failure = error
            raise

    def _features(self, key: str, tensor: Tensor) -> tuple[Tensor | None, tuple[int, ...]]:
        """View or copy a tensor as (n_images, *shape), and the shape."""
        shape = tuple(tensor.shape)
        probed = self.probe.shapes.get(key, ()) if self.probe else ()
        axes = [
            axis
            for axis, (size, small) in enumerate(zip(shape, probed, strict=False))
            if self.probe and size * self.probe.n == small * self.n and size != small
        ]
        if self.probe and self.n == self.probe.n:  # there are but two images
            axes = [axis for axis, size in enumerate(shape) if size == self.n][:1]
        if len(shape) != len(probed) or not axes:
            return None, shape
        axis = axes[0]
        tensor = tensor.movedim(axis, 0)
        # Windows of one image (n * k, ...) follow each other.
        folded = shape[axis] // self.n
        if folded > 1:
            tensor = tensor.reshape(self.n, folded, *tensor.shape[1:])
        if not tensor.is_complex() and tensor.dtype not in (torch.float32, torch.float64):
            tensor = tensor.float()
        return tensor, tuple(tensor.shape[1:])


class _Gathering(_Pass):
    """A pass over some images that puts the features of some outputs where those of all ``n_all`` are gathered."""

    def __init__(
        self,
        names: dict[nn.Module, str],
        members: np.ndarray,
        probe: _Pass,
        advance: Callable[[], None],
        gathered: dict[str, Tensor],
        n_all: int,
    ) -> None:
        super().__init__(names, len(members), probe, advance)
        self.members, self.gathered, self.n_all = torch.as_tensor(members), gathered, n_all

    def _reduce(self, key: str, tensor: Tensor) -> _Found:
        if key in self.gathered:
            features, shape = self._features(key, tensor)
            if features is not None:
                if not self.gathered[key].numel():
                    self.gathered[key] = features.new_empty((self.n_all, *shape))
                self.gathered[key][self.members] = features
        return _Found(())


def _flat(features: Tensor) -> Tensor:
    """View or copy as (n_images, n_units); units may come in any order, the same for all images."""
    if features.dim() == 4 and features.is_contiguous(memory_format=torch.channels_last):
        features = features.permute(0, 2, 3, 1)
    return features.reshape(len(features), -1)


def _kernel(features: Tensor, space: np.ndarray | None) -> LayerKernel:
    if features.device.type == "cpu":
        return LayerKernel.of(features.numpy(), space)
    return device_kernel(features)


def device_kernel(features: Tensor) -> LayerKernel:
    """`LayerKernel.of` where the features are: products by blocks in their precision, sums in float64."""
    n_units = features.shape[1]
    centre = features.mean(dim=1, keepdim=True)
    total = torch.zeros(len(features), len(features), dtype=torch.float64, device=features.device)
    sums = torch.zeros(len(features), dtype=torch.float64, device=features.device)
    for start in range(0, n_units, BLOCK):
        block = features[:, start : start + BLOCK] - centre
        sums += block.sum(dim=1)
        total += block @ block.T
    missed = sums / n_units
    total -= n_units * torch.outer(missed, missed)
    return LayerKernel(total.cpu().numpy(), (centre[:, 0] + missed).cpu().numpy(), n_units)


class _Merged:
    """Kernels of all images, put together from passes over pairs of groups."""

    def __init__(self, n: int, names: list[str]) -> None:
        self.n = n
        self._names = names
        self._found: dict[str, _Found] = {}

    def space(self, n_members: int) -> Mapping[str, np.ndarray]:
        """Zeros for the covariances of one pass, outside the heap that the features come from and go back to."""
        shape = (len(self._names), n_members, n_members)
        pages = mmap.mmap(-1, 8 * int(np.prod(shape)))
        return dict(zip(self._names, np.frombuffer(pages).reshape(shape), strict=True))

    def add(self, members: np.ndarray, current: _Pass) -> None:
        for key, found in current.found.items():
            if len(members) == self.n or found.kernel is None:
                self._found.setdefault(key, found)
                continue
            if key not in self._found:
                empty = LayerKernel(np.zeros((self.n, self.n)), np.zeros(self.n), found.kernel.n_units)
                self._found[key] = replace(found, kernel=empty)
            whole = self._found[key].kernel
            if whole is not None:
                whole.covariance[np.ix_(members, members)] = found.kernel.covariance
                whole.means[members] = found.kernel.means

    def layers(self) -> list[CapturedLayer]:
        """All layers in order of execution, identical ones marked."""
        first: dict[str, str] = {}
        layers = []
        last = max(len(self._found) - 1, 1)
        for i, (name, found) in enumerate(self._found.items()):
            same_as, flag = found.same_as, found.flag
            if found.kernel is not None:
                flag = found.kernel.flag
                same_as = same_as or first.setdefault(found.kernel.digest, name)
            same_as = "" if same_as == name else same_as
            layers.append(CapturedLayer(name, i / last, found.shape, found.kernel, flag, same_as, found.reduced))
        return layers
