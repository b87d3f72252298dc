"""Makes the bucket of INTERNVID_LAKE where there is none, and tries whether it is safe for several writers.

A commit of a table is a write that must fail if the object is there already (`If-None-Match: *`). In a store that
ignores this, or checks it before it writes, two writers lose each other's rows without an error.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import fsspec
from botocore.exceptions import ClientError

from orchestration.settings import Settings
from resources.lake.paths import fsspec_options

WRITERS, ROUNDS = 8, 5


def main() -> None:
    settings = Settings()
    store, path = fsspec.core.url_to_fs(settings.lake, **fsspec_options(settings.storage_options))
    bucket = path.partition("/")[0]
    store.makedirs(bucket, exist_ok=True)
    for _ in range(ROUNDS):
        winners = writers_that_won(store, bucket, f"{path.partition('/')[2]}/.conditional-write-{uuid4().hex}")
        if winners != 1:
            sys.exit(
                f"{winners} of {WRITERS} writers created one object in the bucket {bucket}: its store does not keep "
                "conditional writes, so commits could be lost. Use a store, or a version of it, that does"
            )
    print(f"the bucket {bucket} is there, and safe for several writers")


def writers_that_won(store: Any, bucket: str, key: str) -> int:
    """Returns how many of several writers, who all create the object, are told that they did."""

    def wins(writer: int) -> bool:
        try:
            store.call_s3("put_object", Bucket=bucket, Key=key, Body=str(writer).encode(), IfNoneMatch="*")
        except (ClientError, OSError):  # the second is how s3fs words the first
            return False
        return True

    try:
        with ThreadPoolExecutor(WRITERS) as writers:
            return sum(writers.map(wins, range(WRITERS)))
    finally:
        store.rm_file(f"{bucket}/{key}")


if __name__ == "__main__":
    main()
