"""Table `ngram_vocabulary`: the most frequent 1-grams and 2-grams of captions, and 1-grams of co-emb text."""

from pyspark.sql.types import IntegerType, LongType, StringType, StructType

from schemas._table import PROVENANCE, SAMPLE_KEY, STATUS, TableSpec, column

TABLE = TableSpec(
    name="ngram_vocabulary",
    meaning="one gram of one vocabulary of one dataset, with its count",
    schema=StructType(
        [
            SAMPLE_KEY[0],
            column(
                "shard_id",
                StringType(),
                "VOCABULARY-BLOCK: a thousand grams of one vocabulary in order of rank, the unit of work of "
                "render_text",
                nullable=False,
            ),
            column("sample_id", StringType(), "32 hex digits: hash of vocabulary and gram", nullable=False),
            column(
                "vocabulary", StringType(), "caption_1gram, caption_2gram or co_emb_1gram", nullable=False
            ),
            column(
                "gram", StringType(), "One normalised word, or two with a blank between them", nullable=False
            ),
            column(
                "count",
                LongType(),
                "Caption grams: occurrences in captions, repeats counted; co-emb grams: samples whose caption "
                "and image share the word",
                nullable=False,
            ),
            column(
                "rank",
                IntegerType(),
                "Place in the vocabulary from 1: by count, highest first, then by gram (code points)",
                nullable=False,
            ),
            column("bpe_tokens", IntegerType(), "Tokens that CLIP's byte-pair encoding makes of the gram"),
            *STATUS,
            *PROVENANCE,
        ]
    ),
    key=("dataset", "sample_id", "run_key"),
)
