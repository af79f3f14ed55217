"""Scene templates: what is refused, that they are kept once, and the warp against AllenSDK's own answers.

``tests/reference/allensdk_warp.npz`` holds those answers; the script of that name made them.
"""

from __future__ import annotations

import importlib.util
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from murine.cortex import shared_arrays
from murine.cortex.allen import screen
from murine.cortex.allen.templates import (
    SCENE_IDS,
    Templates,
    displayed,
    natural_scenes,
    scene_digests,
    scene_images,
    tiff_images,
)
from murine.errors import MurineError
from murine.stimuli import StimulusSet

REFERENCE = Path(__file__).parents[1] / "reference" / "allensdk_warp.py"
_spec = importlib.util.spec_from_file_location("allensdk_warp", REFERENCE)
reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference)


@pytest.fixture(scope="module")
def oracle():
    with np.load(REFERENCE.with_suffix(".npz")) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def origins():
    return screen.shown_from()


def small_scenes(seed=0, shape=(6, 8)):
    return np.random.default_rng(seed).integers(0, 256, (118, *shape), dtype=np.uint8)


def write_stack(file, stack, **options):
    with h5py.File(file, "w") as opened:
        opened.create_dataset("scenes/data", data=stack, **options)
    return file


# Reading


@pytest.mark.parametrize("dtype", [np.float32, np.float64, ">f4", np.float16, np.uint8, np.int16, np.int64])
def test_whole_numbers_of_any_dtype_become_grey_levels(dtype):
    scenes = small_scenes()
    read = scene_images(scenes.astype(dtype))
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, scenes)


@pytest.mark.parametrize("chunks", [None, (1, 6, 8), (7, 3, 8), (118, 6, 8)])
def test_datasets_are_read_in_any_layout(tmp_path, chunks):
    scenes = small_scenes()
    file = write_stack(tmp_path / "a.nwb", scenes.astype(np.float32), chunks=chunks)
    with h5py.File(file) as opened:
        np.testing.assert_array_equal(scene_images(opened["scenes/data"]), scenes)


def test_the_real_size_is_never_held_whole(tmp_path):
    size = (118, *screen.TEMPLATE)
    levels = np.arange(118, dtype=np.float32)
    with h5py.File(tmp_path / "a.nwb", "w") as opened:
        data = opened.create_dataset("data", size, np.float32, chunks=(4, *screen.TEMPLATE), compression=1)
        for start in range(0, 118, 4):
            block = levels[start : start + 4]
            data[start : start + 4] = np.broadcast_to(block[:, None, None], (len(block), *screen.TEMPLATE)).copy()
        tracemalloc.start()
        try:
            digests = scene_digests(data)
            largest_of_digests = tracemalloc.get_traced_memory()[1]
            images = scene_images(data)
            largest = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert images.shape == size
    assert (images == levels[:, None, None]).all()
    assert len(set(digests)) == 118
    assert largest_of_digests < 64e6
    assert largest < images.nbytes + 64e6


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (np.nan, "from nan to nan"),
        (np.inf, "to inf"),
        (-1, "from -1 to"),
        (256, "to 256"),
        (12.5, "no whole numbers, such as 12.5"),
        (254.99999, "no whole numbers"),
    ],
)
def test_what_is_no_grey_level_is_refused_with_its_scene(tmp_path, value, reason):
    scenes = small_scenes().astype(np.float32)
    scenes[93, 2, 3] = value
    with h5py.File(write_stack(tmp_path / "b.nwb", scenes, chunks=(5, 6, 8))) as opened:
        with pytest.raises(MurineError, match=rf"scene_093 of '.*b\.nwb', /scenes/data has .*{reason}"):
            scene_images(opened["scenes/data"])
        with pytest.raises(MurineError, match="scene_093"):
            scene_digests(opened["scenes/data"])


@pytest.mark.parametrize("shape", [(117, 6, 8), (118, 48), (118, 6, 8, 1), (118, 0, 8), (118, 1201, 1), (118, 1, 1921)])
def test_other_shapes_are_refused_before_anything_is_read(shape):
    stack = np.broadcast_to(np.float32(0), shape)
    with pytest.raises(MurineError, match=r"have the shape .*; expected \(118, height, width\)"):
        scene_images(stack)


