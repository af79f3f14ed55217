"""Stimulus sets: what is in them decides their digest, and what cannot be labelled or read is refused."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest
from PIL import Image

from murine.errors import MurineError
from murine.io.files import read_npz
from murine.stimuli import StimulusSet


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (5, 6, 9), dtype=np.uint8)


@pytest.fixture
def stimuli(images):
    return StimulusSet(images, tuple("abcde"), ("x", "x", "y", "y", "y"), "letters")


def save(folder, images, names):
    folder.mkdir(exist_ok=True)
    for image, name in zip(images, names, strict=True):
        Image.fromarray(image).save(folder / name)
    return folder


def test_digest_is_that_of_the_content(images, stimuli):
    order = [3, 0, 4, 1, 2]
    again = StimulusSet(images[order].copy(order="F"), tuple("daebc"), (), "other name")
    assert again.digest == stimuli.digest  # neither order, groups, name nor memory layout count
    for i in range(5):
        other = images.copy()
        other[i, 5, 8] ^= 1
        assert StimulusSet(other, tuple("abcde")).digest != stimuli.digest
    assert StimulusSet(images, tuple("abced")).digest != stimuli.digest
    assert StimulusSet(images.reshape(5, 9, 6), tuple("abcde")).digest != stimuli.digest
    assert StimulusSet(images[:4], tuple("abcd")).digest != stimuli.digest
    assert StimulusSet(np.repeat(images[..., None], 3, axis=3), tuple("abcde")).digest != stimuli.digest


def test_digest_keeps_ids_apart():
    same = np.zeros((2, 1, 1), np.uint8)
    digests = {StimulusSet(same, ids).digest for ids in (("a", "bc"), ("ab", "c"), ("a", "b"), ("", "abc"))}
    assert len(digests) == 4


def test_select_takes_ids_in_the_order_asked_for(images, stimuli):
    chosen = stimuli.select(["e", "a", "c"])
    np.testing.assert_array_equal(chosen.images, images[[4, 0, 2]])
    assert (chosen.ids, chosen.groups, chosen.name) == (("e", "a", "c"), ("y", "x", "y"), "letters")
    assert stimuli.select("abcde").digest == stimuli.digest
    with pytest.raises(MurineError, match=r"2 of 3 stimuli have no image in 'letters': f, 7"):
        stimuli.select(["a", "f", "7"])


def test_floats_are_rounded_to_256_levels(images):
    for dtype in (np.float32, np.float64):
        again = StimulusSet.from_arrays((images / 255).astype(dtype), range(5))
        np.testing.assert_array_equal(again.images, images)
    halves = StimulusSet.from_arrays(np.array([0.0019, 0.002, 0.5, 1.0]).reshape(4, 1, 1), range(4))
    assert halves.images.ravel().tolist() == [0, 1, 128, 255]
    assert halves.ids == ("0", "1", "2", "3")


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": None}, "5 images came without ids"),
        ({"ids": tuple("abcd")}, "5 images .* came with 4 ids"),
        ({"ids": tuple("abcca")}, "more than once: a, c"),
        ({"groups": ("x",)}, "5 images .* came with 1 groups"),
        ({"images": np.full((5, 2, 2), np.nan)}, "5 of the 5 images of .* hold NaN"),
        ({"images": np.full((5, 2, 2), 1.01)}, "between 0 and 1; found 1.01 to 1.01"),
        ({"images": np.full((5, 2, 2), -0.1)}, "between 0 and 1"),
        ({"images": np.zeros((5, 2, 2), np.int64)}, "dtype int64"),
        ({"images": np.zeros((5, 4), np.uint8)}, r"shape \(5, 4\); expected"),
        ({"images": np.zeros((5, 2, 2, 4), np.uint8)}, r"shape \(5, 2, 2, 4\); expected"),
        ({"images": np.zeros((5, 0, 2), np.uint8)}, "shape"),
    ],
)
def test_arrays_that_cannot_be_used_are_refused(images, change, message):
    arguments = {"images": images, "ids": tuple("abcde"), "groups": ()} | change
    with pytest.raises(MurineError, match=message):
        StimulusSet.from_arrays(arguments.pop("images"), arguments.pop("ids"), **arguments)


def test_folder_of_grey_images(tmp_path, images, stimuli):
    read = StimulusSet.from_folder(save(tmp_path / "set", images, [f"{c}.png" for c in "abcde"]))
    np.testing.assert_array_equal(read.images, images)
    assert read.digest == stimuli.digest
    assert read.name == "set"


def test_one_colour_image_makes_the_set_colour(tmp_path, images):
    colour = np.random.default_rng(1).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    folder = save(tmp_path / "set", [images[0], colour, images[1]], ["a.png", "b.png", "c.png"])
    Image.fromarray(images[2]).convert("P").save(folder / "d.png")
    read = StimulusSet.from_folder(folder)
    assert read.images.shape == (4, 6, 9, 3)
    np.testing.assert_array_equal(read.images[1], colour)
    for i, grey in ((0, images[0]), (2, images[1]), (3, images[2])):
        np.testing.assert_array_equal(read.images[i], np.repeat(grey[..., None], 3, axis=2))


def test_pattern_chooses_files(tmp_path, images):
    folder = save(tmp_path / "set", images[:3], ["a.png", "b.bmp", "c.png"])
    assert StimulusSet.from_folder(folder).ids == ("a", "b", "c")
    assert StimulusSet.from_folder(folder, "*.png").ids == ("a", "c")
    assert StimulusSet.from_folder(folder, "*.bmp").ids == ("b",)
    with pytest.raises(MurineError, match=r"holds no image that matches '\*.jpg'"):
        StimulusSet.from_folder(folder, "*.jpg")
    with pytest.raises(MurineError, match="there is no folder"):
        StimulusSet.from_folder(folder / "a.png")


def test_image_of_another_size_is_named(tmp_path, images):
    folder = save(tmp_path / "set", [*images[:3], images[3][:, :7]], ["a.png", "b.png", "c.png", "odd.png"])
    with pytest.raises(MurineError, match=r"most are 9 x 6 \(width x height\), but odd.png is 7 x 6"):
        StimulusSet.from_folder(folder)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_more_than_8_bits_are_refused_and_not_clipped(tmp_path, dtype):
    ending = "png" if dtype == np.uint16 else "tif"
    save(tmp_path, [(np.arange(54).reshape(6, 9) * 1000).astype(dtype)], [f"a.{ending}"])
    with pytest.raises(MurineError, match="more than 8 bits"):
        StimulusSet.from_folder(tmp_path, f"*.{ending}")


def damaged(whole: bytes):
    """Every truncation, and every byte changed in two ways."""
    yield from (whole[:n] for n in range(len(whole)))
    for i in range(len(whole)):
        for bits in (0xFF, 0x20):
            yield whole[:i] + bytes([whole[i] ^ bits]) + whole[i + 1 :]


def test_a_damaged_image_is_a_clear_error_wherever_the_damage_is(tmp_path, images):
    file = save(tmp_path, images[:1, :3, :4], ["a.png"]) / "a.png"
    right = StimulusSet.from_folder(tmp_path).digest
    refused = 0
    for content in damaged(file.read_bytes()):
        file.write_bytes(content)
        try:
            assert StimulusSet.from_folder(tmp_path).digest == right  # in parts that nobody reads
        except MurineError as error:
            assert str(file) in str(error)  # noqa: PT017
            refused += 1
    assert refused > 100


def test_npz_round_trip(tmp_path, images, stimuli):
    np.savez(tmp_path / "letters.npz", images=images, ids=list("abcde"), groups=list("xxyyy"))
    read = StimulusSet.from_npz(tmp_path / "letters.npz")
    assert (read.digest, read.groups, read.name) == (stimuli.digest, stimuli.groups, "letters")
    np.savez(tmp_path / "other.npz", pictures=images, names=np.arange(5))
    read = StimulusSet.from_npz(tmp_path / "other.npz", images="pictures", ids="names")
    assert read.ids == ("0", "1", "2", "3", "4")
    with pytest.raises(MurineError, match="no array 'images'; it has pictures, names"):
        StimulusSet.from_npz(tmp_path / "other.npz")


def test_a_damaged_npz_is_a_clear_error_wherever_the_damage_is(tmp_path):
    file = tmp_path / "a.npz"
    np.savez_compressed(file, a=np.arange(3), b=np.ones(2))
    whole = read_npz(file)
    refused = 0
    for content in damaged(file.read_bytes()):
        file.write_bytes(content)
        try:
            arrays = read_npz(file)
        except MurineError as error:
            assert str(file) in str(error)  # noqa: PT017
            refused += 1
        else:  # an array may be lost with its entry in the directory, but none may change
            for key, values in arrays.items():
                np.testing.assert_array_equal(values, whole[key])
    assert refused > 500


def test_pickles_are_never_loaded(tmp_path):
    class Code:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").touch, ())

    np.savez(tmp_path / "a.npz", images=np.array([Code()], dtype=object), ids=np.array(["a"]))
    (tmp_path / "b.npz").write_bytes(pickle.dumps(Code()))
    plain = io.BytesIO()
    np.save(plain, np.arange(3))
    (tmp_path / "c.npz").write_bytes(plain.getvalue())
    for name in ("a.npz", "b.npz", "c.npz"):
        with pytest.raises(MurineError, match="no readable npz file"):
            StimulusSet.from_npz(tmp_path / name)
    assert not (tmp_path / "ran").exists()
    with pytest.raises(MurineError, match="there is no file"):
        StimulusSet.from_npz(tmp_path / "d.npz")


def test_groups_have_a_digest_of_their_own_that_order_does_not_change():
    images = np.arange(3 * 8 * 8, dtype=np.uint8).reshape(3, 8, 8)
    stimuli = StimulusSet.from_arrays(images, ["a", "b", "c"], groups=["x", "x", "y"])
    other = StimulusSet.from_arrays(images, ["a", "b", "c"], groups=["x", "y", "y"])
    assert stimuli.digest == other.digest
    assert stimuli.groups_digest != other.groups_digest
    assert stimuli.select(["c", "a", "b"]).groups_digest == stimuli.groups_digest
    assert StimulusSet.from_arrays(images, ["a", "b", "c"]).groups_digest == ""
