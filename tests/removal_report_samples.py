"""Text-removal content with invented numbers, for the report's tests."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np

from schemas.stat_relative_score import BIN_WIDTH
from schemas.stat_text_removal import REMOVAL_IMAGE_TYPES
from spark_jobs.report.content import RemovalContent, RemovalSample
from tests.report_samples import gallery_sample

MODEL = "ViT-B-32/some"
MEANS = dict(zip(REMOVAL_IMAGE_TYPES, (0.3011, 0.3123, 0.3037, 0.2741, 0.3155, 0.3109, 0.2787), strict=True))


def image_type_rows(model: str = MODEL, *, groups: int | None = 12) -> list[dict[str, object]]:
    return [
        {
            "model": model,
            "image_type": name,
            "images": 10_001 + place,
            "mean": mean,
            "std": 0.0501 + place / 1000,
            "groups": groups,
            "mean_over_groups": None if groups is None else mean + 0.0003,
            "spread_over_groups": None if groups is None else 0.0111 + place / 1000,
            "images_hit": 37 if name.startswith("random_") else None,
            "mean_hit_share": 0.0123 if name.startswith("random_") else None,
        }
        for place, (name, mean) in enumerate(MEANS.items())
    ]


def group_rows(model: str = MODEL, *, groups: int = 12) -> list[dict[str, object]]:
    draw = random.Random(3)
    rows = []
    for group in range(-1, groups):
        shift = draw.uniform(-0.03, 0.03)
        for name, mean in MEANS.items():
            value = mean + shift + draw.uniform(-0.008, 0.008)
            rows.append({"level": "group", "cluster_id": group, "model": model, "image_type": name})
            rows[-1] |= {"images": 101, "mean": value}
            rows.append({**rows[-1], "level": "cluster", "cluster_id": group + 50})
    return rows


def relative_row(name: str, center: float, *, model: str = MODEL, images: int = 5_000) -> dict[str, object]:
    values = np.random.default_rng(5).normal(center, 0.06, images)
    lows, counts = np.unique(np.floor(values / BIN_WIDTH).astype(int), return_counts=True)
    below = int((values < 0).sum())
    half = 1.96 * values.std(ddof=1) / images**0.5
    return {
        "model": model,
        "relative_score": name,
        "images": images,
        "mean": float(values.mean()),
        "mean_low": float(values.mean() - half),
        "mean_high": float(values.mean() + half),
        "std": float(values.std(ddof=1)),
        "images_below_zero": below,
        "share_below_zero": below / images,
        "histogram": [
            {"low": low * BIN_WIDTH, "images": int(count)} for low, count in zip(lows, counts, strict=True)
        ],
    }


def relative_rows(model: str = MODEL) -> list[dict[str, object]]:
    centres = {"rsa": 0.04, "rsc": 0.035, "co_minus_all": 0.005, "random_minus_co": 0.03}
    return [relative_row(name, centre, model=model) for name, centre in centres.items()]


def removal_sample(**changes: object) -> RemovalSample:
    base = RemovalSample(
        before=gallery_sample(),
        after=np.full((40, 60, 3), 95, dtype=np.uint8),
        score_raw=0.3721,
        score_removed=0.1934,
        rsa=0.1787,
    )
    return replace(base, **changes)


def removal(**changes: object) -> RemovalContent:
    base = RemovalContent(
        image_types=tuple(image_type_rows()),
        clusters=tuple(group_rows()),
        relative_scores=tuple(relative_rows()),
        gallery_model=MODEL,
        drops=(removal_sample(),),
        rises=(removal_sample(score_raw=0.2812, score_removed=0.3913, rsa=-0.1101),),
    )
    return replace(base, **changes)
