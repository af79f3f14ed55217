"""Image files are read as a viewer shows them, or refused in words; what is no image of the user's is left alone."""

from __future__ import annotations

import io
import os
import struct
import unicodedata
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from murine.errors import MurineError
from murine.io.image_files import ENDINGS, Picture, image_files, label_of, read_content, read_picture
from murine.stimuli import StimulusSet

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 9), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)

#: EXIF orientation -> what the camera stored, of the upright image.
STORED = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, 1),
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: np.rot90(x, -1),
}


def read(file: Path, *, exact: bool = False) -> Picture:
    return read_picture(read_content(file), file, exact=exact)


def png16(levels: np.ndarray, kind: int) -> bytes:
    """A PNG of 16 bits a channel; Pillow writes only grey ones. ``kind``: 0 grey, 2 RGB, 4 grey and alpha, 6 RGBA."""
    height, width = levels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)

    def part(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b"")


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "webp"])
@pytest.mark.parametrize("upright", [GREY, COLOUR], ids=["grey", "colour"])
def test_all_turns_of_a_camera_give_the_upright_image(tmp_path, upright, ending):
    """Stored as each of the eight orientations says; a lossy format is turned after it was decoded."""
    for orientation, stored in STORED.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        file = tmp_path / f"{orientation}.{ending}"
        options = {"lossless": True} if ending == "webp" else {}
        Image.fromarray(np.ascontiguousarray(stored(upright))).save(file, exif=exif, **options)
        expected = upright
        if ending == "jpg":
            with Image.open(file) as opened:
                decoded = np.asarray(opened)
            undo = {6: STORED[8], 8: STORED[6]}.get(orientation, stored)
            expected = undo(decoded)
        elif ending == "webp" and upright.ndim == 2:  # WebP has no grey images
            expected = np.repeat(upright[..., None], 3, axis=2)
        np.testing.assert_array_equal(read(file).pixels, expected)


def test_a_turned_photograph_is_as_large_as_it_is_shown(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.ascontiguousarray(np.rot90(COLOUR))).save(tmp_path / "b.png", exif=exif)
    Image.fromarray(COLOUR).save(tmp_path / "a.png")
    stimuli = StimulusSet.from_folder(tmp_path)
    np.testing.assert_array_equal(stimuli.images, [COLOUR, COLOUR])


def test_transparent_pixels_are_drawn_on_white(tmp_path, caplog):
    """By the definition of compositing, to half a level; what is fully hidden does not count at all."""
    alpha = np.linspace(0, 255, GREY.size).astype(np.uint8).reshape(GREY.shape)
    weight = alpha[..., None] / 255
    for name, image, hidden in (
        ("rgba", np.dstack([COLOUR, alpha]), COLOUR),
        ("grey", np.dstack([GREY, alpha]), GREY[..., None]),
    ):
        file = tmp_path / f"{name}.png"
        Image.fromarray(image).save(file)
        pixels = read(file).pixels
        assert pixels.ndim == (3 if name == "rgba" else 2)
        truth = hidden * weight + 255 * (1 - weight)
        assert np.abs(pixels.reshape(*GREY.shape, -1) - truth).max() <= 1
        assert pixels[0, 0].min() == 255
    with caplog.at_level("WARNING", "murine"):
        StimulusSet.from_folder(tmp_path)
    said = [record.getMessage() for record in caplog.records]
    assert said == ["2 of 2 images have transparent pixels, which are drawn on white: grey.png, rgba.png"]


def test_a_palette_with_a_transparent_colour(tmp_path):
    indices = (np.arange(54) % 4).reshape(6, 9).astype(np.uint8)
    image = Image.fromarray(indices, "L").convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120])
    for file, options in ((tmp_path / "a.png", {"transparency": 2}), (tmp_path / "a.gif", {"transparency": 2})):
        image.save(file, **options)
        table = np.array([[10, 20, 30], [40, 50, 60], [255, 255, 255], [100, 110, 120]], np.uint8)
        np.testing.assert_array_equal(read(file).pixels, table[indices])


def test_an_opaque_alpha_channel_changes_nothing_and_is_not_told(tmp_path, caplog):
    opaque = np.full(GREY.shape, 255, np.uint8)
    Image.fromarray(np.dstack([COLOUR, opaque])).save(tmp_path / "a.png")
    Image.fromarray(np.dstack([GREY, opaque])).save(tmp_path / "b.png")
    with caplog.at_level("WARNING", "murine"):
        images = StimulusSet.from_folder(tmp_path).images
    np.testing.assert_array_equal(images, [COLOUR, np.repeat(GREY[..., None], 3, axis=2)])
    assert read(tmp_path / "b.png").pixels.ndim == 2
    assert not caplog.records


