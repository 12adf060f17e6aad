"""Definitions, predicates and shares of subsets; nothing here needs Spark."""

from __future__ import annotations

import pytest

from schemas import TABLES
from spark_jobs.commands.subset import curate_options
from spark_jobs.config import load_config
from spark_jobs.errors import ConfigError
from spark_jobs.subsets.definition import (
    CurateConfig,
    SubsetBuild,
    SubsetDefinition,
    built_in,
    control_of,
    subset_builds,
)
from spark_jobs.subsets.draw import quotas, share_of
from spark_jobs.subsets.measures import MEASURE_TABLES, measures
from spark_jobs.subsets.predicate import PredicateError, parse_predicate
from spark_jobs.subsets.selection import Selection
from udfs.language import languages


@pytest.mark.parametrize(
    ("predicate", "told"),
    [
        ("clip_scor > 0.3", "unknown column clip_scor. Did you mean clip_score"),
        ("caption_overlap.cotrr > 0.3", "Did you mean caption_overlap.cotr"),
        ("captions.cotr > 0.3", "unknown column captions.cotr"),
        ("width > 200", "column width is in several tables: write samples.width or images.width"),
        ("lenght(caption) > 3", "function lenght is not allowed. Did you mean length"),
        ("reflect('java.lang.System', 'exit', 1) = 'x'", "function reflect is not allowed"),
        ("java_method('java.util.UUID', 'randomUUID') = 'x'", "function java_method is not allowed"),
        ("my_udf(caption)", "function my_udf is not allowed"),
        ("rand() < 0.5", "function rand is not allowed"),
        ("sample_id IN (SELECT 1)", "subqueries are not allowed"),
        ("EXISTS (SELECT 1)", "subqueries are not allowed"),
        ("cotr > (SELECT 1)", "subqueries are not allowed"),
        ("SELECT 1", "subqueries are not allowed"),
        ("cotr > 0; DROP TABLE samples", "no semicolons"),
        ("cotr > 0;", "no semicolons"),
        ("DROP TABLE samples", "not allowed in a predicate"),
        ("cotr >= 0.3 AND", "syntax error at line 1"),
        ("cotr > 1 GROUP BY cotr", "syntax error"),
        ("(cotr > 1", "syntax error"),
        ("caption = 'open", "syntax error"),
        ("max(cotr) > 1", "aggregates are not allowed"),
        ("row_number() OVER (ORDER BY cotr) < 3", "aggregates are not allowed"),
        ("cotr > 'high'", "compares a number with a text"),
        ("caption IN (1, 2)", "compares a text with a number"),
        ("length(cotr) > 3", "cotr is a number, expected a text"),
        ("clip_score", "is a number, not a condition"),
        ("cotr > :threshold", "not allowed in a predicate"),
        ("CAST(caption AS INT) > 3", "function cast is not allowed"),
        ("a.b.cotr > 3", "not a column"),
        ("", "empty"),
        ("(" * 4000 + "true" + ")" * 4000, "nested too deeply"),
        ("true AND " * 2000 + "true", "at most 10,000 characters"),
    ],
)
def test_a_faulty_predicate_is_refused_with_a_reason(predicate, told):
    with pytest.raises(PredicateError) as caught:
        parse_predicate(predicate)
    assert told in str(caught.value)


def test_all_faults_of_a_predicate_are_told_at_once():
    with pytest.raises(PredicateError, match=r"(?s)clip_scor\. .*lenght.*aggregates"):
        parse_predicate("clip_scor > 1 AND lenght(caption) > 2 AND count(*) > 1")


def test_a_predicate_is_split_at_its_outer_ands():
    parts = parse_predicate(
        "cotr > 0.5 AND (image_type = 'concurrent' AND (clip_score > 0 OR cotr = 1)) -- so"
    )
    assert [part.text for part in parts] == [
        "caption_overlap.cotr > 0.5",
        "caption_overlap.image_type = 'concurrent'",
        "clip_embeddings.clip_score > 0 OR caption_overlap.cotr = 1",
    ]
    assert parts[2].sql == "clip_embeddings__clip_score > 0 OR caption_overlap__cotr = 1"
    assert [measure.full_name for measure in parts[2].measures] == [
        "caption_overlap.cotr",
        "clip_embeddings.clip_score",
    ]


def test_divisions_and_sizes_never_end_a_query():
    (part,) = parse_predicate("samples.width / (samples.height / 2) > size(caption_words)")
    assert part.sql == (
        "TRY_DIVIDE(samples__width, (TRY_DIVIDE(samples__height, 2))) > ARRAY_SIZE(caption_overlap__caption_words)"
    )


def test_every_built_in_subset_names_its_source_and_can_be_parsed():
    assert {"random", "without_text", "cotr_ge_0.8", "rsa_lt_0", "rsc_ge_0.3", "debiased", "tmars"} <= set(
        built_in()
    )
    for definition in built_in().values():
        assert definition.sentence, definition.id
        assert definition.source, definition.id
        conditions = [part.text for part in Selection(definition).conditions]
        assert conditions[:2] == ["samples.status = 'ok'", "caption_overlap.trainable"]
        control = control_of(SubsetBuild(definition.id, definition)).definition
        assert [part.text for part in Selection(control).conditions][:2] == conditions[:2]


def test_measures_come_from_the_tables_that_exist():
    known = measures()
    for measure in known.values():
        assert measure.table in MEASURE_TABLES
        if measure.table in TABLES and measure.name not in (
            "language",
            "caption_word_count",
            "trainable",
            "score_masked",
        ):
            assert measure.name in TABLES[measure.table].columns
    assert known["clip_embeddings.clip_score"].kind == "number"
    assert "clip_embeddings.image_vector" not in known


