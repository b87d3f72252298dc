"""Copies of lakes, made in no time; and tests that need one in a folder alone."""

import os
import shutil
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest

from resources.lake.format import FILE
from resources.lake.store import Lake

# For tests of what no storage can change: those under tests/resources run on a lake in a folder and on one in a bucket.
IN_A_FOLDER = pytest.mark.parametrize("bare_lake", ["folder"], indirect=True)


def linked_copy(source: Path, target: Path) -> Path:
    """Copies a folder with lakes in it, whose files are linked: Lance adds and removes files and changes none."""

    def copy(source: str, target: str) -> None:
        (os.link if ".lance/" in source else shutil.copy2)(source, target)

    return shutil.copytree(source, target, copy_function=copy, dirs_exist_ok=True)


def upload(source: Path, target: Lake, tables: Collection[str]) -> None:
    """Copies these tables of a lake in a folder into a bucket, and its format."""
    access = {name: target.storage_options[name] for name in ("aws_access_key_id", "aws_secret_access_key")}
    region = target.storage_options["aws_region"]
    client = boto3.client("s3", endpoint_url=target.storage_options["aws_endpoint"], region_name=region, **access)
    bucket, _, prefix = target.root.removeprefix("s3://").partition("/")
    files = [file for table in tables for file in (source / f"{table}.lance").rglob("*") if file.is_file()]
    files.append(source / FILE)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda file: client.upload_file(file, bucket, f"{prefix}/{file.relative_to(source)}"), files))
