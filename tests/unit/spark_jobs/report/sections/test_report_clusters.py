"""The report's section on clusters, against numbers counted here."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from schemas import stat_cluster
from spark_jobs.report.content import ClusterContent, largest_groups
from spark_jobs.report.figures.clusters import GroupBar, cluster_bars
from spark_jobs.report.sections.clusters import cluster_view, combined
from tests.report_samples import Document, dataset, gallery_sample, hostile_page, page, score_row, table_rows

TYPES = ("no_text", "text_not_concurrent", "concurrent")


def stat_row(cluster, counts, *, level="group", samples=None, cotr=0.25, clip=0.3):
    """A row of `stat_cluster` from the numbers of images by type."""
    images = sum(counts)
    shares = {
        f"share_{kind}": count / images if images else None for kind, count in zip(TYPES, counts, strict=True)
    }
    return {
        "level": level,
        "cluster_id": cluster,
        "samples": images if samples is None else samples,
        "images": images,
        **{f"images_{kind}": count for kind, count in zip(TYPES, counts, strict=True)},
        **shares,
        "cotr": cotr if images else None,
        "scored": images,
        "mean_clip_score": clip if images else None,
    }


ROWS = (
    stat_row(0, (10, 20, 70), cotr=0.4567, clip=0.3111),
    stat_row(1, (150, 30, 20), cotr=0.0789, clip=0.2222),
    stat_row(2, (30, 0, 10), cotr=0.1, clip=0.2),
    stat_row(3, (3, 1, 6), cotr=0.5, clip=0.4),
    stat_row(-1, (0, 0, 0), samples=17),
    *(stat_row(n, (1, 1, 1), level="cluster") for n in range(9)),
    stat_row(-1, (0, 0, 0), level="cluster", samples=17),
)


def shop(**changes):
    values = {"rows": ROWS, "groups_shown": 2, "galleries": {}, **changes}
    return dataset(clusters=ClusterContent(**values), gallery=())


def test_rows_of_the_tests_have_the_tables_columns():
    others = {"dataset", "run_key", "input_key"}
    columns = {name for name in stat_cluster.TABLE.columns if not name.endswith(("_low", "_high"))}
    assert set(ROWS[0]) | others == columns


def test_the_best_scored_samples_are_compared_with_all_images():
    best = tuple({"cluster_group": n % 4, "image_type": TYPES[2 - (n == 0)]} for n in range(10))
    text = " ".join(Document(page(replace(shop(), figures={"stat_cluster_top": best}))).text.split())
    assert (
        "highest CLIP scores (Fig. 3b), 9 of 10 are parrot captions (90.00%), against 30.29% of all" in text
    )
    assert "Fig. 3b), " not in Document(page(shop())).text


def test_groups_are_ordered_by_size_and_samples_without_a_vector_are_none():
    assert largest_groups(ROWS, 9) == [1, 0, 2, 3]
    assert largest_groups(ROWS, 2) == [1, 0]
    assert largest_groups([stat_row(5, (1, 0, 0)), stat_row(4, (0, 0, 1))], 9) == [4, 5]


def test_the_table_lists_the_largest_groups_and_the_rest_adds_up():
    rows = table_rows(page(shop()))
    assert rows["group 1"] == [
        ["200"], ["200"], ["150", "75.00%"], ["30", "15.00%"], ["20", "10.00%"], ["7.89%"], ["0.2222"],
    ]  # fmt: skip
    assert rows["group 0"][4:] == [["70", "70.00%"], ["45.67%"], ["0.3111"]]
    assert "group 2" not in rows
    # 40 images of CoTR .1 and score .2 with 10 of .5 and .4
    assert rows["2 more groups"] == [
        ["50"], ["50"], ["33", "66.00%", wilson(33)], ["1", "2.00%", wilson(1)], ["16", "32.00%", wilson(16)],
        ["18.00%"], ["0.2400"],
    ]  # fmt: skip
    assert rows["without a vector"][:2] == [["17"], ["0"]]
    assert rows["without a vector"][5:] == [["n/a"], ["n/a"]]


def wilson(part, whole=50):
    """Wilson's interval by its formula, as the report prints it."""
    z = 1.959964
    share, spread = part / whole, z * z / whole
    half = z * math.sqrt(share * (1 - share) / whole + spread / (4 * whole))
    low, high = ((share + spread / 2 + sign * half) / (1 + spread) for sign in (-1, 1))
    return f"{low * 100:.2f}\N{EN DASH}{high * 100:.2f}%"


def test_every_share_and_mean_of_a_group_has_its_interval_and_few_images_are_marked():
    bounds = {f"share_{kind}": (0.01 * n, 0.1 * n) for n, kind in enumerate(TYPES, start=1)}
    bounds |= {"cotr": (0.31, 0.52), "mean_clip_score": (0.2111, 0.2333)}
    sure = {
        f"{name}_{end}": value
        for name, ends in bounds.items()
        for end, value in zip(("low", "high"), ends, strict=True)
    }
    rows = ({**stat_row(0, (10, 20, 70)), **sure}, stat_row(1, (3, 1, 6)))
    document = page(shop(rows=rows, groups_shown=2))
    cells = table_rows(document)["group 0"]
    assert [cell[-1] for cell in cells[2:6]] == [
        "1.00\N{EN DASH}10.00%", "2.00\N{EN DASH}20.00%", "3.00\N{EN DASH}30.00%", "31.00\N{EN DASH}52.00%"
    ]  # fmt: skip
    assert cells[6] == ["0.3000", "0.2111", "to", "0.2333"]
    assert "group 0 (70.00% of its 100 images, 95 %: 3.00\N{EN DASH}30.00%)" in Document(document).text
    assert re.findall(
        r'<td class="few">(\d+)</td>', document.split('id="clusters"')[1].split("</section>")[0]
    ) == ["10"]


