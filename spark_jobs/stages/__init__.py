"""The stages, one file each: `run(spark, config) -> StageReport`."""
