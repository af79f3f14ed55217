"""Folders of images as domains: sizes, modes and bytes as users have them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from murine.domains.catalogue import load_domain
from murine.domains.preparation import Preparation
from murine.errors import MurineError


def save(file: Path, array: np.ndarray, mode: str | None = None, **options: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(file, **options)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three classes, ten images each, all of different sizes; a file and a hidden folder that are no images."""
    rng = np.random.default_rng(0)
    root = tmp_path / "pets"
    for name in ("cat", "dog", "emu"):
        for i in range(10):
            save(root / name / f"{i}.png", rng.integers(0, 256, (8 + i, 40 - i, 3)).astype(np.uint8))
    (root / "cat" / "notes.txt").write_text("cats")
    (root / "README").write_text("pets")
    (root / ".thumbnails").mkdir()
    return root


def test_classes_are_folders_and_sizes_may_differ(folder):
    domain = load_domain(f"folder:{folder}")
    assert domain.classes == ("cat", "dog", "emu")
    assert domain.images.shape == (30, 32, 32, 3)
    assert domain.labels.tolist() == [0] * 10 + [1] * 10 + [2] * 10
    for label in range(3):
        assert (domain.part("test").labels == label).sum() == 2
    squared = np.asarray(Image.open(folder / "cat" / "0.png").resize((32, 32), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(domain.images[0] - squared).max() <= 1
    for fit in ("crop", "pad", "place"):
        other = load_domain(f"folder:{folder}", preparation=Preparation(fit=fit))
        assert other.digest != domain.digest
        assert (other.images != domain.images).any()


def test_identity_is_what_is_in_the_folder(folder, tmp_path):
    domain = load_domain(f"folder:{folder}")
    moved = tmp_path / "elsewhere"
    shutil.copytree(folder, moved)
    assert load_domain(f"folder:{moved}").digest == domain.digest
    os.rename(moved / "cat" / "0.png", moved / "cat" / "00.png")
    assert load_domain(f"folder:{moved}").digest != domain.digest
    noisy = load_domain(f"folder:{folder}+noise:2")
    assert noisy.identity.name == "folder:+noise:2"
    assert noisy.name == f"folder:{folder}+noise:2"


def test_a_plus_in_the_name_of_a_folder(folder, tmp_path):
    odd = tmp_path / "cats+dogs"
    os.rename(folder, odd)
    assert load_domain(f"folder:{odd}").n_images == 30
    with pytest.raises(MurineError, match="no corruption 'birds'"):
        load_domain(f"folder:{tmp_path}/cats+birds")


def test_a_folder_with_a_split_keeps_it(folder, tmp_path):
    split = tmp_path / "split"
    shutil.copytree(folder, split / "train")
    shutil.copytree(folder, split / "test", ignore=shutil.ignore_patterns("[1-9].png"))
    domain = load_domain(f"folder:{split}")
    assert (domain.part("train").n_images, domain.part("test").n_images) == (30, 3)
    # The same bytes on both sides are of one group, so that a leak shows.
    assert set(domain.part("test").groups.tolist()) < set(domain.part("train").groups.tolist())
    shutil.rmtree(split / "test" / "emu")
    with pytest.raises(MurineError, match=r"test' has no images of emu, which the other part has"):
        load_domain(f"folder:{split}")


def test_copies_are_never_on_two_sides(folder):
    for i in range(10):
        for copy in "ab":
            shutil.copy(folder / "dog" / f"{i}.png", folder / "dog" / f"{i}{copy}.png")
    domain = load_domain(f"folder:{folder}")
    assert domain.n_images == 50
    sides = [set(domain.part(part).groups.tolist()) for part in ("train", "test")]
    assert not sides[0] & sides[1]


def test_modes_of_images(tmp_path):
    """Grey, palette, transparent, two levels, sixteen bits, turned by the camera: all as one would see them."""
    grey = np.arange(0, 256, dtype=np.uint8).reshape(16, 16)
    coloured = np.stack([grey, grey[::-1], grey.T], axis=2)
    clear = np.dstack([coloured, np.where(np.arange(16)[:, None] < 8, 0, 255) * np.ones((1, 16))]).astype(np.uint8)
    root = tmp_path / "modes"
    save(root / "a" / "grey.png", grey)
    save(root / "b" / "0_sixteen.png", grey.astype(np.uint16) * 257)
    save(root / "b" / "1_clear.png", clear)
    save(root / "b" / "2_palette.gif", grey)
    save(root / "b" / "3_levels.png", np.where(grey > 127, 255, 0).astype(np.uint8), "1")
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    save(root / "b" / "4_turned.png", coloured, exif=exif)
    images = load_domain(f"folder:{root}", preparation=Preparation(size=16)).images
    plain = np.repeat(grey[..., None], 3, axis=2)
    assert (images[0] == plain).all()
    assert (images[1] == plain).all()
    assert (images[2][:8] == 255).all()
    assert (images[2][8:] == coloured[8:]).all()
    assert (images[3] == plain).all()
    assert (images[4] == np.where(plain > 127, 255, 0)).all()
    assert (images[5] == np.rot90(coloured, -1)).all()


def test_what_other_systems_leave_is_neither_image_nor_class(folder):
    """A folder that came from a Mac, in an archive, or from a network drive: the same domain."""
    whole = load_domain(f"folder:{folder}").digest
    for where in (folder, folder / "cat", folder / "__MACOSX", folder / "@eaDir"):
        where.mkdir(exist_ok=True)
        (where / "._0.png").write_bytes(b"\0\5\x16\7" + bytes(60))
        (where / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
        (where / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    shutil.copy(folder / "cat" / "0.png", folder / "@eaDir" / "0.png")
    (folder / "dog" / "folder.png").mkdir()
    assert load_domain(f"folder:{folder}").digest == whole


def test_a_companion_folder_does_not_hide_the_split(folder, tmp_path):
    split = tmp_path / "split"
    shutil.copytree(folder, split / "train")
    shutil.copytree(folder, split / "test", ignore=shutil.ignore_patterns("[1-9].png"))
    (split / "__MACOSX" / "train").mkdir(parents=True)
    assert load_domain(f"folder:{split}").part("test").n_images == 3


def test_images_that_cannot_be_read_are_named(folder):
    whole = (folder / "dog" / "7.png").read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"no image", whole[:60] + b"\0" * 20 + whole[80:]):
        (folder / "dog" / "7.png").write_bytes(content)
        with pytest.raises(MurineError, match=r"dog/7\.png' is no readable image \(.+Mend it, or take it out"):
            load_domain(f"folder:{folder}")
    (folder / "dog" / "7.png").write_bytes(whole)
    levels = np.full((9, 9), np.nan, np.float32)
    save(folder / "emu" / "nan.tif", levels)
    with pytest.raises(MurineError, match=r"emu/nan\.tif' holds NaN or levels outside of 0 to 1"):
        load_domain(f"folder:{folder}")


def test_an_image_that_would_take_all_memory_is_refused(folder, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(MurineError, match=r"cat/0\.png' is no readable image \(Image size \(320 pixels\) exceeds"):
        load_domain(f"folder:{folder}")


def test_folders_that_are_no_domain(folder, tmp_path):
    with pytest.raises(MurineError, match=r"there is no folder '.*nowhere'; expected one with a subfolder"):
        load_domain(f"folder:{tmp_path / 'nowhere'}")
    with pytest.raises(MurineError, match=r"has 0 classes of images; expected at least two"):
        load_domain(f"folder:{folder / 'cat'}")
    for name in ("dog", "emu"):
        shutil.rmtree(folder / name)
    (folder / "empty").mkdir()
    with pytest.raises(
        MurineError, match=r"has 1 class of images \(cat\); expected at least two .*nothing to tell apart"
    ):
        load_domain(f"folder:{folder}")
