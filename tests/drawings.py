"""What tests ask of the report's drawings (SVG)."""

from __future__ import annotations

import re
from xml.etree import ElementTree


def style_of(element: ElementTree.Element) -> dict[str, str]:
    """The declarations of an element's `style`."""
    pairs = (part.split(":") for part in element.attrib.get("style", "").split(";") if ":" in part)
    return {name.strip(): value.strip() for name, value in pairs}


def texts_inside(root: ElementTree.Element) -> list[str]:
    """Assert that every text lies inside the drawing; the texts."""
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    texts = [element for element in root.iter() if element.tag.endswith("text")]
    assert texts, "a drawing without text"
    for element in texts:
        x, y = map(float, re.findall(r"-?[\d.]+", element.attrib["transform"])[-2:])
        share_left = {"middle": 0.5, "end": 1.0}.get(style_of(element).get("text-anchor", ""), 0.0)
        length = 0.65 * float(style_of(element)["font-size"].removesuffix("px")) * len(element.text or "")
        assert x - share_left * length >= 0, element.text
        assert x + (1 - share_left) * length <= width, element.text
        assert 0 < y < height, element.text
    return [element.text or "" for element in texts]
