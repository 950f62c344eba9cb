"""Image files: whatever mode, depth or orientation a file has, the same 8-bit RGB square comes out.

In: a path. Out: uint8 [3, size, size], upright; of an image that is not square the centre is cut out, or it is
squashed. Everything is resampled by one filter, bicubic with antialiasing.
"""

import concurrent.futures
import contextlib
import hashlib
import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from PIL import Image, ImageOps
from torch import Tensor

from ..errors import InputError

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".pgm", ".tif", ".tiff", ".webp"}
FILTER = Image.Resampling.BICUBIC
# up to twice the limit Pillow only warns; here every file is asked, whatever the filters of its thread are
warnings.simplefilter("ignore", Image.DecompressionBombWarning)
READERS = 8  # files read side by side; reading draws nothing, so their number changes no result


def read_image(path: Path, size: int, resize: str = "center-crop") -> UInt8[Tensor, "3 {size} {size}"]:
    """RGB square of an image file, turned upright as its EXIF says, transparency laid on white.

    Args:
        resize: `center-crop` keeps the proportions and cuts what sticks out; `squash` keeps everything.
    Raises:
        InputError: the file cannot be read as an image, or has more pixels than Pillow takes for safe.
    """
    return _square(_rgb_of(path.read_bytes(), str(path)), size, resize)


def read_images(paths: list[Path], size: int, resize: str = "center-crop") -> UInt8[Tensor, "b 3 {size} {size}"]:
    """`read_image` of several files, read side by side, in their order."""
    with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
        return torch.stack(list(pool.map(lambda path: read_image(path, size, resize), paths)))


def resized(images: Float[Tensor, "b C h w"], size: int) -> Float[Tensor, "b C {size} {size}"]:
    """Square images in [0, 1] at another size, by the same filter; unchanged at their own."""
    if images.shape[-1] == size:
        return images
    return F.interpolate(images, (size, size), mode="bicubic", antialias=True).clamp(0, 1)


@dataclass(frozen=True)
class Checked:
    """What a look at one file found: the checksum of its bytes, and why it cannot be read ('' when it can)."""

    sha256: str
    problem: str


def check_image(path: Path) -> Checked:
    """Read a file whole and decode it, as `read_image` will."""
    content = path.read_bytes()
    try:
        _rgb_of(content, str(path))
        problem = ""
    except InputError as error:
        problem = str(error)
    return Checked(hashlib.sha256(content).hexdigest(), problem)


def check_images(paths: list[Path]) -> list[Checked]:
    """`check_image` of several files, read side by side, in their order."""
    with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(check_image, paths))


def _rgb_of(content: bytes, name: str) -> Image.Image:
    """Decoded image in RGB, upright."""
    with opened(content, name, "repair or remove it, or set skip_unreadable=true") as image:
        return _rgb(ImageOps.exif_transpose(image))


@contextlib.contextmanager
def opened(content: bytes, name: str, mend: str) -> Iterator[Image.Image]:
    """An image of the content of a file, decoded, unless it has more pixels than Pillow takes for safe.

    Raises:
        InputError: it is too large, is no image or a broken one, or cannot be used inside the block.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.width * image.height > Image.MAX_IMAGE_PIXELS:
                raise Image.DecompressionBombError(f"{image.width} x {image.height} pixels")
            image.load()
            yield image
    except Image.DecompressionBombError as error:
        raise InputError(f"image {name} is too large ({' '.join(str(error).split())}); {mend}") from error
    except (OSError, ValueError, SyntaxError, EOFError, KeyError, TypeError, IndexError, MemoryError) as error:
        text = " ".join(str(error).split())
        reason = "not an image" if "cannot identify" in text or not text else text
        raise InputError(f"image {name} cannot be read ({reason}); {mend}") from error


def _rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB of any mode: 16-bit grey is scaled, not cut off; transparency shows white."""
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


def _square(image: Image.Image, size: int, resize: str) -> UInt8[Tensor, "3 {size} {size}"]:
    shape = (size, size)
    square = image.resize(shape, FILTER) if resize == "squash" else ImageOps.fit(image, shape, FILTER)
    return torch.from_numpy(np.asarray(square).copy()).permute(2, 0, 1).contiguous()
