"""Hostile input for tests: some 500 image files and a few tars, made anew and alike from a seed.

A file's name begins with what must become of it: `sound-` gives pixels, `bad-` a reason, `any-` either.
"""

from __future__ import annotations

import io
import random
import struct
import tarfile
import zlib
from collections.abc import Iterator

from PIL import Image, features

from tests.builders import damaged_images, draw_image, image_bytes, odd_images, png_that_claims

# Pillow before 11.3, as on Databricks 17.3, neither writes nor reads it.
AVIF = ("AVIF",) if features.check("avif") else ()
FLIPPED_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", *AVIF, "JPEG2000", "ICO")
FLIPS_PER_FORMAT = 40
_EXTENSIONS = {"JPEG": "jpg", "JPEG2000": "jp2", "TIFF": "tif"}


def hostile_images(seed: int = 0) -> dict[str, bytes]:
    """All files, by name."""
    files: dict[str, bytes] = {}
    for part in (_oddities(), _truncated(), _flipped(seed), _bombs(), _metadata(), _impostors(), _headers()):
        for name, data in part:
            assert name not in files, name
            files[name] = data
    return files


def chosen_images() -> dict[str, bytes]:
    """Some 60 of them: every kind, but few of the cut and the flipped ones, and none that takes seconds."""
    files = hostile_images()
    few = [name for name in files if "-flipped-" in name or "-cut-" in name]
    left_out = {*few, "sound-63-megapixels.png", "any-60-megapixels.jpg"}
    chosen = [name for name, data in files.items() if name not in left_out and len(data) < 400_000]
    return {name: files[name] for name in [*chosen[::2], *few[::24]]}


def encoded(image: Image.Image, image_format: str, **options: object) -> bytes:
    """A file of an image."""
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk with its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_with(chunks: bytes) -> bytes:
    """A sound PNG with further chunks behind its header."""
    png = image_bytes("PNG")
    return png[:33] + chunks + png[33:]


def jpeg_with(segments: bytes) -> bytes:
    """A sound JPEG with further segments at its start."""
    jpeg = image_bytes("JPEG")
    return jpeg[:2] + segments + jpeg[2:]


