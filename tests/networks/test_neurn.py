"""NeuRN against a direct double loop in float64."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

import murine
from murine.errors import MurineError
from murine.networks.surgery.neurn import NeuRN, NeuRNTransform, neurn


def direct(image, k, relative=True):
    """The definition, pixel by pixel: (channels, height, width) in float64."""
    image = np.asarray(image, dtype=np.float64)
    before, after = (k - 1) // 2, k // 2
    padded = np.pad(image, ((0, 0), (before, after), (before, after)), mode="symmetric")
    sigma = np.empty_like(image)
    for channel, row, column in np.ndindex(*image.shape):
        patch = padded[channel, row : row + k, column : column + k]
        mean = patch.sum() / k**2
        sigma[channel, row, column] = np.sqrt(((patch - mean) ** 2).sum() / k**2)
    return sigma / sigma.max() if relative and sigma.max() > 0 else sigma


def noise(*shape, dtype=torch.float32, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("k", range(1, 8))
def test_neurn_is_the_definition(k, dtype, tolerance):
    for shape in ((1, 7, 7), (3, k, 11), (2, 11, k), (1, k, k)):
        images = noise(4, *shape, dtype=dtype)
        images[1] *= 255
        images[2, :, : (shape[1] + 1) // 2] = 0.5  # partly flat
        images[3] = 1000 + images[3] / 10
        result = NeuRN(k)(images)
        assert result.dtype == dtype
        for image, mine in zip(images, result, strict=True):
            np.testing.assert_allclose(mine, direct(image, k), rtol=tolerance, atol=0)


def test_a_window_of_one_pixel_sees_no_contrast():
    images = noise(2, 3, 4, 5)
    images[0, 0, 0, 0] = torch.inf
    result = neurn(images, 1)
    assert result[0].isnan().all()
    assert (result[1] == 0).all()


@pytest.mark.parametrize("k", range(2, 8))
def test_of_a_plane_it_is_the_slope(k):
    rows, columns = torch.meshgrid(torch.arange(20.0), torch.arange(24.0), indexing="ij")
    result = neurn((3 * rows - 4 * columns)[None], k, maximum="none")[0, k:-k, k:-k]
    np.testing.assert_allclose(result, 5 * np.sqrt((k**2 - 1) / 12), rtol=1e-6)


@pytest.mark.parametrize("k", [2, 3, 7])
def test_other_maxima(k):
    images = noise(3, 2, 8, 9, dtype=torch.float64)
    images[1, 0] *= 0.1
    images[2] *= 7
    images[0, 1] = 4.0
    deviations = np.stack([direct(image, k, relative=False) for image in images])
    result = {name: NeuRN(k, maximum=name)(images) for name in ("channel", "batch", "none")}
    np.testing.assert_allclose(result["none"], deviations, rtol=1e-12, atol=0)
    np.testing.assert_allclose(result["batch"], deviations / deviations.max(), rtol=1e-12, atol=0)
    highest = deviations.max(axis=(2, 3), keepdims=True)
    np.testing.assert_allclose(result["channel"], deviations / np.where(highest > 0, highest, 1), rtol=1e-12, atol=0)
    # Free of the batch: an image alone gives what it gave among others.
    for maximum in ("image", "channel", "none"):
        together = neurn(images, k, maximum=maximum)
        for image, expected in zip(images, together, strict=True):
            np.testing.assert_array_equal(neurn(image, k, maximum=maximum), expected)


def test_values_by_hand():
    image = torch.zeros(1, 4, 4)
    image[0, 0, 0] = 9.0
    # Symmetric border: the patch of pixel (0, 0) holds the 9 four times, that of (0, 1) twice, that of (1, 1)
    # once. With m of 9 pixels set, the deviation is sqrt(m (9 - m)).
    of = {m: np.sqrt(m * (9 - m)) for m in (1, 2, 4)}
    expected = np.zeros((4, 4))
    expected[0, 0], expected[0, 1], expected[1, 0], expected[1, 1] = of[4], of[2], of[2], of[1]
    np.testing.assert_allclose(neurn(image)[0], expected / of[4], atol=1e-6)
    # k = 4 spans -1 to +2: a pixel is seen from 2 before it to 1 after it.
    image = torch.zeros(1, 9, 9)
    image[0, 4, 4] = 1.0
    seen = np.argwhere(neurn(image, 4)[0].numpy() > 0)
    assert seen.min() == 2
    assert seen.max() == 5
    assert len(seen) == 16


def test_one_maximum_for_all_channels_of_an_image_and_none_across_images():
    images = noise(2, 3, 8, 8)
    images[0, 1] *= 0.1
    result = neurn(images)
    assert result[0].max() == 1
    assert result[0, 1].max() < 0.2
    np.testing.assert_array_equal(result[1], neurn(images[1]))


def test_flat_images_are_exactly_zero():
    for value in (0.0, 0.1, 1.0, 1e4, -3e7):
        assert (neurn(torch.full((2, 3, 9, 9), value)) == 0).all()
    batch = noise(2, 1, 6, 6)
    batch[0] = 0.3
    np.testing.assert_array_equal(neurn(batch)[0], 0)
    np.testing.assert_allclose(neurn(batch)[1], direct(batch[1], 3), atol=1e-6)


@pytest.mark.parametrize("k", [3, 4, 5, 9])
def test_bright_images_lose_no_precision(k):
    generator = torch.Generator().manual_seed(1)
    image = 1000 + 0.1 * torch.randn(1, 24, 24, generator=generator)
    np.testing.assert_allclose(neurn(image, k), direct(image, k), atol=1e-5, rtol=1e-5)
    image[0, 12, 12] = -5000  # an outlier, seen as the middle and as a neighbour
    np.testing.assert_allclose(neurn(image, k), direct(image, k), atol=1e-9, rtol=1e-5)


def test_gain_and_offset_do_not_matter():
    images = noise(2, 3, 10, 10, dtype=torch.float64)
    np.testing.assert_allclose(neurn(255 * images - 40), neurn(images), atol=1e-12)
    np.testing.assert_allclose(neurn(-images), neurn(images), atol=1e-12)


def test_flips_commute_with_an_odd_kernel():
    images = noise(2, 1, 9, 12, dtype=torch.float64)
    np.testing.assert_allclose(neurn(images.flip(-1), 5), neurn(images, 5).flip(-1), atol=1e-12)
    np.testing.assert_allclose(neurn(images.mT, 5), neurn(images, 5).mT, atol=1e-12)


def test_half_precision_is_computed_in_single():
    images = (255 * noise(2, 3, 8, 8)).half()
    result = neurn(images)
    assert result.dtype == torch.float16
    np.testing.assert_array_equal(result, neurn(images.float()).half())


def test_every_floating_type_comes_back():
    images = noise(2, 3, 8, 8)
    for dtype in (torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2):
        result = neurn(images.to(dtype), maximum="batch")
        assert result.dtype == dtype
        expected = neurn(images.to(dtype).float(), maximum="batch")
        torch.testing.assert_close(result.float(), expected.to(dtype).float(), rtol=0, atol=0)


def test_leading_dimensions_are_batches():
    images = noise(2, 5, 3, 7, 7)
    np.testing.assert_array_equal(neurn(images).flatten(0, 1), neurn(images.flatten(0, 1)))
    for maximum in ("image", "channel", "batch", "none"):
        assert neurn(images[:, :0, ...], maximum=maximum).shape == (2, 0, 3, 7, 7)
        assert neurn(images[:0, 0], maximum=maximum).shape == (0, 3, 7, 7)
    empty = images[:0, 0].requires_grad_()
    neurn(empty).sum().backward()
    assert empty.grad.shape == (0, 3, 7, 7)


def test_blocks_and_memory_formats_change_nothing(monkeypatch):
    images = noise(7, 3, 10, 12)
    expected = neurn(images)
    weights = noise(7, 3, 10, 12, seed=1)
    slope = torch.func.grad(lambda x: (neurn(x) * weights).sum())(images)
    wide = noise(7, 3, 21, 24)
    wide[:, :, 1::2, ::2] = images
    for block in (1, 3000, 1 << 20):
        monkeypatch.setattr(sys.modules["murine.networks.surgery.neurn"], "CPU_BLOCK", block)
        for same in (
            images,
            images.contiguous(memory_format=torch.channels_last),
            images.transpose(0, 1).contiguous().transpose(0, 1),
            images.flip(-1).flip(-1),
            wide[:, :, 1::2, ::2],
            images[:1].expand(7, -1, -1, -1),
        ):
            result = neurn(same)
            if torch.equal(same, images):
                torch.testing.assert_close(result, expected, rtol=1e-6, atol=0)
                assert torch.func.grad(lambda x: (neurn(x) * weights).sum())(same).allclose(slope, atol=1e-5)
            else:
                torch.testing.assert_close(result, expected[:1].expand_as(result), rtol=1e-6, atol=0)
        lasting = images.contiguous(memory_format=torch.channels_last)
        assert neurn(lasting).is_contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            assert not neurn(lasting).requires_grad


def test_nan_spoils_its_own_image_only():
    images = noise(2, 1, 6, 6)
    images[0, 0, 2, 3] = torch.nan
    result = neurn(images)
    assert result[0].isnan().all()
    assert result[1].isfinite().all()


#: Of torch itself, when it first differentiates forward.
FORWARD = pytest.mark.filterwarnings("ignore:.*torch.jit.script:FutureWarning")


@FORWARD
@pytest.mark.parametrize(
    ("k", "maximum"), [(2, "image"), (3, "image"), (3, "channel"), (3, "batch"), (3, "none"), (4, "image")]
)
def test_derivatives_are_right(monkeypatch, k, maximum):
    monkeypatch.setattr(sys.modules["murine.networks.surgery.neurn"], "CPU_BLOCK", 8 * 32)  # an image a block
    images = noise(2, 2, 4, 4, dtype=torch.float64).requires_grad_()
    layer = NeuRN(k, maximum=maximum)
    assert torch.autograd.gradcheck(layer, (images,), check_forward_ad=True, check_batched_grad=True)
    if (k, maximum) == (3, "image"):
        assert torch.autograd.gradgradcheck(layer, (images,))


@FORWARD
def test_gradients_are_finite_where_flat():
    images = torch.full((3, 1, 8, 8), 1e4)
    images[0, ..., :3] = 1e4 + noise(1, 8, 3)
    images[1, ..., 4, 4] += 1e-3
    images.requires_grad_()
    for k in (1, 2, 3, 6):
        for maximum in ("image", "channel", "none"):
            (slope,) = torch.autograd.grad(neurn(images, k, maximum=maximum).square().sum(), images)
            assert slope.isfinite().all()
            assert (slope[2] == 0).all()
            assert (slope[0] != 0).any() == (k > 1)
    tangent = torch.func.jvp(lambda x: neurn(x), (images.detach(),), (torch.ones_like(images),))[1]
    assert tangent.isfinite().all()


def test_function_transforms():
    images = noise(4, 3, 2, 6, 7)
    for dim in (0, 1, 2):
        mapped = torch.func.vmap(neurn, in_dims=dim, out_dims=dim)(images)
        expected = torch.stack([neurn(part) for part in images.unbind(dim)], dim)
        torch.testing.assert_close(mapped, expected, rtol=1e-6, atol=0)
    each = torch.func.vmap(torch.func.grad(lambda x: neurn(x).square().sum()))(images[:, 0])
    torch.testing.assert_close(each, torch.func.grad(lambda x: neurn(x).square().sum())(images[:, 0]))


def test_autocast_keeps_the_precision_of_the_input():
    images = 1000 + noise(2, 3, 8, 8) / 10
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = NeuRN()(images)
        half = NeuRN()(torch.nn.functional.conv2d(images, torch.ones(2, 3, 3, 3)))
    assert torch.equal(result, neurn(images))
    assert half.dtype == torch.bfloat16


@pytest.mark.usefixtures("unchecked")
def test_a_traced_network_holds_one_call():
    network = torch.nn.Sequential(NeuRN(3), torch.nn.Conv2d(3, 2, 3))
    traced = torch.fx.symbolic_trace(network)
    images = noise(2, 3, 8, 8)
    assert torch.equal(traced(images), network(images))
    assert [node.target for node in traced.graph.nodes if node.op == "call_function"] == [neurn]


#: In a process of its own: the checks of types that tests add to every function cannot be compiled. Up to where torch
#: writes C++, which takes a compiler and its time; what becomes of that is in benchmarks/neurn.py.
COMPILED = """
import torch
from murine import NeuRN