def test_a_huge_dataset_is_refused_without_allocating(tmp_path):
    with h5py.File(tmp_path / "a.nwb", "w") as opened:
        data = opened.create_dataset("data", (118, 10**6, 10**6), np.float32, chunks=(1, 1000, 1000))
        with pytest.raises(MurineError, match="at most 1200 x 1920"):
            scene_images(data)
        padded = opened.create_dataset("b", (118, 6, 8), np.float32, chunks=(200, 500, 500), maxshape=(None,) * 3)
        with pytest.raises(MurineError, match=r"in pieces of \(200, 500, 500\)"):
            scene_images(padded)


@pytest.mark.parametrize("dtype", ["S3", bool, complex])
def test_what_are_no_numbers_is_refused(dtype):
    with pytest.raises(MurineError, match="expected numbers from 0 to 255"):
        scene_images(np.zeros((118, 2, 2), dtype))


def test_a_damaged_chunk_is_named(tmp_path):
    file = write_stack(tmp_path / "a.nwb", small_scenes().astype(np.float32), chunks=(1, 6, 8), compression=4)
    with h5py.File(file) as opened:
        where = opened["scenes/data"].id.get_chunk_info_by_coord((40, 0, 0)).byte_offset
    content = bytearray(file.read_bytes())
    content[where : where + 20] = b"\xff" * 20
    file.write_bytes(content)
    with (
        h5py.File(file) as opened,
        pytest.raises(MurineError, match=r"scene_040 on of '.*a\.nwb', /scenes/data cannot be read"),
    ):
        scene_images(opened["scenes/data"])


def test_digests_tell_which_scenes_differ():
    scenes = small_scenes()
    digests = scene_digests(scenes)
    assert digests == scene_digests(scenes.astype(np.float32))
    scenes[[3, 70], 0, 0] ^= 1
    assert [k for k, (a, b) in enumerate(zip(digests, scene_digests(scenes), strict=True)) if a != b] == [3, 70]
    assert not set(digests) & set(scene_digests(small_scenes().reshape(118, 8, 6)))


# Kept once


def test_templates_are_kept_once_and_compared(tmp_path):
    scenes = small_scenes()
    templates = Templates(tmp_path / "cache")
    assert templates.keep(scenes.astype(np.float32), "1.nwb")
    written = templates.file.stat()
    assert not templates.keep(scenes.astype(np.float32), "2.nwb")
    now = templates.file.stat()  # its time of access may change
    assert (now.st_ino, now.st_mtime_ns, now.st_size) == (written.st_ino, written.st_mtime_ns, written.st_size)
    np.testing.assert_array_equal(Templates(tmp_path / "cache").images(), scenes)
    assert templates.stimuli().digest == natural_scenes(scenes).digest
    assert [f.name for f in templates.file.parent.iterdir()] == ["natural_scenes.npz"]


def test_different_templates_name_both_files_and_the_scenes(tmp_path):
    scenes = small_scenes()
    templates = Templates(tmp_path)
    one = write_stack(tmp_path / "one.nwb", scenes.astype(np.float32))
    scenes[[5, 6, 117], 1, 1] ^= 128
    two = write_stack(tmp_path / "two.nwb", scenes.astype(np.float32))
    with h5py.File(one) as opened:
        templates.keep(opened["scenes/data"])
    with (
        h5py.File(two) as opened,
        pytest.raises(
            MurineError, match=r"two\.nwb.* are not those of .*one\.nwb.*3 of 118 .*scene_005, scene_006, scene_117"
        ),
    ):
        templates.keep(opened["scenes/data"])
    with pytest.raises(MurineError, match=r"those of .*one\.nwb.* \(118, 6, 8\)"):
        templates.keep(small_scenes(shape=(6, 9)), "three.nwb")
    with h5py.File(one) as opened:
        assert not templates.keep(opened["scenes/data"])


def test_templates_that_cannot_be_read_leave_nothing(tmp_path):
    scenes = small_scenes().astype(np.float32)
    scenes[100, 0, 0] = 0.5
    templates = Templates(tmp_path)
    with pytest.raises(MurineError, match="scene_100 of bad"):
        templates.keep(scenes, "bad")
    assert not list(tmp_path.iterdir())
    with pytest.raises(MurineError, match="no natural scenes in"):
        templates.images()


