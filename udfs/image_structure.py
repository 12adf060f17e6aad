"""What a file is and whether it is built as its kind usually is, told from its bytes without a decoder.

Pillow's openers and the C decoders behind them are sound on ordinary files. What is unusual (rare formats, many
frames or scans, large or nested metadata) is where their time and memory have no bound, and where their bugs
are: such a file is decoded in a process that may die (`udfs.guarded_decode`).
"""

from __future__ import annotations

import re
import struct

# Formats that are opened at all, by their first bytes. Pillow can open some forty more, several of them through
# code that nobody maintains or other programs (EPS runs Ghostscript).
_MAGIC = (
    ("JPEG", re.compile(rb"\xff\xd8\xff")),
    ("PNG", re.compile(rb"\x89PNG")),
    ("WEBP", re.compile(rb"RIFF....WEBP", re.DOTALL)),
    ("GIF", re.compile(rb"GIF8[79]a")),
    ("BMP", re.compile(rb"BM")),
    ("TIFF", re.compile(rb"II[*+]\0|MM\0[*+]")),
    ("AVIF", re.compile(rb"....ftyp.{0,24}?avi[fs]", re.DOTALL)),
    ("JPEG2000", re.compile(rb"\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51")),
    ("ICO", re.compile(rb"\0\0\x01\0")),
)
_OTHERS = (
    ("HTML, SVG or other markup", re.compile(rb"(?:\xef\xbb\xbf)?\s*<[!?a-zA-Z]")),
    ("PDF", re.compile(rb"%PDF")),
    ("PostScript", re.compile(rb"%!|\xc5\xd0\xd3\xc6")),
    ("Photoshop", re.compile(rb"8BPS")),
    ("HEIC", re.compile(rb"....ftyp(?:hei|hev|mif1|msf1)", re.DOTALL)),
    ("JPEG XL", re.compile(rb"\xff\x0a|\0\0\0\x0cJXL ")),
    ("ZIP", re.compile(rb"PK\x03\x04")),
    ("gzip", re.compile(rb"\x1f\x8b")),
    ("text", re.compile(rb"[\t\n\r\x20-\x7e]{4,}\Z")),
)
FORMATS = tuple(name for name, _ in _MAGIC)

# A decode within these costs 0.2 GB and some tenths of a second; see `plain_pixels`.
_PLAIN_PIXELS = 16_000_000
_ALWAYS_PLAIN_PIXELS = 4_000_000
_PIXELS_PER_BYTE = 50  # photos have 3 to 30, flat drawings more but are small
_METADATA_BYTES = 1_000_000  # colour profiles of printing presses take 0.7 MB
_EXIF_BYTES = 256 * 1024
# Every entry may claim the whole block as its value, and Pillow copies it for each.
_EXIF_ENTRIES = 200
_FRAMES = 1000
_SCANS = 32  # encoders write up to 12; each costs a pass over the whole image
_SEGMENTS = 500
_PNG_CHUNKS = 20_000
_GIF_BLOCKS = 4000
_HEAD_BYTES = 32

Fault = str | None


def format_of(data: bytes) -> str | None:
    """Pillow's name of the format that the first bytes show; None for what is never opened."""
    head = data[:_HEAD_BYTES]
    return next((name for name, magic in _MAGIC if magic.match(head)), None)


def look_of(data: bytes) -> str:
    """What bytes of no supported format look like, for a message."""
    head = data[:_HEAD_BYTES]
    known = next((name for name, magic in _OTHERS if magic.match(head)), None)
    return f"the file is {known}" if known else f"the file begins with {head[:8]!r}"


def plain_pixels(size: int) -> int:
    """Largest number of pixels that a file of `size` bytes may have to be decoded like any other.

    Many pixels in few bytes is what decompression bombs are.
    """
    return min(_PLAIN_PIXELS, max(_ALWAYS_PLAIN_PIXELS, _PIXELS_PER_BYTE * size))


def oddity(data: bytes) -> str | None:
    """Why a file should not be decoded in this process; None for an ordinary one.

    Costs some microseconds. A cut or damaged file is not odd by itself: opening it gives an error.

    Args:
        data: The stored file, of a format that `format_of` names.
    """
    kind = format_of(data)
    check = _CHECKS.get(kind or "")
    if check is None:
        return f"{kind} is decoded apart"
    try:
        return check(data)
    except (struct.error, IndexError):  # the file ends within its header
        return None