def jpeg_segment(marker: int, data: bytes) -> bytes:
    """One segment of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def exif_bomb(size: int = 60_000, entries: int = 4000) -> bytes:
    """A TIFF block of which every entry claims nearly the whole as its value."""
    directory = b"".join(struct.pack("<HHII", 0x0200 + number, 7, size - 100, 8) for number in range(entries))
    tiff = b"II*\0" + struct.pack("<IH", 8, entries) + directory
    return tiff + bytes(size - len(tiff))


def _oddities() -> Iterator[tuple[str, bytes]]:
    for name, data in odd_images().items():
        yield f"sound-odd-{name}", data
    base = draw_image()
    frames = [draw_image(color=(step, 90, 200)) for step in (10, 90, 170)]
    for image_format in ("WEBP", "PNG", "TIFF", *AVIF):
        data = encoded(base, image_format, save_all=True, append_images=frames)
        yield f"sound-animated.{_EXTENSIONS.get(image_format, image_format.lower())}", data
    yield "sound-16-bit.png", encoded(base.convert("L").convert("I;16"), "PNG")
    yield "sound-1-bit.png", encoded(base.convert("1"), "PNG")
    yield "sound-interlaced-grey-alpha.png", encoded(base.convert("LA"), "PNG")
    yield "sound-progressive.jpg", encoded(base, "JPEG", progressive=True)
    if AVIF:  # Pillow 11.1 writes one that it takes for a broken JPEG itself
        yield "sound-mpo.jpg", encoded(base, "MPO", save_all=True, append_images=frames)
    yield "sound-lossless.webp", encoded(base, "WEBP", lossless=True)
    yield "sound-float.tif", encoded(base.convert("F"), "TIFF")
    for compression in ("tiff_lzw", "jpeg", "group4", "tiff_deflate", "packbits"):
        image = base.convert("1") if compression == "group4" else base
        yield f"sound-{compression}.tif", encoded(image, "TIFF", compression=compression)
    yield "sound-icon.ico", encoded(base, "ICO")
    yield "sound-2000.jp2", encoded(base, "JPEG2000")
    yield "sound-one-pixel.jpg", encoded(base.resize((1, 1)), "JPEG")
    yield "sound-needle.png", encoded(base.resize((1, 60_000)), "PNG")
    yield "sound-broken-icc.jpg", encoded(base, "JPEG", icc_profile=b"no profile at all")
    yield "sound-broken-icc.png", encoded(base, "PNG", icc_profile=bytes(range(256)))
    yield "sound-broken-icc.webp", encoded(base, "WEBP", icc_profile=b"no profile at all")
    yield "sound-broken-exif.jpg", jpeg_with(jpeg_segment(0xE1, b"Exif\0\0MM\0*\xff\xff\xff\xffgarbage"))


def _truncated() -> Iterator[tuple[str, bytes]]:
    for image_format in ("JPEG", "PNG", "WEBP", "GIF"):
        data = image_bytes(image_format, size=(200, 150), text="truncated")
        for tenth in range(10):
            # The last tenth of a picture may be all of its padding.
            yield (
                f"{'any' if tenth > 7 else 'bad'}-cut-{tenth}.{image_format.lower()}",
                data[: len(data) * tenth // 10],
            )
    progressive = encoded(draw_image((200, 150)), "JPEG", progressive=True)
    for tenth in range(1, 10):
        yield f"any-cut-progressive-{tenth}.jpg", progressive[: len(progressive) * tenth // 10]


def _flipped(seed: int) -> Iterator[tuple[str, bytes]]:
    chance = random.Random(seed)
    for image_format in FLIPPED_FORMATS:
        data = image_bytes(image_format, size=(120, 90), text="flipped")
        for number in range(FLIPS_PER_FORMAT):
            damaged = bytearray(data)
            # Headers are where decoders take sizes from: half of the flips are there.
            end = 200 if number % 2 else len(data)
            for _ in range(1 + number % 12):
                damaged[chance.randrange(min(end, len(data)))] = chance.randrange(256)
            extension = _EXTENSIONS.get(image_format, image_format.lower())
            yield f"any-flipped-{number:02d}.{extension}", bytes(damaged)


def _bombs() -> Iterator[tuple[str, bytes]]:
    yield "bad-400-megapixels.png", _flat_png(20_000, 20_000)
    yield "bad-3600-megapixels.png", png_that_claims(60_000, 60_000)
    yield "sound-63-megapixels.png", _flat_png(9_000, 7_000)
    yield "sound-3000-frames.gif", _gif_of_frames(3000)
    yield "bad-4-gigapixels.gif", b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + bytes(3) + b";"
    jpeg = image_bytes("JPEG")
    frame = jpeg.index(b"\xff\xc0") + 5
    yield "bad-4-gigapixels.jpg", jpeg[:frame] + struct.pack(">HH", 65_000, 65_000) + jpeg[frame + 4 :]
    yield "any-60-megapixels.jpg", jpeg[:frame] + struct.pack(">HH", 6_000, 10_000) + jpeg[frame + 4 :]
    progressive = encoded(draw_image((1000, 1000)), "JPEG", progressive=True)
    last_scan = progressive[progressive.rindex(b"\xff\xda") : -2]
    yield "any-many-scans.jpg", progressive[:-2] + last_scan * 500 + progressive[-2:]
    webp = encoded(draw_image().convert("RGBA"), "WEBP", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0")
    yield "bad-268-megapixels.webp", webp[:24] + b"\xff\x3f\0\xff\x3f\0" + webp[30:]
    tiff = encoded(draw_image(), "TIFF")
    yield "bad-giant.tif", tiff.replace(struct.pack("<HHIHH", 256, 4, 1, 64, 0), _tiff_long(256, 2**31 - 1))
    yield "any-tiff-of-itself.tif", b"II*\0" + struct.pack("<IH", 8, 1) + _tiff_long(330, 8) + bytes(4)
    bitmap = encoded(draw_image().convert("P"), "BMP")
    yield "bad-giant.bmp", bitmap[:18] + struct.pack("<ii", 2**31 - 1, -(2**31)) + bitmap[26:]
    pixels = struct.unpack_from("<I", bitmap, 10)[0]
    yield "any-run-lengths.bmp", bitmap[:30] + struct.pack("<I", 1) + bitmap[34:pixels] + b"\0\0" * 500_000


def _metadata() -> Iterator[tuple[str, bytes]]:
    bomb = zlib.compress(bytes(300_000_000), 9)
    yield "any-iccp-bomb.png", png_with(png_chunk(b"iCCP", b"profile\0\0" + bomb))
    yield "any-ztxt-bomb.png", png_with(png_chunk(b"zTXt", b"Comment\0\0" + bomb))
    yield "any-itxt-bomb.png", png_with(png_chunk(b"iTXt", b"Comment\0\1\0\0\0" + bomb))
    small = zlib.compress(bytes(1_000_000), 9)
    yield "any-many-ztxt.png", png_with(png_chunk(b"zTXt", b"Comment\0\0" + small) * 300)
    yield "sound-many-chunks.png", png_with(png_chunk(b"prVt", b"") * 150_000)
    yield "any-exif-bomb.jpg", jpeg_with(jpeg_segment(0xE1, b"Exif\0\0" + exif_bomb()))
    yield "any-exif-bomb-in-parts.jpg", jpeg_with(jpeg_segment(0xE1, b"Exif\0\0" + exif_bomb()) * 20)
    yield "any-mpf-bomb.jpg", jpeg_with(jpeg_segment(0xE2, b"MPF\0" + exif_bomb()))
    yield "any-exif-bomb.png", png_with(png_chunk(b"eXIf", exif_bomb(900_000, 60_000)))
    profile = zlib.compress(b"\nexif\n900000\n" + exif_bomb(450_000, 30_000).hex().encode())
    yield "any-exif-bomb-raw.png", png_with(png_chunk(b"zTXt", b"Raw profile type exif\0\0" + profile))
    yield "sound-much-fill.jpg", jpeg_with(b"\xff" * 2_000_000)
    yield "sound-many-comments.jpg", jpeg_with(jpeg_segment(0xFE, b"") * 300_000)
    gif = image_bytes("GIF")
    start = gif.index(b"\x2c", 13 + 3 * 2 ** ((gif[10] & 7) + 1)) if gif[10] & 0x80 else 13
    comment = b"\x21\xfe" + (b"\xff" + b"c" * 255) * 8000 + b"\0"
    yield "sound-long-comment.gif", gif[:start] + comment + gif[start:]


def _impostors() -> Iterator[tuple[str, bytes]]:
    """Wrong extensions, documents posing as images, and files that are two things at once."""
    for name, data in damaged_images().items():
        yield f"bad-{name}.jpg", data
    markup = "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    yield "bad-svg-with-declaration.jpg", ("<?xml version='1.0'?>" + markup).encode()
    yield "bad-html-behind-a-mark.png", b"\xef\xbb\xbf \n<html><body>not found</body></html>"
    yield "bad-script.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(rm) system\nshowpage\n"
    yield "bad-document.jpg", b"%PDF-1.7\n1 0 obj <</Type /Catalog>> endobj\n"
    yield "bad-photoshop.png", b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 9, 9, 8, 3) + bytes(40)
    yield "bad-archive.jpg", b"PK\x03\x04" + bytes(100)
    yield "bad-portable-pixmap.jpg", b"P6 60000 60000 255\n" + bytes(100)
    yield "bad-heic.heic", struct.pack(">I", 24) + b"ftypheic" + bytes(12) + bytes(100)
    yield "sound-png-named.jpg", image_bytes("PNG")
    yield "sound-jpeg-named.png", image_bytes("JPEG")
    yield "sound-webp-named.gif", image_bytes("WEBP")
    yield (
        "sound-jpeg-and-zip.jpg",
        image_bytes("JPEG") + b"PK\x03\x04" + bytes(100) + b"PK\x05\x06" + bytes(18),
    )
    yield "sound-jpeg-and-html.jpg", jpeg_with(jpeg_segment(0xFE, b"<script>alert(1)</script>"))
    yield "sound-png-and-php.png", image_bytes("PNG") + b"<?php system($_GET['c']); ?>"
    gif = image_bytes("GIF")
    yield "sound-gif-and-script.gif", gif + b"*/=1;alert(1)"
    yield "bad-gif-only-in-name.gif", b"GIF89a/*" + b"*/=1;alert(1);//" * 20


def _headers() -> Iterator[tuple[str, bytes]]:
    """Sizes of nothing and headers without a body."""
    png, jpeg = png_that_claims(0, 0), image_bytes("JPEG")
    yield "bad-0x0.png", png
    yield "bad-0x9.png", png_that_claims(0, 9)
    frame = jpeg.index(b"\xff\xc0") + 5
    yield "bad-0x0.jpg", jpeg[:frame] + bytes(4) + jpeg[frame + 4 :]
    yield "bad-0x0.gif", b"GIF89a" + bytes(7) + b";"
    for magic in (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0", b"MM\0*", b"\0\0\1\0"):
        yield f"bad-only-{magic.hex()}.jpg", magic
        yield f"bad-zeros-behind-{magic.hex()}.jpg", magic + bytes(500)
    yield "bad-only-riff.webp", b"RIFF\x10\0\0\0WEBPVP8X"
    yield "bad-only-ftyp.avif", struct.pack(">I", 24) + b"ftypavif" + bytes(12)
    yield "any-arithmetic.jpg", jpeg.replace(b"\xff\xc0", b"\xff\xc9")
    yield "any-12-bit.jpg", jpeg.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc1\0\x11\x0c")


def _flat_png(width: int, height: int) -> bytes:
    """A sound PNG of one bit a pixel, all black: some kB, whatever its size."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    pixels = zlib.compress(bytes((width // 8 + 1) * height), 1)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        png_chunk(kind, data) for kind, data in ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    )