def test_a_damaged_store_is_refused(tmp_path):
    templates = Templates(tmp_path)
    templates.keep(small_scenes(), "1.nwb")
    whole = templates.file.read_bytes()
    templates.file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MurineError, match="no readable npz"):
        templates.keep(small_scenes(), "2.nwb")
    for wrong in (
        {"images": small_scenes(), "ids": np.array(SCENE_IDS[::-1])},
        {"images": small_scenes()},
        {"images": small_scenes().astype(float), "ids": np.array(SCENE_IDS)},
        {"images": small_scenes()[:5], "ids": np.array(SCENE_IDS)},
    ):
        np.savez(templates.file, **wrong)
        with pytest.raises(MurineError, match="Delete it"):
            templates.images()


# As stimuli


def test_ids_and_groups_are_those_of_the_shared_scenes(shared_data):
    known = shared_arrays.natural_scenes(shared_data)
    scenes = natural_scenes(known.images)
    assert (scenes.ids, scenes.groups, scenes.digest) == (known.ids, known.groups, known.digest)


def test_unwarped_scenes_are_the_templates():
    scenes = small_scenes()
    np.testing.assert_array_equal(natural_scenes(scenes).images, scenes)


def test_sizes_are_means_of_areas():
    scenes = small_scenes(shape=(12, 20))
    means = scenes.reshape(118, 4, 3, 5, 4).mean(axis=(2, 4))
    reduced = natural_scenes(scenes, size=(4, 5)).images
    assert reduced.shape == (118, 4, 5)
    assert np.abs(reduced - means).max() <= 0.5001
    np.testing.assert_array_equal(natural_scenes(scenes, size=(12, 20)).images, scenes)


def test_reduced_scenes_are_close_to_the_native_pixels(shared_data):
    """Scenes 0-58 are enlargements of known pixels: 3.97 times, so that areas and pixels do not quite coincide."""
    native = shared_arrays.natural_scenes(shared_data).images
    index = np.load(shared_data / "allen_natural_scenes" / "fullres_index_scenes_0_58.npz")
    shown = native[:, index["rows"]][:, :, index["cols"]]
    reduced = natural_scenes(shown, size=native.shape[1:]).images
    for k in (0, 30, 58):
        assert np.corrcoef(reduced[k].ravel(), native[k].ravel())[0, 1] > 0.95


def test_the_mask_paints_what_was_never_seen():
    rng = np.random.default_rng(0)
    scene = rng.integers(128, 256, screen.TEMPLATE, dtype=np.uint8)
    masked = natural_scenes(np.broadcast_to(scene, (118, *screen.TEMPLATE)), mask=True)
    assert masked.name == "natural scenes, masked"
    visible = screen.visible()
    assert (masked.images[60][~visible] == 127).all()
    np.testing.assert_array_equal(masked.images[60][visible], scene[visible])


def test_warped_scenes(origins):
    shapes = np.zeros((3, *screen.TEMPLATE), np.uint8)
    for k in range(3):
        shapes[k, 300 * k : 300 * k + 290, 400 * k : 400 * k + 300] = 100 + 70 * k
    scenes = StimulusSet(shapes, ("scene_000", "scene_060", "scene_117"), ("a", "b", "b"), "three scenes")
    whole = displayed(scenes, warp=True)
    assert (whole.ids, whole.groups, whole.name) == (scenes.ids, scenes.groups, "three scenes, warped")
    np.testing.assert_array_equal(whole.images, [screen.warped(shape, origins) for shape in shapes])
    reduced = displayed(scenes, warp=True, size=(120, 192))
    means = whole.images.reshape(3, 120, 10, 192, 10).mean(axis=(2, 4))
    assert reduced.images.shape == (3, 120, 192)
    assert np.abs(reduced.images - means).max() <= 0.5001


def test_colour_is_refused():
    colour = StimulusSet(np.zeros((1, 6, 8, 3), np.uint8), ("a",))
    with pytest.raises(MurineError, match="in colour"):
        displayed(colour, size=(3, 4))


