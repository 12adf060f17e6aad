"""An S3 store on the loopback address (moto), for the driver and for Spark's workers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

ACCESS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


@contextmanager
def s3_store(monkeypatch, spark) -> Iterator[str]:
    """Serve S3 until the block ends; yields a bucket as URI."""
    import boto3
    import fsspec
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {**ACCESS, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}.items():
        monkeypatch.setenv(name, value)
        monkeypatch.setitem(spark.sparkContext.environment, name, value)  # what workers are started with
    forget = fsspec.get_filesystem_class("s3").clear_instance_cache
    forget()
    try:
        boto3.client("s3").create_bucket(Bucket="exports")
        yield "s3://exports"
    finally:
        forget()
        server.stop()