def _gif_of_frames(count: int) -> bytes:
    head = b"GIF89a" + struct.pack("<HH", 9, 9) + b"\x80\0\0" + b"\0\0\0\xff\xff\xff"
    frame = b"\x21\xf9\x04\0\0\0\0\0" + b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\0"
    return head + frame * count + b";"


def _tiff_long(tag: int, value: int) -> bytes:
    return struct.pack("<HHII", tag, 4, 1, value)


def hostile_tars() -> dict[str, bytes]:
    """Tars by name; each holds `good.jpg`, which is sound, before what is hostile."""
    jpeg = image_bytes("JPEG")
    lying = _tar([("good.jpg", jpeg), ("lying.jpg", jpeg)])
    header = bytearray(lying[_second_header(jpeg) :][:512])
    return {
        "traversal.tar": _tar(
            [("good.jpg", jpeg), ("../../../etc/cron/owned.jpg", jpeg), ("../up.txt", b"x")]
        ),
        "absolute.tar": _tar([("good.jpg", jpeg), ("/etc/owned.jpg", jpeg), ("/tmp/owned.txt", b"text")]),
        "links.tar": _tar(
            [("good.jpg", jpeg)],
            links=[("soft.jpg", "/etc/passwd", tarfile.SYMTYPE), ("hard.jpg", "good.jpg", tarfile.LNKTYPE)],
        ),
        "devices.tar": _tar(
            [("good.jpg", jpeg)],
            links=[("zero.jpg", "", tarfile.CHRTYPE), ("pipe.jpg", "", tarfile.FIFOTYPE)],
        ),
        "too-long.tar": _patched(lying, jpeg, _sized(header, 10**9)),
        "too-short.tar": _patched(lying, jpeg, _sized(header, 100)),
        "negative.tar": _patched(lying, jpeg, _sized(header, -5)),
        "duplicates.tar": _tar([("good.jpg", jpeg), ("twice.jpg", jpeg), ("twice.jpg", image_bytes("PNG"))]),
        "odd-names.tar": _tar([("good.jpg", jpeg), ("a\nb';--.jpg", jpeg), ("\u202egnp.jpg", jpeg)]),
    }


def _second_header(jpeg: bytes) -> int:
    return 512 + -(-len(jpeg) // 512) * 512


def _patched(tar: bytes, jpeg: bytes, header: bytes) -> bytes:
    start = _second_header(jpeg)
    return tar[:start] + header + tar[start + 512 :]


def _sized(header: bytearray, size: int) -> bytes:
    """A tar header that declares another size, with a right checksum."""
    changed = bytearray(header)
    field = b"%011o\0" % size if size >= 0 else b"\xff" * 11 + bytes([256 + size])
    changed[124:136] = field
    changed[148:156] = b" " * 8
    changed[148:156] = b"%06o\0 " % sum(changed)
    return bytes(changed)


def _tar(members: list[tuple[str, bytes]], *, links: list[tuple[str, str, bytes]] | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name, target, kind in links or []:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            archive.addfile(info)
    return buffer.getvalue()