@pytest.mark.parametrize(
    ("shape", "options", "reason"),
    [
        ((6, 8), {"warp": True}, "templates of 918 x 1174 pixels .* these are 6 x 8"),
        ((6, 8), {"mask": True}, "these are 6 x 8"),
        ((6, 8), {"warp": True, "mask": True}, "Choose one"),
        ((6, 8), {"size": (7, 8)}, "6 x 8 .* cannot be reduced to 7 x 8"),
        ((6, 8), {"size": (0, 8)}, "cannot be reduced to 0 x 8"),
    ],
)
def test_options_that_make_no_sense(shape, options, reason):
    with pytest.raises(MurineError, match=reason):
        natural_scenes(small_scenes(shape=shape), **options)
    with pytest.raises(MurineError, match="found 117 natural scenes"):
        natural_scenes(small_scenes(shape=shape)[1:])


# The screen


def test_equal_distances_in_the_picture_are_equal_angles(origins):
    """Every pixel's angle from the line of sight, by vectors in space, over its distance in the picture."""
    height, width = (cm / n for cm, n in zip(screen.WARP_CM, screen.SCREEN, strict=True))
    rows, columns = np.mgrid[:1200:7, :1920:7]
    places = np.stack([(rows - 600) * height, (columns - 960) * width, np.full(rows.shape, 15.0)])
    angles = np.degrees(np.arccos(places[2] / np.linalg.norm(places, axis=0)))
    distances = np.hypot(*origins[:, ::7, ::7])
    np.testing.assert_allclose(angles, 0.10327 * distances, rtol=1e-4, atol=1e-5)
    # the same direction from the centre
    np.testing.assert_allclose(origins[0, ::7, ::7] * (columns - 960), origins[1, ::7, ::7] * (rows - 600), atol=1e-6)
    # the whole screen: 94 x 120 degrees
    assert 2 * angles[0, columns[0] == 959].item() == pytest.approx(94.5, abs=0.1)
    assert 2 * angles[rows[:, 0] == 602, 0].item() == pytest.approx(120, abs=0.1)


def test_origins_equal_allensdk(origins, oracle):
    step = reference.STEP
    ours = origins[:, ::step, ::step] + np.reshape((600, 960), (2, 1, 1))
    np.testing.assert_allclose(ours, oracle["origins"], rtol=0, atol=1e-8)


@pytest.mark.parametrize("picture", ["noise", "scene"])
def test_the_warp_equals_allensdk(picture, origins, oracle, request):
    if picture == "noise":
        template = reference.noise()
    else:
        template = reference.scene(request.getfixturevalue("shared_data") / "allen_natural_scenes")
    ours = screen.warped(template, origins).astype(np.int64)
    for axis, of_lines, lines in ((0, "rows", reference.ROWS), (1, "columns", reference.COLUMNS)):
        theirs = oracle[f"{picture}_{of_lines}"].astype(np.int64)
        assert np.abs(ours.take(lines, axis=axis) - theirs).max() <= 1
        # every pixel counts in a sum; a rounding may differ here and there
        sums = oracle[f"{picture}_{of_lines[:-1]}_sums"].astype(np.int64)
        assert np.abs(ours.sum(axis=1 - axis) - sums).max() <= 3


def test_the_mask_equals_allensdk(oracle):
    whole = np.zeros(screen.SCREEN, dtype=bool)
    for row, first, last in oracle["mask"].T:
        whole[row, first : last + 1] = True
    np.testing.assert_array_equal(screen.visible(), whole[screen.PLACE])
    assert screen.visible().sum() == whole.sum() == 931286
    assert screen.visible().mean() == pytest.approx(0.864, abs=5e-4)


def test_grey_stays_grey(origins):
    grey = np.full(screen.TEMPLATE, screen.GREY, np.uint8)
    assert (screen.warped(grey, origins) == screen.GREY).all()


# TIFF files of the Neuropixels sessions