images = torch.rand(3, 2, 9, 8, generator=torch.Generator().manual_seed(0))
images[0, :, :4] = 1e4

def same(network, layer):
    result = network(images)
    torch.testing.assert_close(result, layer(images), rtol=1e-5, atol=0)
    assert (result[0, :, :2] == 0).all()

def slope(network):
    x = images.clone().requires_grad_()
    return torch.autograd.grad((network(x) * images[1]).sum(), x)[0]

layer = NeuRN(5, maximum="channel")
same(torch.compile(layer, backend="aot_eager", fullgraph=True), layer)
layer = NeuRN(3)
compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
same(compiled, layer)
torch.testing.assert_close(slope(compiled), slope(layer), rtol=1e-4, atol=1e-4)
rows = {0: torch.export.Dim("n", min=1), 2: torch.export.Dim("height", min=3)}
exported = torch.export.export(layer, (images,), dynamic_shapes=(rows,)).module()
same(exported, layer)
other = torch.rand(5, 2, 20, 8)
torch.testing.assert_close(exported(other), layer(other), rtol=1e-5, atol=0)
channels_last = images.to(memory_format=torch.channels_last)
assert compiled(channels_last).is_contiguous(memory_format=torch.channels_last)
try:
    torch.compile(NeuRN(12), backend="aot_eager")(images)