def test_other_modes(tmp_path, caplog):
    """Two levels, few bits, and the colours of print, of which a sentence tells."""
    Image.fromarray(GREY > 127).save(tmp_path / "two.png")
    np.testing.assert_array_equal(read(tmp_path / "two.png", exact=True).pixels, np.where(GREY > 127, 255, 0))
    (tmp_path / "few.pgm").write_bytes(b"P5\n2 1\n15\n\x00\x0f")
    np.testing.assert_array_equal(read(tmp_path / "few.pgm", exact=True).pixels, [[0, 255]])
    cmyk = np.dstack([COLOUR, np.zeros(GREY.shape, np.uint8)])
    Image.fromarray(cmyk, "CMYK").save(tmp_path / "print.tif")
    np.testing.assert_array_equal(read(tmp_path / "print.tif").pixels, 255 - COLOUR)
    with caplog.at_level("WARNING", "murine"):
        StimulusSet.from_folder(tmp_path, "*.tif")
    assert "1 of 1 images are in the colours of print (CMYK)" in caplog.text


@pytest.mark.parametrize("name", ["grey.png", "colour.png", "grey_alpha.png", "alpha.png", "grey.pgm", "colour.ppm"])
def test_more_than_eight_bits(tmp_path, name):
    """Refused where every level counts; else rounded, in colour cut, to at most one level of the right one."""
    deep = (np.arange(54 * 4).reshape(6, 9, 4) * 300 + 7).astype(np.uint16)
    deep[..., 3] = 65535
    kind, levels = {
        "grey.png": (0, deep[..., 0]),
        "colour.png": (2, deep[..., :3]),
        "grey_alpha.png": (4, deep[..., [0, 3]]),
        "alpha.png": (6, deep),
        "grey.pgm": (5, deep[..., 0]),
        "colour.ppm": (6, deep[..., :3]),
    }[name]
    file = tmp_path / name
    if file.suffix == ".png":
        file.write_bytes(png16(levels, kind))
    else:
        file.write_bytes(b"P%d\n9 6\n65535\n" % kind + levels.astype(">u2").tobytes())
    with pytest.raises(MurineError, match="more than 8 bits a channel") as refused:
        StimulusSet.from_folder(tmp_path)
    assert str(file) in str(refused.value)
    shown = levels[..., 0] if kind == 4 else levels[..., :3] if levels.ndim == 3 else levels
    pixels = read(file).pixels
    pixels = pixels if pixels.ndim == shown.ndim else pixels[..., 0]
    assert np.abs(pixels.astype(float) - shown / 257).max() <= (0.5 if kind in (0, 5) else 1)


def test_several_frames_are_refused_but_not_a_telephones_second_picture(tmp_path):
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    for ending in ("gif", "png", "tif", "webp"):
        file = tmp_path / f"film.{ending}"
        frames[0].save(file, save_all=True, append_images=frames[1:])
        with pytest.raises(MurineError, match=r"holds 2 images \(an animation, or pages\); expected one"):
            read(file)
    frames[0].convert("RGB").save(tmp_path / "phone.jpg", "MPO", save_all=True, append_images=frames[1:])
    with Image.open(tmp_path / "phone.jpg") as opened:
        assert opened.format == "MPO"
        first = np.asarray(opened)
    np.testing.assert_array_equal(read(tmp_path / "phone.jpg").pixels, first)


def test_all_endings_in_either_case(tmp_path):
    for i, ending in enumerate(ENDINGS):
        Image.fromarray(GREY).save(tmp_path / f"{i:02d}{ending.upper() if i % 2 else ending}")
    stimuli = StimulusSet.from_folder(tmp_path)
    assert stimuli.ids == tuple(f"{i:02d}" for i in range(len(ENDINGS)))


