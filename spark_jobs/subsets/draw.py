"""Exact draws without a global sort: by a threshold on a hash of the sample id, and on a score.

The hash is the MD5 of `SEED:SAMPLE_ID` in hex, which every tool can compute; a sample is drawn if its hash is
among the lowest. Nothing but seed and ids decides: neither files, partitions nor the order of rows. A larger
draw of the same samples holds the smaller one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from spark_jobs.session import task_slots

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from spark_jobs.subsets.definition import SubsetDefinition

_EVERYTHING = "g"  # above every hex digit
_NOTHING = ""
_ROWS_PER_BUCKET = 2000
_MAX_DIGITS = 5
_COLLECTED = 100_000
_BUCKETS = 10_000
_ROWS_PER_FILE = 500_000
_SPREAD = 8  # standard deviations around the place where a cut is expected: missed once in 10^15 draws
_HEX_DIGITS = 13  # of a bound on hashes, as many as doubles carry


def sample_hash(seed: int) -> Column:
    """32 hex digits for the column `sample_id`."""
    from pyspark.sql import functions as F

    return F.md5(F.concat(F.lit(f"{seed}:"), F.col("sample_id")).cast("binary"))


def quotas(counts: Mapping[str, int], definition: SubsetDefinition) -> dict[str, int]:
    """How many samples to draw from each cluster.

    `equal` without a size: as many from each as the smallest has. With a size: as evenly as the clusters'
    sizes allow (small ones give all they have, the others share the rest; what does not divide goes to the
    first clusters in order of their number). `capped`: at most `cap` of each, an exact size of which is
    drawn by hash afterwards.

    Args:
        counts: Qualifying samples by cluster.
        definition: Its stratum, cap and size.
    """
    if definition.stratum == "capped":
        return {cluster: min(count, definition.cap or count) for cluster, count in counts.items()}
    if definition.size is None:
        smallest = min(counts.values(), default=0)
        return dict.fromkeys(counts, smallest)
    found: dict[str, int] = {}
    left = min(definition.size, sum(counts.values()))
    by_size = sorted(counts, key=lambda cluster: (counts[cluster], int(cluster)))
    for place, cluster in enumerate(by_size):
        share = left // (len(by_size) - place)
        if counts[cluster] > share:  # so have all that follow
            rest = sorted(by_size[place:], key=int)
            extra = left - share * len(rest)
            return found | {name: share + (number < extra) for number, name in enumerate(rest)}
        found[cluster] = counts[cluster]
        left -= counts[cluster]
    return found


def hash_cuts(
    frame: DataFrame, counts: Mapping[str, int], wanted: Mapping[str, int], *, digits: int | None = None
) -> dict[str, str]:
    """The highest hash that is drawn, by stratum: as many rows as wanted have a hash up to it.

    Rows are counted by the hash's first digits; only the rows of one bucket per stratum are put in order.

    Args:
        frame: `stratum` (text, never null) and `hash`.
        counts: Rows by stratum.
        wanted: Rows to draw by stratum, at most as many as there are.
        digits: First digits of a bucket; None: so that a bucket has some 2,000 rows. No result depends on it.
    """
    cuts = {
        stratum: _EVERYTHING if wanted[stratum] >= count else _NOTHING for stratum, count in counts.items()
    }
    open_ones = {stratum: wanted[stratum] for stratum in counts if 0 < wanted[stratum] < counts[stratum]}
    if not open_ones:
        return cuts
    if digits is None:
        largest = max(counts[stratum] for stratum in open_ones)
        digits = min(_MAX_DIGITS, max(0, math.ceil(math.log(max(largest / _ROWS_PER_BUCKET, 1), 16))))
    return cuts | _boundaries(frame, open_ones, digits)


def _boundaries(frame: DataFrame, wanted: Mapping[str, int], digits: int) -> dict[str, str]:
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    spark = frame.sparkSession
    asked = F.broadcast(spark.createDataFrame(list(wanted.items()), "stratum string, wanted long"))
    rows = frame.select("stratum", "hash", F.substring("hash", 1, digits).alias("bucket"))
    counted = rows.join(asked, "stratum").groupBy("stratum", "bucket", "wanted").agg(F.count("*").alias("n"))
    so_far = F.sum("n").over(Window.partitionBy("stratum").orderBy("bucket"))
    last = counted.withColumn("below", so_far - F.col("n")).where("below < wanted AND below + n >= wanted")
    last = last.select("stratum", "bucket", (F.col("wanted") - F.col("below")).alias("place"))
    rank = F.row_number().over(Window.partitionBy("stratum").orderBy("hash"))
    cut = rows.join(F.broadcast(last), ["stratum", "bucket"]).withColumn("rank", rank).where("rank = place")
    return {row["stratum"]: row["hash"] for row in cut.select("stratum", "hash").collect()}


def lowest(frame: DataFrame, *, rows: int, wanted: int, keep: Callable[[DataFrame], DataFrame]) -> DataFrame:
    """The rows with the lowest hashes, in one pass over `frame`.

    Hashes are evenly spread, so the cut is known to a few thousand rows before anything is read. Rows up to the
    end of that range are kept; of these, only the hashes inside it are put in order. A cut outside the range is
    looked for in all rows.

    Args:
        frame: `hash`, and what is wanted of the rows.
        rows: Its rows.
        wanted: Rows to draw, from 1 to one less than there are.
        keep: Holds a frame that is read again.
    """
    from pyspark.sql import functions as F

    margin = _SPREAD * math.sqrt(wanted) + _SPREAD**2
    low, high = (_hash_at((wanted + side) / rows) for side in (-margin, margin))
    candidates = keep(frame.where(F.col("hash") < high))
    inside = F.col("hash") >= low
    row = candidates.agg(
        F.count_if(~inside).alias("below"), F.collect_list(F.when(inside, F.col("hash"))).alias("inside")
    ).collect()[0]
    place = wanted - row["below"]
    if 0 < place <= len(row["inside"]):
        drawn = candidates.where(F.col("hash") <= sorted(row["inside"])[place - 1])
        return drawn.coalesce(max(task_slots(frame.sparkSession), math.ceil(wanted / _ROWS_PER_FILE)))
    frame = frame.withColumn("stratum", F.lit(""))
    return up_to(frame, hash_cuts(frame, {"": rows}, {"": wanted}))


def _hash_at(share: float) -> str:
    """The hash below which this share of all hashes lies."""
    if share <= 0:
        return _NOTHING
    return _EVERYTHING if share >= 1 else f"{int(share * 16**_HEX_DIGITS):0{_HEX_DIGITS}x}"


def up_to(frame: DataFrame, cuts: Mapping[str, str]) -> DataFrame:
    """The rows of `frame` (with `stratum` and `hash`) that the cuts draw."""
    from pyspark.sql import functions as F

    if set(cuts.values()) <= {_EVERYTHING}:
        return frame
    if len(cuts) == 1:
        ((stratum, cut),) = cuts.items()
        return frame.where((F.col("stratum") == stratum) & (F.col("hash") <= cut))
    table = frame.sparkSession.createDataFrame(list(cuts.items()), "stratum string, cut string")
    return frame.join(F.broadcast(table), "stratum").where("hash <= cut").drop("cut")


def share_of(share: float, rows: int) -> int:
    """The share of a number of rows, rounded down; the share as it is written, not as doubles hold it."""
    return int(Decimal(str(share)) * rows)


def nth_highest(frame: DataFrame, place: int) -> tuple[float, int]:
    """The score at a place in descending order, and how many scores are higher. Exact.

    Scores are counted in buckets, and the bucket that holds the place is divided again until its scores fit on
    the driver or are all equal.

    Args:
        frame: `score`, a double, never null.
        place: From 1 to the number of rows.
    """
    from pyspark.sql import functions as F

    row = frame.agg(F.min("score").alias("low"), F.max("score").alias("high"), F.count("*").alias("n")).head()
    low, high, inside, above = row["low"], row["high"], row["n"], 0  # type: ignore[index]
    while low < high:
        part = frame.where(F.col("score").between(low, high))
        if inside <= _COLLECTED:
            scores = sorted((row["score"] for row in part.select("score").collect()), reverse=True)
            score = scores[place - above - 1]
            return score, above + sum(1 for other in scores if other > score)
        position = (F.col("score") - low) / (high - low) * _BUCKETS
        buckets = part.groupBy(F.floor(position).alias("bucket")).agg(
            F.count("*").alias("n"), F.min("score").alias("low"), F.max("score").alias("high")
        )
        for bucket in sorted(buckets.collect(), key=lambda bucket: -bucket["bucket"]):
            low, high, inside = bucket["low"], bucket["high"], bucket["n"]
            if above + inside >= place:
                break
            above += inside
    return low, above


def highest(frame: DataFrame, wanted: int) -> DataFrame:
    """The rows with the highest scores; among equal ones those with the lowest hash.

    Args:
        frame: `score` (double, never null) and `hash`.
        wanted: At most as many as there are rows.
    """
    from pyspark.sql import functions as F

    if wanted == 0:
        return frame.where("false")
    score, above = nth_highest(frame, wanted)
    equal = frame.where(F.col("score") == score).withColumn("stratum", F.lit(""))
    cut = hash_cuts(equal, {"": equal.count()}, {"": wanted - above})[""]
    return frame.where((F.col("score") > score) | ((F.col("score") == score) & (F.col("hash") <= cut)))
