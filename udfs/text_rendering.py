"""Draw a text on a small canvas as the paper's synthetic images (§5.2): one line, centred, four colour styles.

Pure: no Spark. Fonts are files that were staged before.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

CANVAS_PX = 224
FONT_PX = 32
MAX_CHARACTERS = 2000
"""Longer texts are refused: CLIP reads a sixth of this, and a canvas shows a hundredth."""

RENDERER_VERSION = 1
"""Part of what decides a score: to be raised when equal settings draw other pixels."""

# Characters that are meant to leave no mark: joiners and the like (Cf), and variation selectors.
_VARIATION_SELECTORS = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))


@dataclass(frozen=True)
class Style:
    """Colours of a rendered text.

    Attributes:
        name: As the paper names it: text colour, then background.
        text: Colour of the text, by Pillow's name.
        background: Colour of the canvas.
    """

    name: str
    text: str
    background: str


STYLES = (
    Style("black-white", text="black", background="white"),
    Style("white-black", text="white", background="black"),
    Style("white-grey", text="white", background="gray"),
    Style("black-grey", text="black", background="gray"),
)
"""The paper's four styles, in the order of its code: (white, black), (black, white), (gray, white), (gray, black)
as (background, text)."""


def default_font() -> Path:
    """DejaVu Sans, which comes with matplotlib."""
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"


def available_layout() -> str:
    """How this machine's Pillow lays out text: `raqm` (shaping, both directions), or `basic`."""
    from PIL import features

    return "raqm" if features.check("raqm") else "basic"


class TextRenderer:
    """Draws texts with one font. Not for several threads at once.

    Args:
        font: TrueType or OpenType file.
        layout: `raqm` or `basic`, see `available_layout`.

    Raises:
        ValueError: If the file is no font with a Unicode character map, or this machine lacks the layout.
    """

    def __init__(self, font: Path, layout: str) -> None:
        from matplotlib.ft2font import FT2Font
        from PIL import ImageFont

        if layout == "raqm" and available_layout() != "raqm":
            raise ValueError(
                "the driver's Pillow lays out text with Raqm, this worker's cannot: install FriBiDi on all "
                "machines, or on none"
            )
        engine = ImageFont.Layout.RAQM if layout == "raqm" else ImageFont.Layout.BASIC
        try:
            self._font = ImageFont.truetype(str(font), FONT_PX, layout_engine=engine)
            self._characters = frozenset(FT2Font(str(font)).get_charmap())
        except (OSError, RuntimeError) as error:
            raise ValueError(f"{font} is no TrueType or OpenType font: {error}") from error
        if not self._characters:
            raise ValueError(f"{font} has no Unicode character map")
        self._is_shaping = layout == "raqm"

    def fault(self, text: str) -> str | None:
        """Why the font cannot show a text; None where it can."""
        if len(text) > MAX_CHARACTERS:
            return f"text of {len(text):,} characters, more than {MAX_CHARACTERS:,}"
        missing = dict.fromkeys(c for c in text if ord(c) not in self._characters and not _is_unseen(c))
        if missing:
            return f"the font has no glyph for {', '.join(_named(c) for c in list(missing)[:5])}"
        if not self._is_shaping and any(unicodedata.bidirectional(c) in ("R", "AL", "AN") for c in text):
            return "right-to-left text needs Pillow with Raqm, which this machine lacks"
        left, top, right, bottom = self._box(text)
        return None if right > left and bottom > top else "the text leaves no mark on the canvas"

    def width(self, text: str) -> int:
        """Width of the text's box as Pillow measures it: advances across, ink down; px."""
        left, _, right, _ = self._box(text)
        return round(right - left)

    def render(self, text: str, style: Style) -> NDArray[np.uint8]:
        """Draw a text.

        Args:
            text: One line; what is wider than the canvas is cut at both ends.
            style: Its colours.

        Returns:
            Shape (224, 224, 3), RGB. The middle of the text's box is the middle of the canvas, to a pixel.
        """
        from PIL import Image, ImageDraw

        canvas = Image.new("RGB", (CANVAS_PX, CANVAS_PX), style.background)
        left, top, right, bottom = self._box(text)
        origin = ((CANVAS_PX - (right - left)) // 2 - left, (CANVAS_PX - (bottom - top)) // 2 - top)
        ImageDraw.Draw(canvas).text(origin, text, fill=style.text, font=self._font)
        return np.asarray(canvas)

    def _box(self, text: str) -> tuple[int, int, int, int]:
        """The text's box (left, top, right, bottom), px from where the text is put."""
        left, top, right, bottom = self._font.getbbox(text)
        return round(left), round(top), round(right), round(bottom)


def _is_unseen(character: str) -> bool:
    code = ord(character)
    return unicodedata.category(character) == "Cf" or any(code in block for block in _VARIATION_SELECTORS)


def _named(character: str) -> str:
    return f"U+{ord(character):04X} {unicodedata.name(character, 'without a name')}"
