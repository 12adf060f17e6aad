"""The formats of an export, by name."""

from __future__ import annotations

from spark_jobs.export import datacomp_npy, ids, img2dataset_urls, parquet, webdataset
from spark_jobs.export.base import Format

FORMATS: dict[str, Format] = {
    module.FORMAT.name: module.FORMAT for module in (parquet, webdataset, img2dataset_urls, datacomp_npy, ids)
}