except ValueError as error:
    assert "kernel_size 12 was given images of 9 x 8 px" in str(error)
else:
    raise SystemExit("not refused")
"""


def test_compiled_and_exported():
    ran = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu():
    images = 1000 + noise(64, 3, 40, 50) / 10
    images[0] = 1e4
    for k in (1, 2, 3, 7):
        for same in (images, images.contiguous(memory_format=torch.channels_last)):
            result = neurn(same.cuda(), k)
            assert result.stride() == same.stride()
            torch.testing.assert_close(result.cpu(), neurn(images, k), rtol=1e-5, atol=0)
    x = images.cuda().requires_grad_()
    (slope,) = torch.autograd.grad(neurn(x).square().sum(), x)
    torch.testing.assert_close(slope.cpu(), torch.func.grad(lambda x: neurn(x).square().sum())(images))


# --------------------------------------------------------------------------------- pictures


def test_the_transform_takes_what_pictures_come_as():
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    grey = colour[..., 0]
    transform = NeuRNTransform(3)
    expected = torch.from_numpy(direct(colour.transpose(2, 0, 1), 3)).float()
    of_grey = torch.from_numpy(direct(grey[None], 3)).float()
    opaque = np.dstack([colour, rng.integers(0, 256, (9, 12), dtype=np.uint8)])
    for picture in (
        Image.fromarray(colour),
        Image.fromarray(opaque),
        colour,
        colour.astype(np.int64),
        np.asfortranarray(colour),
        colour[::-1][::-1],
        torch.from_numpy(colour.transpose(2, 0, 1).copy()),
    ):
        result = transform(picture)
        assert result.dtype == torch.float32
        torch.testing.assert_close(result, expected, rtol=1e-6, atol=0)
    for picture in (
        Image.fromarray(grey),
        Image.fromarray(grey.astype(np.int32)),
        Image.fromarray(grey.astype(np.float32)),
        Image.fromarray(grey.astype(np.uint16)),
        grey.astype(">u2"),
        grey[..., None] / np.float32(255),
    ):
        torch.testing.assert_close(transform(picture), of_grey, rtol=1e-5, atol=0)
    black = Image.fromarray(grey).point(lambda value: 255 * (value > 99), mode="1")
    torch.testing.assert_close(
        transform(black), torch.from_numpy(direct(np.asarray(black)[None], 3)).float(), rtol=1e-6, atol=0
    )
    torch.testing.assert_close(transform(np.asarray(black)), transform(black))
    indexed = Image.fromarray(colour).quantize(16)
    torch.testing.assert_close(transform(indexed), transform(indexed.convert("RGB")))
    assert transform(grey.astype(np.float64)).dtype == torch.float64
    # In units of the picture where nothing is divided: white is 1.
    plain = NeuRNTransform(3, maximum="none")
    for scaled in (grey, grey.astype(np.uint16) * 257):
        torch.testing.assert_close(plain(scaled)[0], torch.from_numpy(direct(grey[None] / 255, 3, False)[0]).float())
    composed = transforms.Compose([transforms.Resize(8), transform, torch.nn.AvgPool2d(2)])
    assert composed(Image.fromarray(colour)).shape == (3, 4, 5)


@pytest.mark.usefixtures("unchecked")
def test_unusable_input_is_refused():
    with pytest.raises(MurineError, match=r"torch\.uint8; expected floating point: convert with images\.float"):
        neurn(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    with pytest.raises(MurineError, match=r"torch\.complex64; expected floating point: take its absolute value"):
        neurn(torch.zeros(1, 3, 8, 8, dtype=torch.complex64))
    with pytest.raises(MurineError, match="kernel_size 9 was given images of 8 x 12 px"):
        neurn(torch.rand(1, 3, 8, 12), 9)
    for kernel_size in (0, -3, 2.0, True, "3"):
        with pytest.raises(MurineError, match="expected a whole number of at least 1"):
            NeuRN(kernel_size)
    with pytest.raises(MurineError, match="maximum 'pixel'; expected one of image, channel, batch, none"):
        NeuRN(maximum="pixel")
    for shape in ((8, 8), (2, 0, 8, 8)):
        with pytest.raises(MurineError, match=r"expected \(\.\.\., channels, height, width\)"):
            neurn(torch.rand(*shape))
    with pytest.raises(MurineError, match=r"ndarray of shape \(2, 3, 4, 5\) and type float64; expected a PIL image"):
        NeuRNTransform()(np.zeros((2, 3, 4, 5)))
    with pytest.raises(MurineError, match="kernel_size 3 was given images of 2 x 5 px"):
        NeuRNTransform()(np.zeros((2, 5), dtype=np.uint8))


def test_importing_murine_imports_no_torch():
    code = "import sys, murine; assert 'torch' not in sys.modules; murine.NeuRN; assert 'torch' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert murine.neurn is neurn
    assert {"NeuRN", "NeuRNTransform", "neurn"} <= set(dir(murine))
    with pytest.raises(AttributeError, match="module 'murine' has no attribute 'neuron'"):
        _ = murine.neuron