def test_definitions_are_checked_all_at_once():
    faulty = (
        "curate.subsets=[{id: a, predicat: x}, {id: b-c, predicate: 'cotr > and'}, "
        "{id: d, top: {by: captio, share: 2}}, {id: e, stratum: capped}]"
    )
    with pytest.raises(ConfigError) as caught:
        load_config(overrides=(faulty,))
    for told in (
        "curate.subsets.0.predicat: unknown key. Did you mean predicate?",
        "curate.subsets.1.id",
        "curate.subsets.1.predicate: syntax error",
        "curate.subsets.2.top.by: unknown column captio. Did you mean caption?",
        "curate.subsets.2.top.share",
        "curate.subsets.3: cap and stratum: capped go together",
    ):
        assert told in str(caught.value)
    with pytest.raises(ConfigError, match=r"subset x is defined twice; subset random is built in"):
        load_config(overrides=("curate.subsets=[{id: x}, {id: x}, {id: random}]",))


def test_size_seed_and_control_name_the_subset():
    config = CurateConfig(build=("random", "cotr_eq_1"), size=3000, seed=7, control=True)
    found = subset_builds(config)
    assert [order.subset_id for order in found] == [
        "random-3000-s7",
        "random-3000-s7-control",
        "cotr_eq_1-3000-s7",
        "cotr_eq_1-3000-s7-control",
    ]
    assert [order.definition.seed for order in found] == [7, 8, 7, 8]
    assert found[3].control_of == "cotr_eq_1-3000-s7"
    assert found[3].definition.predicate == "caption_overlap.status = 'ok'"
    own = SubsetDefinition(id="mine", size=10, seed=2)
    (order,) = subset_builds(CurateConfig(build=("mine",), subsets=(own,), size=10))
    assert (order.subset_id, order.definition.seed) == ("mine", 2)
    assert control_of(order).definition.predicate == "true"
    loose = SubsetBuild("loose", own.model_copy(update={"trainable": False}))
    assert [part.text for part in Selection(control_of(loose).definition).conditions] == [
        "samples.status = 'ok'"
    ]


def test_a_file_of_definitions_becomes_settings(tmp_path):
    path = tmp_path / "subsets.yaml"
    path.write_text("- id: calm\n  predicate: clip_score > 0.3\n", encoding="utf-8")
    values = {"build": ["calm"], "size": 5, "seed": None}
    config = load_config(options={"curate": curate_options(values, path)})
    assert config.curate.subsets[0].predicate == "clip_score > 0.3"
    assert (config.curate.build, config.curate.size, config.curate.seed) == (("calm",), 5, None)
    path.write_text("id: calm", encoding="utf-8")
    with pytest.raises(ConfigError, match="must hold a list"):
        curate_options({}, path)
    with pytest.raises(ConfigError, match="no file of subset definitions"):
        curate_options({}, tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (9, {"0": 3, "1": 3, "2": 3}),
        (10, {"0": 4, "1": 3, "2": 3}),
        (40, {"0": 18, "1": 17, "2": 5}),
        (26, {"0": 11, "1": 10, "2": 5}),
        (None, {"0": 5, "1": 5, "2": 5}),
        (999, {"0": 100, "1": 20, "2": 5}),
    ],
)
def test_equal_quotas_are_as_even_as_clusters_allow(size, expected):
    counts = {"0": 100, "1": 20, "2": 5}
    assert quotas(counts, SubsetDefinition(id="a", stratum="equal", size=size)) == expected


def test_capped_quotas():
    counts = {"0": 100, "1": 20}
    assert quotas(counts, SubsetDefinition(id="a", stratum="capped", cap=30)) == {"0": 30, "1": 20}


def test_shares_are_taken_as_they_are_written():
    assert [share_of(0.29, 100), share_of(0.3, 10), share_of(0.5, 7), share_of(1.0, 3)] == [29, 3, 3, 3]


def test_languages_of_captions():
    found = languages(["a red car in the street", "ein rotes Auto auf der Straße", "12 : 34", None, ""])
    assert found == ["en", "de", None, None, None]
    # Titles are most captions; a model that takes them for Pidgin (that of py3langid 0.4) draws other subsets.
    titles = [
        "Portrait of Frank Hindley Smith",
        "Jodie and Mike Maternity Shoot",
        "PMP Application Process Guide",
    ]
    assert languages(titles) == ["en", "en", "en"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("clip_score[ViT-B-32/openai] > 0.28", "clip_embeddings.clip_score[ViT-B-32/openai] > 0.28"),
        ("clip_embeddings.clip_score[a b.pt] > 0", "clip_embeddings.clip_score[a b.pt] > 0"),
        ("rsa[x] < 0 AND caption LIKE '%clip_score[y]%'", "text_removal_scores.rsa[x] < 0"),
    ],
)
def test_a_measure_may_name_its_model(text, shown):
    condition = parse_predicate(text)[0]
    assert condition.text == shown
    assert parse_predicate(condition.text) == (condition,), "what is stored can be read again"
    (measure,) = condition.measures
    assert measure.model
    assert measure.full_name in shown


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cotr[ViT-B-32/openai] > 0", "caption_overlap.cotr is of no CLIP model"),
        ("clip_score[a] > clip_score[b]", "reads one model of each table, found a and b of clip_embeddings"),
        ("clip_scor[a] > 0", "Did you mean clip_score"),
    ],
)
def test_a_model_that_makes_no_sense_is_told(text, message):
    with pytest.raises(PredicateError, match=message):
        parse_predicate(text)


def test_text_in_quotes_names_no_model():
    (condition,) = parse_predicate("caption LIKE '%clip_score[y]%'")
    assert "'%clip_score[y]%'" in condition.text
