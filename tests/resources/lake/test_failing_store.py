"""A lake in a bucket whose store refuses, delays, cuts connections, loses answers and repeats requests at random."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from failing_proxy import RARE, failing_proxy
from lake_copies import upload
from lake_rows import clips, contents, expected, tidy
from s3_server import BUCKET

from resources.incremental.faults import SystemFault, raising_faults
from resources.lake.store import Lake

pytestmark = pytest.mark.slow

MAX_RUNS = 10
Result = TypeVar("Result")


def run_again(work: Callable[[], Result]) -> Result:
    """Works until the store has let it: each time that it has not, the error is a fault of the system, in words."""
    for _ in range(MAX_RUNS):
        try:
            with raising_faults():
                return work()
        except SystemFault:
            continue
    raise AssertionError("the store never let it")


def test_what_is_written_is_there_once_whatever_the_store_did(
    tmp_path: Path, s3: dict[str, str], new_lake: Callable[[Path], Lake]
):
    lake = Lake(root=f"s3://{BUCKET}/failing", storage_options=s3)
    upload(Path(new_lake(tmp_path / "lake").root), lake, ["clips"])
    rows = [clips([f"{commit}-{number}" for number in range(5)]) for commit in range(6)]
    deleted = [f"{commit}-0" for commit in range(6)]
    with failing_proxy(s3["aws_endpoint"], {kind: 3 * share for kind, share in RARE.items()}, seed=1) as proxy:
        through = Lake(root=lake.root, storage_options=s3 | {"aws_endpoint": proxy.url})
        for commit, of_commit in enumerate(rows):
            run_again(lambda: through.upsert("clips", of_commit))  # noqa: B023 - called at once
            run_again(lambda: through.delete("clips", deleted[commit : commit + 1]))  # noqa: B023
        run_again(lambda: tidy(through, "clips"))
    assert {kind for kind, count in proxy.counts.items() if count} == {"none", *RARE}
    assert contents(lake, "clips") == {key: row for key, row in expected(*rows).items() if key not in deleted}
