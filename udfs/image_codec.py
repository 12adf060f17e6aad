"""Bytes to pixels: header facts, and a full-size, EXIF-upright RGB decode with limits.

Runs in the caller's process. Files of unknown origin go through `udfs.guarded_decode`, which bounds time and
memory too.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from udfs.image_structure import FORMATS, format_of, look_of, plain_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The limit below is checked against the header before any pixel is decoded; Pillow's own check comes
# later in some formats and counts differently.
Image.MAX_IMAGE_PIXELS = None
ImageFile.LOAD_TRUNCATED_IMAGES = False

_EXIF_ORIENTATION = 0x0112
_UPRIGHT_SWAPS_SIDES = {5, 6, 7, 8}  # EXIF orientations that turn by 90 degrees
_LARGEST_SIDE = 2**31 - 1  # what a table can hold; no format means more
_UPRIGHT_BY = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class ImageFault(ValueError):
    """Raised when bytes cannot be decoded to an image within the limits. The message is for the row."""


class TooManyPixels(ImageFault):
    """Raised when an image's header declares more pixels than the limit."""

    def __init__(self, width: int, height: int, limit: int) -> None:
        super().__init__(f"image of {width} x {height} px exceeds the limit of {limit} pixels")
        self.width = width
        self.height = height


class OutOfMemory(ImageFault):
    """Raised when there is not enough memory to decode an image."""


@dataclass(frozen=True)
class DecodeLimits:
    """What a decode may cost.

    Attributes:
        max_pixels: Largest width x height that is decoded (3 bytes a pixel and as much again for copies).
        max_bytes: Largest file that is decoded.
        seconds: Longest decode of a suspicious file.
        memory_mb: Largest memory that a decode of a suspicious file may take, MB.
    """

    max_pixels: int = 64_000_000
    max_bytes: int = 100_000_000
    seconds: float = 20.0
    memory_mb: int = 2048


@dataclass(frozen=True)
class ImageFacts:
    """What an image's header says: Pillow's format name and the EXIF-upright size in px."""

    format: str
    width: int
    height: int


def read_facts(data: bytes) -> ImageFacts | None:
    """Read format and upright size from the header, without decoding; None where that is not an image."""
    try:
        with _without_warnings(), _open(data) as image:
            width, height = image.size
            # Pillow decodes a whole PNG to look for EXIF behind its pixels.
            is_large = width * height > plain_pixels(len(data))
            is_quick = image.format == "PNG" and (is_large or b"eXIf" not in data)
            if _orientation(image, is_quick=is_quick) in _UPRIGHT_SWAPS_SIDES:
                width, height = height, width
            if max(width, height) > _LARGEST_SIDE:
                return None
            return ImageFacts(format=str(image.format), width=width, height=height)
    except Exception:  # noqa: BLE001 - Pillow's parsers raise anything on hostile bytes; decode() reports it
        return None


def check_file(data: bytes, limits: DecodeLimits) -> None:
    """Check what can be told without opening the file.

    Raises:
        ImageFault: If it is empty, too large, or of a format that is never opened.
    """
    if not data:
        raise ImageFault("empty file (0 bytes)")
    if len(data) > limits.max_bytes:
        raise ImageFault(f"file of {len(data)} bytes exceeds the limit of {limits.max_bytes} bytes")
    if format_of(data) is None:
        raise ImageFault(f"format not supported: {look_of(data)}; supported are {', '.join(FORMATS)}")


def decode(data: bytes, limits: DecodeLimits) -> NDArray[np.uint8]:
    """Decode to RGB pixels as a browser would show them on a white page.

    EXIF orientation is applied, transparency is composed over white (as img2dataset does), the first frame
    of an animation is taken, 16-bit grey is scaled to 8 bits.

    Args:
        data: The stored file.
        limits: What the decode may cost; the header is checked before a pixel is decoded. Time and memory
            are not watched here.

    Returns:
        Array of shape (height, width, 3), uint8, full size.

    Raises:
        ImageFault: If the bytes are no image, are damaged, or exceed a limit.
    """
    check_file(data, limits)
    try:
        with _without_warnings(), _open(data) as image:
            width, height = image.size
            if width < 1 or height < 1:
                raise ImageFault(f"image of {width} x {height} px has no pixels")
            if width * height > limits.max_pixels:
                raise TooManyPixels(width, height, limits.max_pixels)
            return _to_rgb(upright(image))
    except ImageFault:
        raise
    except MemoryError as error:
        raise OutOfMemory("decoding ran out of memory") from error
    except UnidentifiedImageError as error:  # its message holds an address in memory
        raise ImageFault(f"cannot be decoded: the {format_of(data)} header is damaged") from error
    except Exception as error:
        raise ImageFault(f"cannot be decoded: {type(error).__name__}: {_first_line(error)}") from error


def upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation. EXIF that cannot be read counts as none, as in browsers."""
    image.load()
    # Not `ImageOps.exif_transpose`: it reads and writes all of a hostile EXIF block.
    method = _UPRIGHT_BY.get(_orientation(image))
    return image if method is None else image.transpose(method)


def _orientation(image: Image.Image, *, is_quick: bool = False) -> int:
    try:
        exif = Image.Image.getexif(image) if is_quick else image.getexif()
        value = exif.get(_EXIF_ORIENTATION)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - Pillow's parsers raise anything on hostile bytes
        return 1
    return value if isinstance(value, int) else 1


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _open(data: bytes) -> Image.Image:
    name = format_of(data)
    if name not in Image.OPEN:
        Image.init()
    if name is None or name not in Image.OPEN:
        raise ImageFault(f"format not supported: this Pillow cannot open {name}")
    return Image.open(io.BytesIO(data), formats=(name,))


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    image.load()
    if image.mode.startswith("I;16") or image.mode in {"I", "F"}:
        return _grey_to_rgb(np.asarray(image), image.mode)
    if image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, rgba)
    return np.asarray(image.convert("RGB"), dtype=np.uint8)


def _grey_to_rgb(grey: NDArray[Any], mode: str) -> NDArray[np.uint8]:
    # 16-bit PNGs open as I;16 or, before Pillow 12, as I: full scale is 65535 in both.
    full_scale = 255.0 if mode == "F" else 65535.0
    eight_bit = np.clip(grey.astype(np.float32) * (255.0 / full_scale), 0, 255).round().astype(np.uint8)
    return np.repeat(eight_bit[:, :, np.newaxis], 3, axis=2)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:300]
