"""Ingests two short videos into a bucket whose store fails at random:
`PYTHONPATH=.:tests python tests/chaos/failing_store.py --share 0.03 --seeds 3`.

A run ends well, or with one sentence and code 1, and the next goes on by itself. At the end the lake has the rows of
one that was made in a folder.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from failing_proxy import RARE, failing_proxy
from kill_commands import COMMAND, REPOSITORY, differences, videos
from s3_server import BUCKET, s3_server

from resources.lake.schema import TABLES
from resources.lake.store import Lake

OF_THE_RUN = {"run_id", "written_at", "first_seen_at"}
COMPARED = (
    *("sources", "raw_videos", "clips", "frames", "fingerprints", "frame_captions", "clip_captions", "dialogues"),
    *("attempts", "duplicates", "comparisons", "clip_scores"),
)
MAX_RUNS = 20


def rows(lake: Lake) -> dict[str, dict[str, object]]:
    """Table -> key -> row, without what differs between two runs."""
    content = {}
    for name in COMPARED:
        columns = [column for column in TABLES[name].column_names if column not in OF_THE_RUN]
        of_table = lake.polars(name, columns=columns).to_dicts()
        content[name] = {row[TABLES[name].key]: json.dumps(row, default=str, sort_keys=True) for row in of_table}
        assert len(content[name]) == len(of_table), f"a row of {name} is there twice"
    return content


def ingest(folder: Path, lake: str, place: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("INTERNVID_", "DAGSTER_"))}
    (place / "temporary").mkdir(parents=True, exist_ok=True)
    own = {
        "INTERNVID_WORKERS": "1",
        "INTERNVID_FIRST_MODEL": "",
        "HOME": str(place),
        "DAGSTER_HOME": str(place / "dagster"),
        "TMPDIR": str(place / "temporary"),
        "PYTHONPATH": str(REPOSITORY),
    }
    return subprocess.run(
        [*COMMAND, "ingest", str(folder), "--lake", lake],
        env=kept | own | settings,
        capture_output=True,
        text=True,
        check=False,
    )


def until_it_is_well(
    folder: Path, place: Path, prefix: str, store: dict[str, str], failures: Mapping[str, float], seed: int
) -> tuple[list[str], Lake, dict[str, int]]:
    """Ingests through a failing proxy until a run ends well. Returns what the others said, the lake, and failures."""
    said = []
    root = f"s3://{BUCKET}/{prefix}"
    with failing_proxy(store["aws_endpoint"], failures, seed) as proxy:
        options = json.dumps(store | {"aws_endpoint": proxy.url})
        for _ in range(MAX_RUNS):
            done = ingest(folder, root, place, INTERNVID_STORAGE_OPTIONS=options)
            if done.returncode == 0:
                break
            said.append(done.stderr)
        else:
            raise AssertionError(f"no run of {MAX_RUNS} ended well: {said[-1]}")
    return said, Lake(root=root, storage_options=store), dict(proxy.counts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=0.03, help="of requests that fail")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    failures = {kind: arguments.share / len(RARE) for kind in RARE}
    place = Path(tempfile.mkdtemp(prefix="store-"))
    videos(place / "synthetic_videos", range(2))
    assert ingest(place / "synthetic_videos", str(place / "lake"), place / "of the folder").returncode == 0
    expected = rows(Lake(root=str(place / "lake")))
    wrong: list[str] = []
    with s3_server() as store:
        for seed in range(arguments.seeds):
            of_seed = place / f"seed {seed}"
            said, lake, counts = until_it_is_well(
                place / "synthetic_videos", of_seed, f"seed{seed}", store, failures, seed
            )
            print(f"seed {seed}: {len(said)} runs stopped, then one ended well; requests: {counts}", flush=True)
            for text in said:
                print(f"  code 1, {len(text.splitlines())} lines: {text.strip()[-600:]}", flush=True)
            found = [*differences(expected, rows(lake)), *(text for text in said if "Traceback" in text)]
            wrong += [f"seed {seed}: {line}" for line in found]
    for line in wrong:
        print(f"WRONG {line[:3000]}")
    if not wrong:
        shutil.rmtree(place)
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
