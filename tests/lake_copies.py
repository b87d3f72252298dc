"""Copies of lakes, made in no time."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3

from resources.lake.store import Lake


def linked_copy(source: Path, target: Path) -> Path:
    """Copies a folder with lakes in it, whose files are linked: Lance adds and removes files and changes none."""

    def copy(source: str, target: str) -> None:
        (os.link if ".lance/" in source else shutil.copy2)(source, target)

    return shutil.copytree(source, target, copy_function=copy, dirs_exist_ok=True)


def copy_objects(source: Lake, target: Lake) -> None:
    """Copies a lake in a bucket to another place in it."""
    access = {name: source.storage_options[name] for name in ("aws_access_key_id", "aws_secret_access_key")}
    region = source.storage_options["aws_region"]
    client = boto3.client("s3", endpoint_url=source.storage_options["aws_endpoint"], region_name=region, **access)
    bucket, _, prefix = source.root.removeprefix("s3://").partition("/")
    to_bucket, _, to_prefix = target.root.removeprefix("s3://").partition("/")

    def copy(key: str) -> None:
        to = to_prefix + key.removeprefix(prefix)
        client.copy_object(Bucket=to_bucket, Key=to, CopySource={"Bucket": bucket, "Key": key})

    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(copy, [found["Key"] for page in pages for found in page["Contents"]]))
