"""Image files: any mode, depth or orientation of a file gives the same kind of 8-bit RGB square.

In: a path. Out: uint8 [3, size, size], upright. An image that is not square is cropped to its centre, or squashed.
Everything is resampled with one filter, bicubic with antialiasing; test images may use the published one.
"""

import concurrent.futures
import contextlib
import hashlib
import io
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from PIL import ExifTags, Image, ImageOps
from torch import Tensor

from ..errors import InputError

FILTER = Image.Resampling.BICUBIC
TURNS = ("FLIP_LEFT_RIGHT", "ROTATE_180", "FLIP_TOP_BOTTOM", "TRANSPOSE", "ROTATE_270", "TRANSVERSE", "ROTATE_90")
TURNS = {orientation: Image.Transpose[name] for orientation, name in enumerate(TURNS, 2)}  # by EXIF's number
PNG = b"\x89PNG\r\n\x1a\n"
PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}  # chunks of a PNG that are needed for its pixels
TEXTS = {b"tEXt", b"zTXt", b"iTXt", b"iCCP"}  # Pillow refuses a file if one of these chunks is large or broken
# up to twice the limit Pillow only warns; here every file is checked, whatever the filters of its thread are
warnings.simplefilter("ignore", Image.DecompressionBombWarning)
READERS = 8  # threads that read files; reading is deterministic, so their number changes no result


def read_image(
    path: Path, size: int, resize: str = "center-crop", crop: float = 0.0
) -> UInt8[Tensor, "3 {size} {size}"]:
    """RGB square of an image file, upright according to its EXIF data, on a white background.

    Args:
        resize: `center-crop` keeps the proportions and crops; `squash` keeps everything.
        crop: kept share of the short side, if not 0: torchvision's Resize(size / crop) and CenterCrop(size), bilinear,
            for any `resize`.
    Raises:
        InputError: the file cannot be read as an image, or has more pixels than Pillow considers safe.
    """
    image = _rgb_of(path.read_bytes(), str(path))
    return _pixels_of(_middle(image, size, crop) if crop else _square(image, size, resize))


def read_images(
    paths: list[Path], size: int, resize: str = "center-crop", crop: float = 0.0
) -> UInt8[Tensor, "b 3 {size} {size}"]:
    """`read_image` of several files in parallel, in their order."""
    with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
        return torch.stack(list(pool.map(lambda path: read_image(path, size, resize, crop), paths)))


def resized(images: Float[Tensor, "b C h w"], size: int) -> Float[Tensor, "b C {size} {size}"]:
    """Square images in [0, 1] at another size, with the same filter; unchanged at their own size."""
    if images.shape[-1] == size:
        return images
    return F.interpolate(images, (size, size), mode="bicubic", antialias=True).clamp(0, 1)


@dataclass(frozen=True)
class Checked:
    """The result of checking one file: the checksum of its bytes, and why it cannot be read ('' if it can)."""

    sha256: str
    problem: str


def check_image(path: Path) -> Checked:
    """Read and decode a whole file, as `read_image` will."""
    content = path.read_bytes()
    try:
        _rgb_of(content, str(path))
        problem = ""
    except InputError as error:
        problem = str(error)
    return Checked(hashlib.sha256(content).hexdigest(), problem)


def check_images(paths: list[Path]) -> list[Checked]:
    """`check_image` of several files in parallel, in their order."""
    with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(check_image, paths))


def _rgb_of(content: bytes, name: str) -> Image.Image:
    """Decoded image in RGB, upright."""
    with opened(content, name, "repair or remove it, or set skip_unreadable=true") as image:
        return _rgb(_upright(image))


def _upright(image: Image.Image) -> Image.Image:
    """A copy, rotated according to EXIF; as stored if the EXIF data is too broken to tell.

    Pillow's own `exif_transpose` rewrites the whole block, and fails if any tag in it cannot be written.
    """
    try:
        method = TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    except Exception:  # of many kinds, and none is about the pixels
        method = None
    return image.copy() if method is None else image.transpose(method)


@contextlib.contextmanager
def opened(content: bytes, name: str, mend: str) -> Iterator[Image.Image]:
    """An image from the content of a file, decoded, unless it has more pixels than Pillow considers safe.

    Raises:
        InputError: it is too large, not an image, broken, or cannot be used inside the block.
    """
    try:
        with _decoded(content) as image:
            yield image
    except Image.DecompressionBombError as error:
        raise InputError(f"image {name} is too large ({' '.join(str(error).split())}); {mend}") from error
    except Exception as error:  # Pillow's readers raise errors of any kind for a broken file
        text = " ".join(str(error).split())
        reason = "not an image" if "cannot identify" in text or not text else text
        reason = reason if content else "the file is empty"
        raise InputError(f"image {name} cannot be read ({reason}); {mend}") from error


def _decoded(content: bytes) -> Image.Image:
    """The decoded image, also of a PNG in which only the metadata is broken."""
    try:
        return _loaded(content)
    except Image.DecompressionBombError:
        raise
    except Exception:  # see `opened`
        bare = _bare_png(content)
        if bare == content:
            raise
    return _loaded(bare)


def _loaded(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    if image.width * image.height > Image.MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError(f"{image.width} x {image.height} pixels")
    image.load()
    return image


def _bare_png(content: bytes) -> bytes:
    """A PNG without its texts and without metadata chunks with wrong checksums; other files unchanged."""
    if not content.startswith(PNG):
        return content
    kept, at = [PNG], len(PNG)
    while chunk := content[at : at + 12 + int.from_bytes(content[at : at + 4])]:
        kind, checksum = chunk[4:8], zlib.crc32(chunk[4:-4]).to_bytes(4)
        if kind in PIXELS or (kind not in TEXTS and chunk[-4:] == checksum):
            kept.append(chunk)
        at += len(chunk)
    return b"".join(kept)


def _rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB from any mode: 16-bit grey is scaled, not clipped; transparent parts become white."""
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("its values are not 16-bit")
        return Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise ValueError("its values are floating-point, of unknown range")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _square(image: Image.Image, size: int, resize: str) -> Image.Image:
    shape = (size, size)
    return image.resize(shape, FILTER) if resize == "squash" else ImageOps.fit(image, shape, FILTER)


def _middle(image: Image.Image, size: int, crop: float) -> Image.Image:
    """The published test transform: the short side resized to size / crop, bilinear, then the centre."""
    short, sides = round(size / crop), image.size
    width, height = (short if side == min(sides) else int(short * side / min(sides)) for side in sides)
    left, top = round((width - size) / 2), round((height - size) / 2)
    return image.resize((width, height), Image.Resampling.BILINEAR).crop((left, top, left + size, top + size))


def _pixels_of(square: Image.Image) -> UInt8[Tensor, "3 S S"]:
    return torch.from_numpy(np.asarray(square).copy()).permute(2, 0, 1).contiguous()
