"""Whose polygons a random removal takes, what is removed, and what the comparison with it finds."""

from __future__ import annotations

import math

import numpy as np
from pyspark.sql import functions as F

from schemas import caption_overlap, spotted_text
from spark_jobs.sql.steps import run_steps
from spark_jobs.sql.text_removal import relative_score_steps, text_removal_steps
from spark_jobs.stages.remove_text import with_donors
from tests import removal_simulation as simulation
from tests.removal_samples import PAIRS, assignments_frame, counted, removal_row, scores_frame, used_words
from udfs.inpainting import InpaintParams, inpaint
from udfs.text_removal import variant_polygons


def inputs_of(spark, order):
    rows = []
    for name in order:
        words = [(text, sure, [(0.0, 0.0)], 0) for text, sure in PAIRS[name][1] or []]
        rows.append((name[0], name, words, [("", 0.5, [(0.0, 0.0)])], used_words(name), 10, 10))
    return spark.createDataFrame(rows, joined_type())


def joined_type():
    words, lines, used = (
        table.schema[name].dataType.simpleString()
        for table, name in (
            (spotted_text.TABLE, "words"),
            (spotted_text.TABLE, "lines"),
            (caption_overlap.TABLE, "used_words"),
        )
    )
    return (
        f"shard_id string, sample_id string, words {words}, lines {lines}, used_words {used}, "
        "text_width int, text_height int"
    )


def donors(frame, seed=0, *, kind="donor"):
    rows = (
        with_donors(frame, seed=seed).select("sample_id", F.col(f"{kind}.sample_id").alias("donor")).collect()
    )
    assert len(rows) == len(PAIRS)
    return {row["sample_id"]: row["donor"] for row in rows}


def test_donors_form_a_ring_that_does_not_depend_on_the_order_of_rows(spark):
    found = donors(inputs_of(spark, PAIRS))
    assert donors(inputs_of(spark, reversed(PAIRS)).repartition(5)) == found
    with_text = {name for name in PAIRS if name.startswith("a-") and counted(name)}
    assert {name for name, donor in found.items() if donor is not None} == with_text
    assert ring_of(found) == with_text
    assert any(donors(inputs_of(spark, PAIRS), seed=seed) != found for seed in (1, 2, 3))


def ring_of(found):
    ring, name = [], "a-parrot"
    while name not in ring:
        ring.append(name)
        name = found[name]
    return set(ring)


def test_donors_and_receivers_of_co_emb_text_are_concurrent(spark):
    found = donors(inputs_of(spark, PAIRS), kind="co_donor")
    concurrent = {
        name
        for name in PAIRS
        if name.startswith("a-") and any(is_co_emb for _, is_co_emb, _ in used_words(name))
    }
    assert concurrent == {"a-parrot", "a-part", "a-damaged"}
    assert {name for name, donor in found.items() if donor is not None} == concurrent
    assert ring_of(found) == concurrent


def test_a_planted_effect_is_recovered_by_the_paired_differences_within_their_interval(spark):
    """Donors, polygons, differences and statistics of the stage, over a population that a rule scores."""
    population = {sample.name: sample for sample in simulation.population(240, seed=9)}
    rows = [
        (
            "s", name,
            [("w", 0.9, points_of(line), number) for number, line in enumerate(sample.lines)],
            [("w", 0.9, points_of(line)) for line in sample.lines],
            [(number, number < len(sample.co_emb), None) for number in range(len(sample.lines))],
            simulation.WIDTH, simulation.HEIGHT,
        )
        for name, sample in population.items()
    ]  # fmt: skip
    scored = []
    for row in with_donors(spark.createDataFrame(rows, joined_type()), seed=0).collect():
        scores = simulation.scores_of(population[row["sample_id"]], row.asDict(recursive=True))
        shares = {f"mask_share_{name}": 0.1 for name in scores if name != "raw"}
        scored.append({f"score_{name}": value for name, value in scores.items()} | shares)
    frame = scores_frame(spark, [removal_row(place, "rule", **row) for place, row in enumerate(scored)])
    found = {
        row["relative_score"]: row
        for row in run_steps(spark, relative_score_steps(), {"scores": frame}).collect()
    }
    types = {
        row["image_type"]: row["images"]
        for row in run_steps(
            spark, text_removal_steps(), {"scores": frame, "assignments": assignments_frame(spark, [])}
        ).collect()
    }
    concurrent = sum(bool(sample.co_emb) for sample in population.values())
    assert types["raw_concurrent"] == types["random_co_removed"] == types["co_removed"] == concurrent
    assert types["raw_with_text"] == types["random_all_removed"] == len(population)
    row = found["random_minus_co"]
    assert row["images"] == concurrent > 100
    half = 1.96 * row["std"] / math.sqrt(row["images"])
    assert row["mean"] - half < simulation.EFFECT < row["mean"] + half
    assert half < 0.1 * simulation.EFFECT
    # As it was: other images, and polygons on the text.
    assert simulation.before(list(population.values())) < 0.75 * simulation.EFFECT


def points_of(line):
    return [(float(x), float(y)) for x, y in line]


def test_a_letter_between_two_words_of_a_reading_is_gone_and_an_unsure_reading_stays(spark):
    """A spotter cuts words by character share: a wide letter may lie between two of them, in neither."""
    pixels = np.full((60, 120, 3), 200, np.uint8)
    between, unsure = (slice(10, 20), slice(46, 54)), (slice(40, 50), slice(20, 40))
    pixels[between] = 0
    pixels[10:20, 20:40] = pixels[10:20, 60:80] = 0
    pixels[unsure] = 90
    line, dim_line = box(15, 8, 85, 22), box(15, 38, 45, 52)
    words = [
        ("Big", 0.9, box(15, 8, 44, 22), 0),
        ("sale", 0.9, box(56, 8, 85, 22), 0),
        ("dim", 0.1, dim_line, 1),
    ]
    lines = [("Big sale", 0.9, line), ("dim", 0.1, dim_line)]
    rows = [("s", "a", words, lines, [(0, False, None), (1, True, None)], 120, 60)]
    (row,) = with_donors(spark.createDataFrame(rows, joined_type()), seed=0).collect()
    found = variant_polygons(row.asDict(recursive=True), width=120, height=60)
    assert {name: len(polygons) for name, polygons in found.items()} == {"all_removed": 1, "co_removed": 1}
    filled = inpaint(pixels, found["all_removed"], InpaintParams())
    assert (filled[between] > 190).all()
    assert (filled[unsure] == 90).all()
    without_co = inpaint(pixels, found["co_removed"], InpaintParams())
    assert (without_co[between] == 0).all()
    assert not (without_co[12:18, 60:78] == 0).any()


def box(left, top, right, bottom):
    return [(float(x), float(y)) for x, y in ((left, top), (right, top), (right, bottom), (left, bottom))]
