"""Thumbnails of the gallery, with the spotted polygons drawn."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Collection, Iterator
from itertools import pairwise

from PIL import Image, ImageDraw

from spark_jobs.report.content import GallerySample, Point, Reading
from udfs.tokens import normalised_spans

THUMBNAIL_PX = 256
_JPEG_QUALITY = 82
# The page's legend shows the same two (lighter in dark mode); both keep 3:1 against the halo they lie on.
CO_EMB_COLOUR = (201, 60, 8)
OTHER_COLOUR = (29, 95, 160)
_HALO = (255, 255, 255, 215)
_LINE_PX = 2.0
_HALO_PX = 4.0
_DASH_PX = (6.0, 4.0)
_SUPERSAMPLING = 3
_BLURRED_PX = 8  # an unsafe picture keeps this many pixels a side: colours, no forms


def is_co_emb(reading: Reading, words: Collection[str]) -> bool:
    """Whether the reading holds one of the normalised words."""
    return bool(words) and any(word in words for word, _, _ in normalised_spans(reading.text))


def draw_thumbnail(sample: GallerySample) -> Image.Image:
    """Scale the image to at most 256 px a side, blur it if it is unsafe, and draw its polygons.

    Readings that hold a co-emb word get a solid line in one colour, all others a dashed line in another.

    Returns:
        RGB image; never larger than the pixels given.

    Raises:
        ValueError: If the pixels are no (height, width, 3) uint8 array with at least one pixel.
    """
    pixels = sample.pixels
    if (
        pixels is None
        or pixels.ndim != 3
        or pixels.shape[2] != 3
        or pixels.dtype != "uint8"
        or not pixels.size
    ):
        found = "none" if pixels is None else f"{pixels.shape} {pixels.dtype}"
        raise ValueError(
            f"gallery sample {sample.sample_key}: "
            f"expected pixels of shape (height, width, 3), uint8, found {found}"
        )
    image = Image.fromarray(pixels)
    frame = (sample.image_width or image.width, sample.image_height or image.height)
    image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.LANCZOS)
    if sample.unsafe:
        image = _blurred(image)
    readings = sample.words or sample.lines
    marked = [is_co_emb(reading, set(sample.co_emb_words)) for reading in readings]
    scale = (image.width / frame[0], image.height / frame[1])
    polygons = [_scaled(reading.polygon, scale) for reading in readings]
    others = [polygon for polygon, co_emb in zip(polygons, marked, strict=True) if polygon and not co_emb]
    co_embs = [polygon for polygon, co_emb in zip(polygons, marked, strict=True) if polygon and co_emb]
    return _with_outlines(image, others=others, co_embs=co_embs)


def jpeg_data_uri(image: Image.Image) -> str:
    """Encode an image as a `data:` address that a page can hold."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _blurred(image: Image.Image) -> Image.Image:
    # Few pixels rather than a filter: a filter can be undone in part.
    coarse = image.resize(
        (min(_BLURRED_PX, image.width), min(_BLURRED_PX, image.height)), Image.Resampling.BOX
    )
    return coarse.resize(image.size, Image.Resampling.BICUBIC)


def _with_outlines(
    image: Image.Image, *, others: list[list[Point]], co_embs: list[list[Point]]
) -> Image.Image:
    # Pillow draws without anti-aliasing: a larger overlay, scaled down, has smooth edges.
    factor = _SUPERSAMPLING
    overlay = Image.new("RGBA", (image.width * factor, image.height * factor), (255, 255, 255, 0))
    draw = ImageDraw.Draw(overlay)
    for polygons, colour, dashed in ((others, OTHER_COLOUR, True), (co_embs, CO_EMB_COLOUR, False)):
        for polygon in polygons:
            outline = [(x * factor, y * factor) for x, y in polygon]
            ring = [*outline, outline[0]]
            draw.line(ring, fill=_HALO, width=round(_HALO_PX * factor), joint="curve")
            for stroke in _dashes(ring, [length * factor for length in _DASH_PX]) if dashed else [ring]:
                draw.line(stroke, fill=(*colour, 255), width=round(_LINE_PX * factor), joint="curve")
    small = overlay.resize(image.size, Image.Resampling.BOX)
    return Image.alpha_composite(image.convert("RGBA"), small).convert("RGB")


def _dashes(ring: list[Point], pattern: list[float]) -> Iterator[list[Point]]:
    for (x0, y0), (x1, y1) in pairwise(ring):
        length = math.hypot(x1 - x0, y1 - y0)
        for index in range(math.ceil(length / sum(pattern))):
            begin = index * sum(pattern) / length
            end = min(1.0, begin + pattern[0] / length)
            yield [(x0 + (x1 - x0) * t, y0 + (y1 - y0) * t) for t in (begin, end)]


def _scaled(polygon: tuple[Point, ...], scale: Point) -> list[Point]:
    if not all(math.isfinite(x) and math.isfinite(y) for x, y in polygon):
        return []
    # Far outside the picture there is nothing to see, but dashes without end.
    limit = 2.0 * THUMBNAIL_PX
    return [
        (min(max(x * scale[0], -limit), limit), min(max(y * scale[1], -limit), limit)) for x, y in polygon
    ]
