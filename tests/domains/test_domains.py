"""The six shared domains against what their source says of them, and what keeps two sides of a split apart."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from murine.domains import digits
from murine.domains.catalogue import DataFolders, domains, is_here, load_domain, require_name
from murine.domains.domain import Domain, Identity, common_classes, excluding
from murine.domains.preparation import Preparation
from murine.domains.raw_images import drawn_parts
from murine.errors import MurineError

SHARED = ("mnist", "usps", "mnist-m", "semeion", "fonts", "street")


@pytest.fixture(scope="module")
def loaded(shared_data: Path) -> dict[str, Domain]:
    return {name: load_domain(name, data=shared_data) for name in SHARED}


def made(n: int = 12, name: str = "made", classes: tuple[str, ...] = ("a", "b", "c"), **changed: object) -> Domain:
    """A domain of noise."""
    rng = np.random.default_rng(0)
    identity = Identity(name=name, sources=(("noise", "0"),), preparation=Preparation(size=8))
    columns: dict[str, object] = {
        "images": rng.integers(0, 256, (n, 8, 8, 3)).astype(np.uint8),
        "labels": np.arange(n) % len(classes),
        "parts": np.array(["train", "test"])[np.arange(n) % 4 // 3],
        "groups": np.array([f"g{i}" for i in range(n)]),
        "positions": np.arange(n),
    }
    return Domain(name=name, classes=classes, identity=identity, **(columns | changed))


def test_sizes_are_those_of_the_registry(loaded):
    for name, domain in loaded.items():
        assert domain.images.shape == (domain.n_images, 32, 32, 3)
        assert (domain.part("train").n_images, domain.part("test").n_images) == (
            domains[name].n_train,
            domains[name].n_test,
        )
        assert domain.classes == tuple("0123456789")
        for part in ("train", "test"):
            assert len(np.unique(domain.part(part).labels)) == 10


def test_usps_has_the_published_counts_of_classes(loaded):
    counts = {part: np.bincount(loaded["usps"].part(part).labels).tolist() for part in ("train", "test")}
    assert counts["train"] == [1194, 1005, 731, 658, 652, 556, 664, 645, 542, 644]
    assert counts["test"] == [359, 264, 198, 166, 200, 160, 170, 147, 166, 177]


def test_mnist_is_in_the_original_order(loaded):
    """The first labels of the official files are printed in every tutorial."""
    assert loaded["mnist"].part("train").labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert loaded["mnist"].part("test").labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert loaded["mnist"].part("test").groups[:2].tolist() == ["mnist-test-0", "mnist-test-1"]


def test_images_are_what_pillow_makes_of_the_source(loaded, shared_data):
    with np.load(shared_data / "digits" / "mnist.npz") as stored:
        source, label = stored["x_test"][17], int(stored["y_test"][17])
    expected = np.asarray(Image.fromarray(source).resize((32, 32), Image.Resampling.BILINEAR))
    test = loaded["mnist"].part("test")
    assert test.labels[17] == label
    assert all((test.images[17, :, :, channel] == expected).all() for channel in range(3))
    with np.load(shared_data / "digits" / "usps.npz") as stored:
        source = np.rint(stored["x_test"][5] / 2000 * 255).astype(np.uint8)
    expected = np.asarray(Image.fromarray(source).resize((32, 32), Image.Resampling.BILINEAR))
    assert (loaded["usps"].part("test").images[5, :, :, 0] == expected).all()


def test_tiles_are_where_the_table_says(loaded, shared_data):
    sheet = np.asarray(Image.open(shared_data / "digits" / "mnist_m_subset.png").convert("RGB"))
    assert (loaded["mnist-m"].images[26] == sheet[32:64, 32:64]).all()
    sheet = np.asarray(Image.open(shared_data / "digits" / "street_chars.png").convert("RGB"))
    assert (loaded["street"].images[16] == sheet[32:64, 32:64]).all()


def test_a_tile_is_the_mnist_image_of_its_group(loaded):
    """The strokes of a blended digit differ from their surroundings where MNIST's digit is: far more alike to the image
    of the same group than to others of the same class."""
    tiles, mnist = loaded["mnist-m"], loaded["mnist"].part("test")
    place = {group: i for i, group in enumerate(mnist.groups.tolist())}
    assert set(tiles.groups.tolist()) <= set(place)

    def edges(image: np.ndarray) -> np.ndarray:
        grey = image.astype(float).mean(axis=2)
        steps = np.hypot(np.diff(grey, axis=0)[:, 1:], np.diff(grey, axis=1)[1:])
        return (steps - steps.mean()).ravel() / steps.std()

    own, other = [], []
    for i in range(200):
        mine = place[str(tiles.groups[i])]
        assert mnist.labels[mine] == tiles.labels[i]
        same = np.flatnonzero(mnist.labels == tiles.labels[i])
        stranger = same[(np.searchsorted(same, mine) + 1) % len(same)]
        own.append(edges(tiles.images[i]) @ edges(mnist.images[mine]))
        other.append(edges(tiles.images[i]) @ edges(mnist.images[stranger]))
    assert np.mean(np.array(own) > np.array(other)) > 0.9
    assert np.mean(own) > 1.5 * np.mean(other)


def test_no_group_is_on_two_sides(loaded):
    for domain in loaded.values():
        sides = [set(domain.part(part).groups.tolist()) - {""} for part in ("train", "test")]
        assert not sides[0] & sides[1]


def test_a_typeface_is_four_fonts_with_all_digits(loaded):
    fonts = loaded["fonts"]
    names, counts = np.unique(fonts.groups, return_counts=True)
    assert len(names) == 254
    assert set(counts.tolist()) == {40}
    assert len(set(fonts.part("test").groups.tolist())) == 51  # a fifth of 254


def test_what_was_trained_on_leaves_the_target(loaded):
    mnist, tiles = loaded["mnist"], loaded["mnist-m"]
    left = excluding(mnist.part("test"), tiles.part("train"))
    assert left.n_images == 10000 - 1000
    assert not set(left.groups.tolist()) & set(tiles.part("train").groups.tolist())
    assert excluding(tiles, mnist.part("train")) is tiles  # made of MNIST's test images
    picked = mnist.part("test").subset(np.arange(500))
    assert excluding(tiles, picked).n_images == 2000 - len(set(picked.groups.tolist()) & set(tiles.groups.tolist()))
    with pytest.raises(MurineError, match=r"every image of 'mnist-m' is of a group that was trained on"):
        excluding(tiles, mnist.part("test"))
    assert excluding(loaded["street"], loaded["street"]) is loaded["street"]  # '' is alone


def test_identity_tells_source_preparation_part_and_subset(shared_data):
    whole = load_domain("street", data=shared_data)
    digests = {
        whole.digest,
        whole.part("test").digest,
        whole.subset([0, 1]).digest,
        whole.subset([1, 0]).digest,
        load_domain("street", preparation=Preparation(fit="pad"), data=shared_data).digest,
        load_domain("street+noise:1", data=shared_data).digest,
        load_domain("street+noise:2", data=shared_data).digest,
        load_domain("semeion", data=shared_data).digest,
    }
    assert len(digests) == 8
    assert len(whole.digest) == 32
    again = load_domain("street", preparation=Preparation(), data=shared_data)
    assert again.digest == whole.digest
    assert (again.images == whole.images).all()


@pytest.mark.parametrize("name", ["semeion", "street+noise:2+blur:3"])
def test_a_part_is_the_same_loaded_alone(name, shared_data):
    part = load_domain(name, data=shared_data).part("test")
    alone = load_domain(name, part="test", data=shared_data)
    assert alone.digest == part.digest
    assert alone.name == name
    for what in ("images", "labels", "parts", "groups", "positions"):
        assert (getattr(alone, what) == getattr(part, what)).all()
    assert alone.part("test") is alone


def test_subsets_of_subsets_count_from_the_whole():
    domain = made()
    twice = domain.subset([8, 3, 5]).subset(np.array([False, True, True]))
    assert twice.positions.tolist() == [3, 5]
    assert (twice.images == domain.images[[3, 5]]).all()
    assert twice.digest == domain.subset([3, 5]).digest
    assert domain.subset([8, 3, 5]).part("test").positions.tolist() == [3]


@pytest.mark.usefixtures("unchecked")
def test_wrong_subsets_and_parts():
    domain = made()
    for index in ([12], [-1], [0, 0], [0.5], [[1]], np.zeros(3, dtype=bool)):
        with pytest.raises(MurineError, match="made"):
            domain.subset(index)
    with pytest.raises(MurineError, match="expected train or test"):
        domain.part("validation")
    with pytest.raises(MurineError, match="no image in its part 'test'"):
        domain.subset([0, 1]).part("test")
    with pytest.raises(MurineError, match="expected train or test"):
        load_domain("mnist", part="tests")


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"images": np.zeros((12, 8, 8, 3))}, "expected uint8"),
        ({"images": np.zeros((12, 8, 8), np.uint8)}, "expected uint8"),
        ({"images": np.zeros((12, 8, 9, 3), np.uint8)}, "expected uint8"),
        ({"labels": np.full(12, np.nan)}, "labels of 'made' have to be whole numbers"),
        ({"labels": np.full(12, 3)}, "from 0 to 2"),
        ({"labels": np.zeros(11, np.int64)}, "12 images of 'made' came with labels"),
        ({"groups": np.array([""])}, "came with groups"),
        ({"parts": np.array(["validation"] * 12)}, "parts called validation"),
        ({"classes": ("a",), "labels": np.zeros(12, np.int64)}, "nothing to tell apart"),
        ({"classes": ("a", "b", "a")}, "different names"),
    ],
)
def test_a_domain_that_is_none(changed, message):
    with pytest.raises(MurineError, match=message):
        made(**changed)


def test_classes_have_to_agree(loaded):
    assert common_classes(list(loaded.values())) == tuple("0123456789")
    letters = made(name="letters")
    with pytest.raises(MurineError, match=r"'letters' and 'fewer' differ: 'fewer' lacks c\. A network"):
        common_classes([letters, made(name="fewer", classes=("a", "b"))])
    with pytest.raises(MurineError, match=r"'more' differ: 'letters' lacks d"):
        common_classes([letters, made(name="more", classes=("a", "b", "c", "d"))])
    with pytest.raises(MurineError, match="their order is another"):
        common_classes([letters, made(name="turned", classes=("b", "a", "c"))])
    with pytest.raises(MurineError, match="no domain"):
        common_classes([])


def test_splits_are_drawn_by_group_and_class():
    labels = np.repeat(np.arange(5), 100)
    groups = np.array([f"{i // 2}" for i in range(500)])
    parts = drawn_parts(labels, groups, seed=3)
    assert (parts[::2] == parts[1::2]).all()
    assert [int((parts[labels == label] == "test").sum()) for label in range(5)] == [20] * 5
    assert (drawn_parts(labels, groups, seed=3) == parts).all()
    assert (drawn_parts(labels, groups, seed=4) != parts).any()
    alone = drawn_parts(labels, np.full(500, ""), seed=3, test=0.1)
    assert (alone == "test").sum() == 50


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnits", r"unknown domain 'mnits'; did you mean mnist"),
        ("mnist+niose:3", r"no corruption 'niose'; did you mean noise\?"),
        ("mnist+noise:6", r"'noise:6' has no strength from 1 to 5; expected as noise:3"),
        ("mnist+noise", "no strength from 1 to 5"),
        ("", "unknown domain ''"),
    ],
)
def test_names_that_no_domain_has(name, message):
    for refuse in (require_name, load_domain):
        with pytest.raises(MurineError, match=message):
            refuse(name)


def test_a_folder_without_its_prefix_is_told(tmp_path):
    with pytest.raises(MurineError, match=re.escape(f"give folder:{tmp_path}")):
        require_name(str(tmp_path))


def test_a_changed_file_is_told(shared_data, tmp_path):
    """Digests are compared at every reading: a number that moved shows."""
    folder = tmp_path / "digits"
    shutil.copytree(shared_data / "digits", folder)
    folder.chmod(0o755)
    file = folder / "semeion.npz"
    file.chmod(0o644)
    content = bytearray(file.read_bytes())
    content[1000] ^= 1
    file.write_bytes(content)
    found = hashlib.sha256(content).hexdigest()
    with pytest.raises(
        MurineError, match=rf"semeion\.npz' is not the published file: its SHA-256 is {found}, expected"
    ):
        load_domain("semeion", data=tmp_path)
    file.unlink()
    with pytest.raises(MurineError, match=r"semeion\.npz' cannot be read \(No such file or directory\)"):
        load_domain("semeion", data=tmp_path)
    assert load_domain("street", data=tmp_path).n_images == 885


def test_no_folder_of_digits(tmp_path):
    with pytest.raises(MurineError, match=r"found no digits in .*: expected a folder that holds data/digits/"):
        load_domain("usps", data=tmp_path)
    assert not is_here("usps", DataFolders(tmp_path, tmp_path))
    assert not is_here("mnist-m-made", DataFolders(tmp_path, tmp_path))
    assert not is_here("svhn", DataFolders(tmp_path, tmp_path))
    assert is_here("rendered-fonts", DataFolders(tmp_path, tmp_path))


def test_digits_are_found_as_other_data_are(shared_data, monkeypatch):
    monkeypatch.setenv("MURINE_SHARED", str(shared_data))
    assert digits.digits_folder() == shared_data / "digits"
    monkeypatch.setenv("MURINE_SHARED", str(shared_data.parent))
    assert digits.digits_folder() == shared_data.parent / "data" / "digits"


def test_blends_are_photographs_minus_digits(loaded, shared_data):
    """Where the digit is black the photograph is seen as it is; where it is white, its inverse."""
    from murine.domains.mnist_m import mnist_m_made

    whole = mnist_m_made(shared_data)
    with np.load(shared_data / "digits" / "mnist.npz") as stored:
        digit = stored["x_test"][3]
    blended = np.asarray(whole.images)[12000 + 3].astype(int)
    photos = [
        np.asarray(Image.open(f).convert("RGB")) for f in sorted((shared_data / "bsds_backgrounds").glob("*.jpg"))
    ]
    outside = digit == 0
    hits = []
    for number, photo in enumerate(photos):
        corner = blended[0, 0]  # the digit has a margin
        for top, left in np.argwhere((photo[: 1 - 28, : 1 - 28] == corner).all(axis=2)):
            crop = photo[top : top + 28, left : left + 28].astype(int)
            if (crop[outside] == blended[outside]).all():
                hits.append((number, crop))
    assert len(hits) == 1
    assert hits[0][0] >= 12  # test images get other photographs than training images
    assert (blended == np.abs(hits[0][1] - digit[..., None].astype(int))).all()
    assert (whole.groups == loaded["mnist"].groups).all()
    assert (whole.labels == loaded["mnist"].labels).all()
