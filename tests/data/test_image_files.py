"""Files of images: read rightly whatever their mode, and one clear line when they cannot be."""

import numpy as np
import pytest
import torch
from PIL import Image

from ddoq_core.data.image_files import check_images, read_image
from ddoq_core.errors import InputError


def _saved(tmp_path, image: Image.Image, name: str, **options):
    path = tmp_path / name
    image.save(path, **options)
    return path


RED = (200, 40, 30)


@pytest.mark.parametrize(
    ("mode", "name", "expected"),
    [
        ("L", "grey.png", (77, 77, 77)),
        ("RGB", "colour.png", RED),
        ("P", "palette.png", RED),
        ("CMYK", "print.jpg", RED),
        ("1", "bits.png", (255, 255, 255)),
    ],
)
def test_a_flat_image_of_any_mode_is_read_as_its_colour(tmp_path, mode, name, expected):
    flat = {"L": 77, "RGB": RED, "1": 1}
    image = Image.new(mode, (20, 30), flat[mode]) if mode in flat else Image.new("RGB", (20, 30), RED).convert(mode)
    found = read_image(_saved(tmp_path, image, name, **({"quality": 95} if name.endswith("jpg") else {})), 8)
    assert (found.float().mean((1, 2)) - torch.tensor(expected)).abs().max() < 4


def test_sixteen_bit_grey_is_scaled_not_cut_off(tmp_path):
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    for name in ("deep.png", "deep.tif"):
        found = read_image(_saved(tmp_path, Image.fromarray(ramp), name), 64)
        assert (found[0].float() - torch.tensor(ramp / 257.0)).abs().max() <= 0.51


def test_transparency_shows_white(tmp_path):
    image = Image.new("RGBA", (10, 10), (*RED, 0))
    image.paste((*RED, 255), (0, 0, 5, 10))
    found = read_image(_saved(tmp_path, image, "glass.png"), 10)
    assert found[:, 5, 2].tolist() == list(RED) and found[:, 5, 7].tolist() == [255, 255, 255]


def test_a_photograph_is_turned_as_its_exif_says(tmp_path):
    image = Image.new("RGB", (40, 20))
    image.paste((255, 255, 255), (0, 0, 20, 20))  # bright at the left as stored, at the top when turned
    exif = Image.Exif()
    exif[0x0112] = 6
    found = read_image(_saved(tmp_path, image, "turned.jpg", exif=exif, quality=95), 20)
    assert found[:, 2].float().mean() > 250 and found[:, -3].float().mean() < 5


def test_the_shorter_side_is_resized_and_the_centre_cut_out(tmp_path):
    image = Image.new("RGB", (90, 30))
    image.paste((255, 0, 0), (30, 0, 60, 30))
    found = read_image(_saved(tmp_path, image, "wide.png"), 16)
    assert found[0, :, 1:-1].min() > 240 and found[1].max() == 0


def test_a_decompression_bomb_is_an_input_error(tmp_path, monkeypatch):
    path = _saved(tmp_path, Image.new("L", (64, 64)), "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)
    with pytest.raises(InputError, match=r"bomb.png is too large"):
        read_image(path, 8)


def test_every_bomb_among_images_read_side_by_side_is_found(tmp_path, monkeypatch):
    paths = [_saved(tmp_path, Image.new("L", (8, 8 if i % 2 else 64)), f"{i:03d}.png") for i in range(80)]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)  # 512 are between the limit and twice the limit
    problems = [found.problem for found in check_images(paths)]
    assert [("too large" in problem) for problem in problems] == [i % 2 == 0 for i in range(80)]


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_a_file_that_is_no_image_is_named(tmp_path, content):
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"broken.png cannot be read"):
        read_image(path, 8)


def test_a_cut_off_file_is_unreadable(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = _saved(tmp_path, Image.fromarray(noise), "half.jpg")
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(InputError, match=r"half.jpg cannot be read"):
        read_image(path, 8)
