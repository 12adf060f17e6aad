"""Text-removal images and their CLIP scores: the four variants of the paper's section 5.1, in one pass.

An image is decoded and inpainted once for all models, in the decoding threads; `predict` then scores the raw
image and its variants with the unchanged caption.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from schemas.text_removal_scores import RANDOM_VARIANTS, VARIANTS
from udfs.clip_model import ClipFactory, ClipModel, cleaned_caption
from udfs.geometry import from_points
from udfs.inpainting import InpaintParams, fill_regions, mask_share, regions_of
from udfs.placement import CELLS, hit_share, kept_off

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from udfs.model_api import Result, Row
    from udfs.weights import WeightFile

RAW = "raw"
MASKS = {"all_emb": "readings", "co_emb": "words"}
"""Whose polygons are removed; it decides a score, so it enters the run key."""
RANDOM = {"donors": "of the same population", "kept_off_own_text": CELLS}
"""Where the random removals fill in; the same."""


@dataclass(frozen=True)
class RemovalFactory:
    """Loads the CLIP models that score text-removal images.

    Attributes:
        clips: The models, in the order of the results.
        params_of_fill: How text is filled in.
        batch_size: Images per forward pass.
    """

    clips: tuple[ClipFactory, ...]
    params_of_fill: InpaintParams
    batch_size: int = 32

    @property
    def params(self) -> dict[str, Any]:
        """Everything that decides a score, as JSON types."""
        return {
            "inpaint": self.params_of_fill.as_json(),
            "masks": MASKS,
            "random": RANDOM,
            "models": [clip.params for clip in self.clips],
        }

    @property
    def files(self) -> tuple[WeightFile, ...]:
        """Files that a worker needs, each once."""
        return tuple(dict.fromkeys(file for clip in self.clips for file in clip.files))

    def load(self) -> RemovalModel:
        """Load all models: they share the worker's memory."""
        return RemovalModel(
            [clip.load() for clip in self.clips], self.params_of_fill, batch_size=self.batch_size
        )


@dataclass(frozen=True, eq=False)
class RemovalInput:
    """An image and its variants as the models take them.

    Attributes:
        images: Per model the distinct images, each of shape (3, size, size); empty without a caption.
        position: Index into a model's images by variant and `raw`; variants that do not exist are absent.
        shares: Share of pixels removed, by variant; None where it does not exist.
        hits: Share of the own text's pixels that a random variant removes, by variant; None where it does not exist.
    """

    images: list[list[NDArray[np.float32]]]
    position: dict[str, int]
    shares: dict[str, float | None]
    hits: dict[str, float | None]


