"""The HDF5 files that rsatoolbox saves, written and read. Reading them does not need rsatoolbox."""

from __future__ import annotations

from pathlib import Path

from numpy.typing import ArrayLike

from murine.cortex.presentations import Presentations
from murine.cortex.rdms import NeuralRDMs
from murine.cortex.recording import Recording
from murine.errors import MurineError
from murine.interchange.rsatoolbox import neural_rdms, to_dataset, to_rdms
from murine.io.files import atomic_write
from murine.io.hdf5 import Tree


def write(data: Recording | NeuralRDMs, file: str | Path, *, drop: str = "empty") -> None:
    """Write the result of `to_dataset` or `to_rdms` to an HDF5 file of rsatoolbox, completely or not at all."""
    made = to_dataset(data, drop=drop) if isinstance(data, Recording) else to_rdms(data)
    with atomic_write(Path(file)) as partial:
        try:
            made.save(str(partial), file_type="hdf5", overwrite=True)  # the empty file of this name is ours
        except UnicodeEncodeError as error:
            raise MurineError(
                f"{data.name!r} has labels with {error.object[error.start : error.end]!r}; files of rsatoolbox hold "
                "ASCII only. Rename them."
            ) from error


def read(
    file: str | Path,
    *,
    stimulus: str = "stimulus",
    repetition: str | None = None,
    neuroid: str = "neuroid_id",
    site: str = "site",
) -> Recording | NeuralRDMs:
    """Read an HDF5 file that rsatoolbox saved: a recording of a ``Dataset``, matrices of sites of ``RDMs``.

    The parameters are those of `from_dataset` and `from_rdms`. rsatoolbox itself is not needed. Its pickles are never
    read: they can run anything.
    """
    path = Path(file)
    if path.suffix in (".pkl", ".pickle"):
        raise MurineError(f"{str(file)!r} is a pickle, which may run anything; save it as hdf5 (file_type='hdf5').")
    with Tree(path, max_bytes=8 << 30) as tree:
        if "dissimilarities" in tree:
            vectors = tree.array("dissimilarities", (None, None))
            patterns, about = (_descriptors(tree, group) for group in ("pattern_descriptors", "rdm_descriptors"))
            return neural_rdms(vectors, patterns, about, stimulus, site, path.stem)
        measurements = tree.array("measurements", (None, None))
        rows, columns = (_descriptors(tree, group) for group in ("obs_descriptors", "channel_descriptors"))
    return Presentations.labelled(
        measurements, rows, columns, stimulus=stimulus, repetition=repetition, neuroid_id=neuroid, name=path.stem
    ).recording(path.stem)


def _descriptors(tree: Tree, group: str) -> dict[str, ArrayLike]:
    """The descriptors in a group, texts decoded."""
    found: dict[str, ArrayLike] = {}
    for key in tree.names(group):
        path = f"{group}/{key}"
        texts = tree.dataset(path, (None,), "biufSO").dtype.kind in "SO"
        found[key] = tree.texts(path) if texts else tree.array(path, (None,), "biuf")
    return found
