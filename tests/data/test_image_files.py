"""Files of images: read rightly whatever their mode, and one clear line when they cannot be."""

import io
import random
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps, PngImagePlugin
from torchvision import transforms

from ddoq_core.data.image_files import check_images, read_image, read_images
from ddoq_core.errors import InputError
from ddoq_core.randomness import numpy_rng


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


# broken metadata of sound pixels


def _marked(form: str, orientation: int) -> tuple[bytes, slice]:
    """A bright left half, stored with many tags of EXIF; and where in the file they are."""
    image = Image.new("RGB", (40, 20))
    image.paste((255, 255, 255), (0, 0, 20, 20))
    exif = Image.Exif()
    exif.update({0x0100: 40, 0x010E: "words", 0x0112: orientation, 0x011A: 72.0, 0x0132: "2020:01:01 00:00:00"})
    exif[0x8769] = {0x829A: 0.01, 0x9003: "2020:01:01 00:00:00"}
    file = io.BytesIO()
    image.save(file, form, exif=exif, quality=95)
    block = exif.tobytes()[6:]
    start = file.getvalue().index(block)
    return file.getvalue(), slice(start, start + len(block))


def _checksummed(png: bytes) -> bytes:
    """The same chunks, each with its right checksum."""
    at, parts = 8, [png[:8]]
    while at < len(png):
        (size,) = struct.unpack(">I", png[at : at + 4])
        parts += [png[at : at + 8 + size], struct.pack(">I", zlib.crc32(png[at + 4 : at + 8 + size]))]
        at += 12 + size
    return b"".join(parts)


@pytest.mark.parametrize("orientation", range(9))
def test_a_photograph_is_turned_as_pillow_turns_it(tmp_path, orientation):
    noise = np.random.default_rng(0).integers(0, 256, (20, 40, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = _saved(tmp_path, Image.fromarray(noise), "photo.png", exif=exif)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.fit(ImageOps.exif_transpose(image), (20, 20), Image.Resampling.BICUBIC))
    assert np.array_equal(read_image(path, 20).permute(1, 2, 0), expected)


def test_a_tag_that_cannot_be_written_does_not_keep_a_photograph_from_being_turned(tmp_path):
    content, block = _marked("JPEG", 6)
    tags = content[block]
    at = tags.index(b"\x01\x00") if tags.startswith(b"MM") else tags.index(b"\x00\x01")
    order = ">" if tags.startswith(b"MM") else "<"
    entry = struct.pack(f"{order}HHIi", 0x0100, 9, 1, -5)  # a width of -5, as a signed number
    path = tmp_path / "signed.jpg"
    path.write_bytes(content[: block.start] + tags[:at] + entry + tags[at + 12 :] + content[block.stop :])
    with Image.open(path) as image, pytest.raises(struct.error):
        ImageOps.exif_transpose(image)
    found = read_image(path, 20)
    assert found[:, 2].float().mean() > 250 and found[:, -3].float().mean() < 5


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_no_broken_exif_hides_sound_pixels(tmp_path, form):
    content, block = _marked(form, 6)
    draws, path = random.Random(0), tmp_path / "fuzzed"
    for _ in range(600):
        broken = bytearray(content)
        for _ in range(draws.choice([1, 1, 2, 4])):
            broken[draws.randrange(block.start, block.stop)] = draws.choice([0, 128, 255, draws.randrange(256)])
        path.write_bytes(_checksummed(bytes(broken)) if form == "PNG" else broken)
        assert read_image(path, 20).float().mean() == pytest.approx(127.5, abs=3)
        assert check_images([path])[0].problem == ""


def _png(**how) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), RED).save(file, "PNG", **how)
    return file.getvalue()


def test_no_text_or_profile_of_a_png_hides_its_pixels(tmp_path):
    texts = PngImagePlugin.PngInfo()
    texts.add_text("long", "x" * 3_000_000, zip=True)
    plain = PngImagePlugin.PngInfo()
    plain.add_text("short", "y" * 30)
    profile = _png(icc_profile=b"z" * 60)
    at = profile.index(b"iCCP") + 4 + len("ICC Profile") + 2
    for name, content in {
        "long": _png(pnginfo=texts),
        "checksum": _png(pnginfo=plain).replace(b"yyy", b"yzy"),
        "density": _png(dpi=(72, 72)).replace(b"pHYs\0", b"pHYs\1"),
        "profile": _checksummed(profile[:at] + b"\xff" * 8 + profile[at + 8 :]),
    }.items():
        path = tmp_path / f"{name}.png"
        path.write_bytes(content)
        assert read_image(path, 8)[:, 4, 4].tolist() == list(RED), name


def test_pixels_that_are_broken_are_not_taken_for_metadata(tmp_path):
    content = _png()
    at = content.index(b"IDAT") + 6
    for name, broken in {"flipped": content[:at] + b"\xff" + content[at + 1 :], "cut": content[: at + 4]}.items():
        path = tmp_path / f"{name}.png"
        path.write_bytes(broken)
        with pytest.raises(InputError, match=rf"{name}.png cannot be read \(.*skip_unreadable"):
            read_image(path, 8)


@pytest.mark.parametrize(
    "error", [struct.error("x"), zlib.error("x"), AttributeError("x"), RecursionError(), OSError()]
)
def test_whatever_a_reader_of_pillow_raises_the_file_is_named(tmp_path, monkeypatch, error):
    path = _saved(tmp_path, Image.new("RGB", (8, 8)), "odd.png")

    def refuse(image):
        raise error

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", refuse)
    with pytest.raises(InputError, match=r"odd.png cannot be read \(.+\); .*skip_unreadable") as caught:
        read_image(path, 8)
    assert "\n" not in str(caught.value) and check_images([path])[0].problem == str(caught.value)


@pytest.mark.parametrize("size", [(500, 375), (375, 500), (301, 256), (90, 160), (224, 224), (1000, 333)])
@pytest.mark.parametrize(("side", "short"), [(224, 256), (32, 37)])
def test_the_published_crop_is_torchvisions_pixel_for_pixel(tmp_path, size, side, short):
    """Resize to 256, CenterCrop of 224, bilinear: what a classifier of torchvision is scored on."""
    noise = numpy_rng(0, "photograph", *size).integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    theirs = transforms.Compose([transforms.Resize(short), transforms.CenterCrop(side), transforms.PILToTensor()])
    mine = read_image(tmp_path / "a.png", side, "squash", crop=side / short)
    assert mine.equal(theirs(Image.open(tmp_path / "a.png")))
    (both,) = read_images([tmp_path / "a.png"], side, crop=side / short)
    assert both.equal(mine) and not read_image(tmp_path / "a.png", side).equal(mine)