class RemovalModel:
    """CLIP models over text-removal images, as an `ImageModel`."""

    def __init__(self, clips: Sequence[ClipModel], params: InpaintParams, *, batch_size: int) -> None:
        self._clips = clips
        self._params = params
        self._batch_size = batch_size

    def prepare(self, image: NDArray[np.uint8], data: bytes | None = None) -> RemovalInput:
        """The raw image alone; `prepare_row` is what the adapter calls."""
        return self.prepare_row(image, {})

    def prepare_row(self, image: NDArray[np.uint8], row: Row) -> RemovalInput:
        """Make the variants and prepare them for every model.

        Args:
            image: Decoded, (height, width, 3) RGB uint8, EXIF-upright, full size.
            row: `caption`, and `text`, `donor` and `co_donor` as `variant_polygons` reads them.
        """
        height, width = image.shape[:2]
        polygons = variant_polygons(row, width=width, height=height, dilation=self._params.dilation)
        regions = {
            variant: regions_of(polygons.get(variant, ()), width=width, height=height, params=self._params)
            for variant in VARIANTS
        }
        shares = {
            variant: mask_share(found, width=width, height=height) if found else None
            for variant, found in regions.items()
        }
        hits = {
            variant: hit_share(regions[variant], regions["all_removed"], width=width, height=height)
            if regions[variant]
            else None
            for variant in RANDOM_VARIANTS
        }
        if cleaned_caption(row.get("caption")) is None:
            return RemovalInput([[] for _ in self._clips], {}, shares, hits)
        distinct = [image]
        position = {RAW: 0}
        done: dict[Hashable, NDArray[np.uint8]] = {}
        by_regions: dict[tuple[Hashable, ...], int] = {}
        for variant, found in regions.items():
            if not found:
                continue
            # A pure parrot's All-Emb. text is its Co-Emb. text.
            identity = tuple(region.identity for region in found)
            if identity not in by_regions:
                by_regions[identity] = len(distinct)
                distinct.append(fill_regions(image, found, self._params, done=done))
            position[variant] = by_regions[identity]
        return RemovalInput(
            [[clip.prepare(pixels) for pixels in distinct] for clip in self._clips], position, shares, hits
        )

    def predict(self, prepared: Sequence[RemovalInput], rows: Sequence[Row]) -> list[Result]:
        """Score a batch.

        Args:
            prepared: Images as `prepare_row` returns them.
            rows: The same samples' columns; `caption` is scored, donors are named, `has_text` is passed on.

        Returns:
            Per sample `has_text`, `donor_id`, `co_donor_id`, `mask_share_VARIANT`, `hit_share_VARIANT`, and `scores`:
            one mapping of `score_raw` and `score_VARIANT` per model, with None where a variant or the caption does not
            exist.

        Raises:
            ValueError: If a score is not finite (half precision can overflow).
        """
        captions = [cleaned_caption(row.get("caption")) for row in rows]
        texts = [caption for caption in captions if caption is not None]
        by_model = [
            self._scores(clip, [item.images[number] for item in prepared], captions=captions, texts=texts)
            for number, clip in enumerate(self._clips)
        ]
        results: list[Result] = []
        for index, (item, row) in enumerate(zip(prepared, rows, strict=True)):
            scores = [_by_variant(item.position, model_scores[index]) for model_scores in by_model]
            shares = {f"mask_share_{variant}": share for variant, share in item.shares.items()}
            hits = {f"hit_share_{variant}": share for variant, share in item.hits.items()}
            donors = {f"{name}_id": (row.get(name) or {}).get("sample_id") for name in ("donor", "co_donor")}
            results.append({"has_text": row.get("has_text"), **donors, **shares, **hits, "scores": scores})
        return results

    def _scores(
        self,
        clip: ClipModel,
        images: list[list[NDArray[np.float32]]],
        *,
        captions: list[str | None],
        texts: list[str],
    ) -> list[list[float]]:
        """One model's cosines, by sample and image."""
        flat = [image for of_sample in images for image in of_sample]
        pieces = [
            clip.embed_images(flat[start : start + self._batch_size])
            for start in range(0, len(flat), self._batch_size)
        ]
        image_vectors = iter(np.concatenate(pieces)) if pieces else iter(())
        text_vectors = iter(clip.embed_texts(texts)) if texts else iter(())
        scores: list[list[float]] = []
        for of_sample, caption in zip(images, captions, strict=True):
            text_vector = next(text_vectors) if caption is not None else None
            scores.append([_cosine(next(image_vectors), text_vector) for _ in of_sample])
        return scores


def variant_polygons(
    row: Row, *, width: int, height: int, dilation: int = 0
) -> dict[str, list[NDArray[np.float64]]]:
    """The polygons that each variant removes.

    Args:
        row: `text` (None without any): `all_emb` and `co_emb`, lists of polygons as the tables hold them, px of
            the image; `donor` and `co_donor` (None without any): another sample's `polygons` of all its text, and
            of its co-emb text, with `width` and `height` of its image, px.
        width: Image width, px.
        height: Image height, px.
        dilation: Polygons are widened by this before they are filled in, px.

    Returns:
        Polygons by variant, px of the image. Random ones are the donor's at the same relative coordinates, moved
        where they would hit the image's own text. Only an image with co-emb text has random Co-Emb. polygons.
    """
    text = row.get("text")
    if text is None:
        return {}
    found = {"all_removed": _polygons(text["all_emb"]), "co_removed": _polygons(text["co_emb"])}
    own = found["all_removed"]
    donors = {"random_all_removed": "donor"} | ({"random_co_removed": "co_donor"} if text["co_emb"] else {})
    for variant, name in donors.items():
        donor = row.get(name)
        if donor is not None and donor["width"] and donor["height"]:
            scale = np.array([width / donor["width"], height / donor["height"]])
            scaled = [polygon * scale for polygon in _polygons(donor["polygons"])]
            found[variant] = kept_off(scaled, own, width=width, height=height, dilation=dilation)
    return found


def _polygons(points: Sequence[Sequence[dict[str, float]] | None]) -> list[NDArray[np.float64]]:
    return [from_points(polygon or ()) for polygon in points]


def _cosine(image_vector: NDArray[np.float32], text_vector: NDArray[np.float32] | None) -> float:
    assert text_vector is not None, "images are prepared only where there is a caption"
    score = float(np.dot(image_vector, text_vector))
    if not np.isfinite(score):
        raise ValueError("the embedding is not finite; use embed.precision=fp32 or bf16")
    return min(max(score, -1.0), 1.0)


def _by_variant(position: Mapping[str, int], scores: Sequence[float]) -> dict[str, float | None]:
    return {
        f"score_{name}": scores[position[name]] if name in position else None for name in (RAW, *VARIANTS)
    }
