"""Small inputs for tests: images sound, odd and damaged, tars, img2dataset shards, folders with captions."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import struct
import tarfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

_EXIF_ORIENTATION = 0x0112


def draw_image(
    size: tuple[int, int] = (64, 48), *, color: tuple[int, int, int] = (200, 60, 40), text: str = ""
) -> Image.Image:
    """Draw an RGB image: a gradient from `color`, so that damage shows, with dark text on a light bar."""
    image = Image.new("RGB", size, color)
    draw = ImageDraw.Draw(image)
    for y in range(size[1]):
        draw.line([(0, y), (size[0] // 2, y)], fill=(color[0], color[1], (color[2] + 5 * y) % 256))
    if text:
        draw.rectangle([0, 0, size[0], 14], fill=(250, 250, 250))
        draw.text((2, 1), text, fill=(0, 0, 0))
    return image


def image_bytes(
    image_format: str = "JPEG",
    *,
    size: tuple[int, int] = (64, 48),
    color: tuple[int, int, int] = (200, 60, 40),
    text: str = "",
    orientation: int | None = None,
) -> bytes:
    """Encode `draw_image` in a format of Pillow; `orientation` is the EXIF tag, 1 to 8."""
    exif = Image.Exif()
    if orientation is not None:
        exif[_EXIF_ORIENTATION] = orientation
    buffer = io.BytesIO()
    options = {"exif": exif.tobytes()} if orientation is not None else {}
    draw_image(size, color=color, text=text).save(buffer, image_format, **options)
    return buffer.getvalue()


def odd_images() -> dict[str, bytes]:
    """Images that are sound but unusual, by name; each decodes to 64 x 48 px, the rotated one to 48 x 64."""
    base = draw_image()
    frames = [draw_image(color=color) for color in ((200, 60, 40), (10, 90, 200))]
    transparent = base.convert("RGBA")
    transparent.putalpha(Image.linear_gradient("L").resize(base.size))
    return {
        "animated_gif": _encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "cmyk_jpeg": _encoded(base.convert("CMYK"), "JPEG"),
        "grey_jpeg": _encoded(base.convert("L"), "JPEG"),
        "palette_png": _encoded(base.convert("P"), "PNG", transparency=0),
        "rotated_jpeg": image_bytes("JPEG", orientation=6),
        "sixteen_bit_png": _encoded(base.convert("L").convert("I;16"), "PNG"),
        "transparent_png": _encoded(transparent, "PNG"),
        "transparent_webp": _encoded(transparent, "WEBP"),
        "bilevel_tiff": _encoded(base.convert("1"), "TIFF"),
        "bmp": _encoded(base, "BMP"),
    }


def damaged_images() -> dict[str, bytes]:
    """Bytes that are no image that can be used, by kind of damage."""
    jpeg, png = image_bytes("JPEG", size=(200, 150)), image_bytes("PNG", size=(200, 150))
    middle = png.index(b"IDAT") + 20
    return {
        "empty": b"",
        "zeros": bytes(1000),
        "text": b"404 not found",
        "html_page": b"<!DOCTYPE html><html><body>Sorry</body></html>",
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>',
        "jpeg_start_only": jpeg[:20],
        "jpeg_cut_in_half": jpeg[: len(jpeg) // 2],
        "png_cut_in_half": png[: len(png) // 2],
        "png_flipped_bytes": png[:middle]
        + bytes(255 - byte for byte in png[middle : middle + 40])
        + png[middle + 40 :],
        "png_of_3600_megapixels": png_that_claims(60_000, 60_000),
    }


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG of some 60 bytes whose sound header declares any size: a decompression bomb without a charge."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def tar_bytes(members: Iterable[tuple[str, bytes]], *, tar_format: int = tarfile.PAX_FORMAT) -> bytes:
    """A plain tar of regular files. Times have fractions, so PAX tars have PAX headers, as img2dataset's."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tar_format) as archive:
        for name, data in members:
            header = tarfile.TarInfo(name)
            header.size, header.mtime = len(data), 1_700_000_000.5
            archive.addfile(header, io.BytesIO(data))
    return buffer.getvalue()


@dataclass
class Pair:
    """One row of an img2dataset shard.

    Attributes:
        key: img2dataset's key.
        image: Stored bytes; None for a row that failed.
        caption: As the table holds it.
        status: `success`, `failed_to_download`, `failed_to_resize`.
        error_message: For a row that failed.
        columns: Further columns (SAMPLE_ID, similarity, ...), and those below that are to differ.
    """

    key: str
    image: bytes | None = None
    caption: str | None = "a caption"
    status: str = "success"
    error_message: str | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """The row as img2dataset writes it to the table and to the json member."""
        size = Image.open(io.BytesIO(self.image)).size if self.image else (None, None)
        row = {
            "caption": self.caption,
            "url": f"http://example.org/{self.key}.jpg",
            "key": self.key,
            "status": self.status,
            "error_message": self.error_message,
            "width": size[0],
            "height": size[1],
            "original_width": size[0],
            "original_height": size[1],
            "exif": "{}" if self.image else None,
            "sha256": hashlib.sha256(self.image).hexdigest() if self.image else None,
        }
        return {**row, **self.columns}

    def members(self) -> list[tuple[str, bytes]]:
        """The tar members that img2dataset writes for the row: none for a row that failed."""
        if self.image is None:
            return []
        return [
            (f"{self.key}.jpg", self.image),
            (f"{self.key}.json", json.dumps(self.row(), indent=4).encode()),
            (f"{self.key}.txt", (self.caption or "").encode()),
        ]


def write_shard(folder: Path, pairs: Sequence[Pair], *, name: str = "00000") -> Path:
    """Write NAME.tar, NAME.parquet and NAME_stats.json as img2dataset does, and return the tar's path."""
    import pyarrow as pa
    from pyarrow import parquet

    folder.mkdir(parents=True, exist_ok=True)
    tar = folder / f"{name}.tar"
    tar.write_bytes(tar_bytes(member for pair in pairs for member in pair.members()))
    rows = [pair.row() for pair in pairs]
    columns = dict.fromkeys(column for row in rows for column in row)
    table = pa.table({column: [row.get(column) for row in rows] for column in columns})
    parquet.write_table(table, folder / f"{name}.parquet")
    successes = sum(pair.status == "success" for pair in pairs)
    (folder / f"{name}_stats.json").write_text(json.dumps({"count": len(pairs), "successes": successes}))
    return tar


def sound_pairs(count: int, *, first: int = 0) -> list[Pair]:
    """Pairs with images of different colours and captions that name their number."""
    return [
        Pair(
            key=f"{number:08d}",
            image=image_bytes(color=(number * 37 % 256, 90, 120), text=f"NO {number}"),
            caption=f"picture no {number}",
            columns={"SAMPLE_ID": 1000 + number},
        )
        for number in range(first, first + count)
    ]


def write_images(folder: Path, names: Iterable[str]) -> None:
    """Write one image per name, in the format of the name's extension, each of another colour."""
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image_format = Image.registered_extensions()[path.suffix.lower()]
        path.write_bytes(image_bytes(image_format, color=(number * 41 % 256, 80, 160), text=path.stem[:8]))


def write_captions(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write rows to a captions file: .csv and .tsv with a header line, .jsonl else."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        if path.suffix == ".jsonl":
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        else:
            delimiter = "\t" if path.suffix == ".tsv" else ","
            writer = csv.DictWriter(file, fieldnames=list(rows[0]), delimiter=delimiter)
            writer.writeheader()
            writer.writerows(rows)
    return path


def _encoded(image: Image.Image, image_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()