def test_what_other_systems_leave_is_no_image(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a.png")
    (tmp_path / "._a.png").write_bytes(b"\0\5\x16\7" + bytes(60))
    (tmp_path / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (tmp_path / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX" / "._a.png").write_bytes(bytes(60))
    (tmp_path / "b.png").mkdir()
    assert StimulusSet.from_folder(tmp_path).ids == ("a",)
    assert StimulusSet.from_folder(tmp_path, "*.png").ids == ("a",)
    assert [file.name for file in image_files(tmp_path)] == ["a.png"]


def test_a_link_to_nothing_is_named_and_not_left_out(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(MurineError, match=r"b\.png' cannot be read: No such file"):
        StimulusSet.from_folder(tmp_path)
    (tmp_path / "gone.png").symlink_to(tmp_path / "a.png")
    assert StimulusSet.from_folder(tmp_path, "[ab].png").n_stimuli == 2


def test_two_files_of_one_id_are_both_named(tmp_path):
    for name in ("a.png", "b.png", "a.jpg"):
        Image.fromarray(GREY).save(tmp_path / name)
    with pytest.raises(MurineError, match=r"same id.*: a\.jpg, a\.png\. Keep one of each"):
        StimulusSet.from_folder(tmp_path)
    assert StimulusSet.from_folder(tmp_path, "*.png").ids == ("a", "b")


def test_ids_do_not_depend_on_how_a_mac_spells_a_name(tmp_path):
    together = unicodedata.normalize("NFC", "Äpfel für Noël")
    Image.fromarray(GREY).save(tmp_path / f"{unicodedata.normalize('NFD', together)}.png")
    stimuli = StimulusSet.from_folder(tmp_path)
    assert stimuli.ids == (together,)
    assert stimuli.digest == StimulusSet.from_arrays(GREY[None], [together]).digest
    assert stimuli.select([unicodedata.normalize("NFD", together)]).ids == (together,)


@pytest.mark.skipif(os.name != "posix", reason="file names are bytes only there")
def test_a_name_that_is_no_text_is_refused(tmp_path):
    file = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    with pytest.raises(MurineError, match="no UTF-8 text"):
        label_of(file)


def test_images_that_are_no_images_are_named(tmp_path):
    whole = io.BytesIO()
    Image.fromarray(COLOUR).save(whole, "JPEG")
    for content in (b"", b"no image", whole.getvalue()[:-60], b"<svg></svg>"):
        (tmp_path / "a.jpg").write_bytes(content)
        with pytest.raises(MurineError, match=r"a\.jpg' is no readable image \(.+Mend it, or take it out"):
            StimulusSet.from_folder(tmp_path)


def test_folders_without_images_say_what_they_hold(tmp_path):
    with pytest.raises(MurineError, match=r"there is no folder '.*nowhere' \(found nothing\)"):
        StimulusSet.from_folder(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("notes")
    with pytest.raises(MurineError, match=r"holds no image \(\.bmp, .*\); it holds files that end in \.txt\."):
        StimulusSet.from_folder(tmp_path)
    (tmp_path / "scenes").mkdir()
    Image.fromarray(GREY).save(tmp_path / "scenes" / "a.png")
    with pytest.raises(MurineError, match=r"holds no image .*, but its subfolders do: scenes\. Give one of these"):
        StimulusSet.from_folder(tmp_path)


def test_one_reader_for_stimuli_and_domains(tmp_path):
    """The same files are the same pixels on both ways."""
    from murine.domains.image_folders import image_folder

    alpha = np.where(np.arange(9) < 4, 0, 255) * np.ones((6, 1))
    exif = Image.Exif()
    exif[0x0112] = 3
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.fromarray(np.dstack([COLOUR, alpha]).astype(np.uint8)).save(tmp_path / name / f"{name}0.png", exif=exif)
        Image.fromarray(COLOUR).save(tmp_path / name / f"{name}1.JPG", exif=exif)
        for i in range(2, 8):
            Image.fromarray(np.roll(COLOUR, i)).save(tmp_path / name / f"{name}{i}.webp")
    domain = image_folder(tmp_path)
    stimuli = [StimulusSet.from_folder(tmp_path / name) for name in ("a", "b")]
    np.testing.assert_array_equal(np.stack(domain.images), np.concatenate([s.images for s in stimuli]))
    with Image.open(tmp_path / "a" / "a1.JPG") as opened:
        np.testing.assert_array_equal(domain.images[1], np.asarray(ImageOps.exif_transpose(opened)))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_masked_pixels_are_refused(dtype):
    images = np.ma.masked_array(np.zeros((2, 4, 4), dtype), mask=np.zeros((2, 4, 4), bool))
    assert StimulusSet.from_arrays(images, ["a", "b"]).images.sum() == 0
    images[0, 1, 2] = np.ma.masked
    with pytest.raises(MurineError, match="masked pixels"):
        StimulusSet.from_arrays(images, ["a", "b"])


@pytest.mark.parametrize(
    "ids", [[1, 2], [1.0, 2.0], np.array([1.0, 2.0]), np.array([b"1", b"2"]), ["1", "2"], np.array([1, 2], object)]
)
def test_the_same_ids_in_any_type_are_the_same_set(ids):
    images = np.stack([GREY, 255 - GREY])
    stimuli = StimulusSet.from_arrays(images, ids)
    assert stimuli.ids == ("1", "2")
    assert stimuli.digest == StimulusSet(images, ("1", "2")).digest
    assert stimuli.select(ids).ids == ("1", "2")