def _jpeg(data: bytes) -> Fault:
    position, is_framed, tiffs = 2, False, 0
    for _ in range(_SEGMENTS):
        start, marker, length = struct.unpack_from(">BBH", data, position)
        if start != 0xFF or marker in _BARE_MARKERS:
            return "its header is no sequence of segments"
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if marker == 0xDA:
            return (
                None if is_framed and data.count(b"\xff\xda") <= _SCANS else "it has many scans or no frame"
            )
        if marker in _FRAME_MARKERS:
            is_framed = True
            if marker > 0xC2 or data[position + 4] != 8 or data[position + 9] not in (1, 3, 4):
                return "its coding is unusual"
        elif marker in (0xE1, 0xE2) and data[position + 4 : position + 8] in (b"Exif", b"MPF\0"):
            tiffs += 1
            skipped = 10 if marker == 0xE1 else 8
            if tiffs > 2 or _is_odd_exif(data[position + skipped : position + 2 + length]):
                return "its EXIF block is unusual"
        position += 2 + length
        if position > _METADATA_BYTES:
            break
    return "it has much metadata"


_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # tables and an extension lie between
_BARE_MARKERS = frozenset([0x00, 0x01, *range(0xD0, 0xDA)])


def _png(data: bytes) -> Fault:
    position, metadata = 8, 0
    for _ in range(_PNG_CHUNKS):
        length, kind = struct.unpack_from(">I4s", data, position)
        body = position + 8
        position = body + length + 4
        if kind == b"IDAT":
            continue
        if kind == b"IEND":
            return None
        metadata += length + 12
        if metadata > _METADATA_BYTES:
            break
        if kind == b"eXIf" and _is_odd_exif(data[body : body + length]):
            return "its EXIF block is unusual"
        # EXIF as ImageMagick writes it: hidden, and compressed
        if kind in (b"tEXt", b"zTXt", b"iTXt") and data.startswith(b"Raw profile type", body):
            return "it has a raw profile"
        if kind == b"acTL" and struct.unpack_from(">I", data, body)[0] > _FRAMES:
            return "it has many frames"
    return "it has many chunks or much metadata"


def _gif(data: bytes) -> Fault:
    if data.count(b"\x21\xf9\x04") > _FRAMES:
        return "it has many frames"
    flags = data[10]
    position = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    blocks = 0
    while data[position] == 0x21 and blocks < _GIF_BLOCKS:
        position += 2
        while data[position]:
            position += 1 + data[position]
            blocks += 1
        position += 1
        blocks += 1
    return "it has many blocks before its first frame" if blocks >= _GIF_BLOCKS else None


def _webp(data: bytes) -> Fault:
    size = _webp_size(data)
    if size is None or size[0] * size[1] > plain_pixels(len(data)):
        return "its size is large or unknown"  # libwebp takes memory for it when the file is opened
    position, metadata, frames = 12, 0, 0
    while position + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, position)
        body = position + 8
        position = body + length + (length & 1)
        if kind == b"ANMF":
            frames += 1
        elif kind not in (b"VP8 ", b"VP8L", b"ALPH"):
            metadata += length + 8
        exif = data[body : body + length].removeprefix(b"Exif\0\0") if kind == b"EXIF" else None
        if frames > _FRAMES or metadata > _METADATA_BYTES or (exif is not None and _is_odd_exif(exif)):
            return "it has many frames, much metadata or an unusual EXIF block"
    return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L" and data[20] == 0x2F:
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _bmp(data: bytes) -> Fault:
    header, compression = struct.unpack_from("<I", data, 14)[0], struct.unpack_from("<I", data, 30)[0]
    # Pillow decodes run lengths in Python. 3 is "bit fields": not compressed.
    return "it is compressed" if header >= 40 and compression not in (0, 3) else None


def _is_odd_exif(tiff: bytes) -> bool:
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or len(tiff) > _EXIF_BYTES:
        return True
    try:
        (offset,) = struct.unpack_from(order + "I", tiff, 4)
        (entries,) = struct.unpack_from(order + "H", tiff, offset)
    except struct.error:
        return False  # nothing that could be read
    return bool(entries > _EXIF_ENTRIES)


_CHECKS = {"JPEG": _jpeg, "PNG": _png, "GIF": _gif, "WEBP": _webp, "BMP": _bmp}