def write_tiffs(folder, scenes, **options):
    folder.mkdir(exist_ok=True)
    for k, scene in enumerate(scenes):
        Image.fromarray(scene).save(folder / f"natural_scene_{k}.tiff", **options)
    return folder


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate"])
def test_tiffs_give_the_same_stimuli(tmp_path, compression):
    scenes = small_scenes(shape=(9, 11))
    read = tiff_images(write_tiffs(tmp_path, scenes, compression=compression))
    assert natural_scenes(read).digest == natural_scenes(scenes).digest


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint16])
def test_tiffs_of_other_depths_must_hold_grey_levels(tmp_path, dtype):
    scenes = small_scenes().astype(dtype)
    np.testing.assert_array_equal(tiff_images(write_tiffs(tmp_path, scenes)), scenes)
    scenes[50, 0, 0] = 300
    with pytest.raises(MurineError, match=r"natural_scene_50\.tiff' has values from"):
        tiff_images(write_tiffs(tmp_path, scenes))


def test_missing_tiffs_are_named(tmp_path):
    write_tiffs(tmp_path, small_scenes())
    (tmp_path / "natural_scene_7.tiff").unlink()
    (tmp_path / "natural_scene_110.tiff").unlink()
    with pytest.raises(MurineError, match=r"2 of the 118 .*natural_scene_7\.tiff, natural_scene_110\.tiff"):
        tiff_images(tmp_path)
    with pytest.raises(MurineError, match="118 of the 118"):
        tiff_images(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (np.zeros((6, 9), np.uint8), r"natural_scene_3\.tiff is 6 x 9"),
        (np.zeros((6, 8, 3), np.uint8), r"natural_scene_3\.tiff' is a picture of mode RGB"),
        (np.zeros((1201, 8), np.uint8), "1201 x 8 .* no larger than the screen"),
    ],
)
def test_odd_tiffs_are_named(tmp_path, picture, reason):
    write_tiffs(tmp_path, small_scenes())
    Image.fromarray(picture).save(tmp_path / "natural_scene_3.tiff")
    with pytest.raises(MurineError, match=reason):
        tiff_images(tmp_path)


def test_a_tiff_of_two_pictures_is_refused(tmp_path):
    scenes = small_scenes()
    write_tiffs(tmp_path, scenes)
    Image.fromarray(scenes[0]).save(
        tmp_path / "natural_scene_0.tiff", save_all=True, append_images=[Image.fromarray(scenes[1])]
    )
    with pytest.raises(MurineError, match="holds 2 pictures"):
        tiff_images(tmp_path)


@pytest.mark.parametrize("pixels", [10**4, 10**5])
def test_decompression_bombs_are_refused(tmp_path, pixels):
    """A small file that says it is huge: larger than Pillow warns of, and larger than it opens."""
    write_tiffs(tmp_path, small_scenes())
    bomb = Image.new("L", (123, 123)).tobytes()
    file = tmp_path / "natural_scene_0.tiff"
    Image.frombytes("L", (123, 123), bomb).save(file)
    content = file.read_bytes()
    assert content.count((123).to_bytes(4, "little")) >= 2
    file.write_bytes(content.replace((123).to_bytes(4, "little"), pixels.to_bytes(4, "little")))
    tracemalloc.start()
    try:
        with pytest.raises(MurineError, match=r"natural_scene_0\.tiff'.*(no larger than the screen|bomb)"):
            tiff_images(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()


def test_damaged_tiffs_are_refused_or_read_but_never_crash(tmp_path):
    write_tiffs(tmp_path, small_scenes(), compression="tiff_adobe_deflate")
    file = tmp_path / "natural_scene_0.tiff"
    whole = file.read_bytes()
    for content in (b"", b"no picture", whole[:20], whole[: len(whole) // 2]):
        file.write_bytes(content)
        with pytest.raises(MurineError, match=r"natural_scene_0\.tiff' cannot be read as a TIFF"):
            tiff_images(tmp_path)
    rng = np.random.default_rng(0)
    errors = []
    for _ in range(60):
        mutated = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            mutated[place] = rng.integers(256)
        file.write_bytes(mutated)
        try:
            assert tiff_images(tmp_path).shape == (118, 6, 8)
        except MurineError as error:
            errors.append(str(error))
    assert len(errors) > 20
    assert all("natural_scene_0.tiff" in error for error in errors)