def test_means_of_groups_without_images_do_not_count():
    total = combined([stat_row(0, (0, 0, 0), samples=4), stat_row(1, (1, 0, 1), cotr=0.5, clip=0.2)])
    assert (total["samples"], total["images"], total["cotr"]) == (6, 2, 0.5)
    assert total["mean_clip_score"] == pytest.approx(0.2)
    nothing = combined([stat_row(0, (0, 0, 0), samples=4)])
    assert (nothing["cotr"], nothing["mean_clip_score"], nothing["share_concurrent"]) == (None, None, None)


def test_the_section_says_what_there_is_and_what_is_left_out():
    text = Document(page(shop())).text
    assert "9 clusters in 4 groups of 10 to 200 samples each." in text
    assert "most frequent in group 0 (70.00% of its 100 images) and least in group 1 (10.00%" in text
    assert "And 2 more groups in table stat_cluster" in text
    text = Document(page(shop(groups_shown=12))).text
    assert "more groups" not in text
    assert "Table stat_cluster also has every single cluster." in text


def test_random_weights_are_pointed_out():
    random = {**score_row("no_text", 1, 0.2), "model": "parrot-tiny/random-0"}
    shown = replace(shop(), clip_scores=(random,))
    assert "parrot-tiny/random-0 has random weights: images of a group" in Document(page(shown)).text
    assert "random weights" not in Document(page(shop())).text


def test_extremes_count_groups_that_are_not_shown():
    rows = (*ROWS[:4], stat_row(4, (0, 0, 5)))
    assert "most frequent in group 4 (100.00% of its 5 images)" in Document(page(shop(rows=rows))).text


def test_galleries_stand_under_their_group_in_order_of_size():
    galleries = {
        0: (gallery_sample(sample_key="key-a"), gallery_sample(sample_key="key-b", unsafe=True)),
        1: (gallery_sample(sample_key="key-c"),),
    }
    document = page(shop(galleries=galleries))
    text = Document(document).text
    places = [text.index(part) for part in ("shop , group 1", "key-c", "shop , group 0", "key-a", "key-b")]
    assert places == sorted(places)
    assert "2 of 100 samples, drawn at random; 70.00% of its images have a parrot caption." in text
    assert text.count("Blurred: the source marks this image as unsafe.") == 1
    assert document.count("Grand <mark>Sale</mark> today") == 3
    assert len(Document(document).of("img")) == 3


def test_clusters_fitted_after_the_numbers_are_pointed_out():
    text = Document(page(shop(is_outdated=True))).text
    assert "Samples were clustered anew after these numbers were made" in text
    assert "clustered anew" not in Document(page(shop())).text


def test_a_dataset_without_clusters_says_how_to_get_them():
    only_unclustered = ClusterContent(rows=(stat_row(-1, (1, 0, 0)),), groups_shown=3)
    for clusters in (None, only_unclustered):
        without = dataset(clusters=clusters)
        assert cluster_view(without, "k") is None
        text = Document(page(without)).text
        assert "No clusters have been computed for this dataset" in text


def test_datasets_stand_side_by_side_without_sharing_ids():
    second = dataset(name="second", clusters=ClusterContent(rows=ROWS, groups_shown=1))
    parsed = Document(page(shop(), second))
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    drawings = [svg["aria-label"] for svg in parsed.of("svg") if "group 1" in (svg["aria-label"] or "")]
    assert len(drawings) == 2


def test_no_group_shown_is_no_figure():
    document = page(shop(groups_shown=0))
    assert "4 more groups" in document
    assert cluster_bars([], "k") is None


def test_the_section_is_well_formed():
    for document in (page(shop()), page(shop(galleries={1: (gallery_sample(),)})), hostile_page()):
        parsed = Document(document)
        assert not parsed.misnested
        assert not parsed.open


def test_bars_show_every_share_and_n_in_words():
    bars = [
        GroupBar("group 7", 1234, {"no_text": 0.5, "text_not_concurrent": 0.47, "concurrent": 0.03}),
        GroupBar("group 8", 0, None),
    ]
    svg = str(cluster_bars(bars, "k"))
    text = " ".join(ElementTree.fromstring(svg).itertext())
    for part in (
        "group 7",
        "n = 1,234",
        "50.00%",
        "47.00%",
        "concurrent 3.00%",
        "n = 0",
        "no image profiled",
    ):
        assert part in text
    assert "group 7, n = 1,234: no text 50.00%, text, not concurrent 47.00%, concurrent 3.00%" in svg
    assert not re.findall(r"#0[1-7]0[1-7]0[1-7]", svg)
    assert str(cluster_bars(bars, "k")) == svg
