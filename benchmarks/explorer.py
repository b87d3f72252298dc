"""Pages of the explorer on a made lake: one at a time, twenty clients at once beside a slow one, and memory over many.

    python benchmarks/explorer.py [--videos 5000] [--requests 10000] [--lake FOLDER]

The lake is made by `generators/made_lake.py` (20 clips a video), with vectors, and words that are spoken in each fourth
clip. `internvid explore` serves it in a process of its own. Printed are milliseconds at the 50th and 95th percentile of
each kind of page, first asked one at a time, against that of all clips with no filter and no words; then by twenty
clients at once, while another one reads a video at 20 kB a second; and the server's memory as it answers `--requests`
requests. --lake: made there unless it is there already, and kept.
"""

from __future__ import annotations

import argparse
import http.client
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from generators.made_lake import SUBJECTS, make
from generators.vectors import VectorSpace, column

from orchestration.cli.session import Session
from orchestration.settings import Settings
from resources.lake.schema import CLIP_EMBEDDINGS, TRANSCRIPTS
from resources.lake.store import Lake

CLIENTS = 20
ROWS_PER_BATCH = 10_000
ONE_AT_A_TIME = 40  # requests of a kind
BY_ALL = 400  # requests of all clients together
SLOW_BYTES_PER_SECOND = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=5_000)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--lake", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = arguments.lake or Path(folder, "lake")
        lake = _made(root, arguments.videos)
        large = Path(folder, "large.mp4")
        with large.open("wb") as file:
            file.truncate(1 << 30)
        _measure(lake, large, arguments.requests)


def _made(root: Path, videos: int) -> Lake:
    session = Session(Settings(lake=str(root), first_model=""))
    if not session.lake.dataset("clips").count_rows():
        make(session, videos)
    if not session.lake.dataset(CLIP_EMBEDDINGS.name).count_rows():
        _add_vectors(session.lake)
        _add_speech(session.lake)
        session.lake.optimize()
    return session.lake


def _add_vectors(lake: Lake) -> None:
    import lance

    clips = lake.dataset("clips").to_table(columns=["clip_id", "video_id", "ingest_batch"]).to_batches(ROWS_PER_BATCH)
    space, noise = VectorSpace.made(400, decay=0.5), np.random.default_rng(1)

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in clips:
            known = {name: batch.column(name) for name in batch.schema.names}
            known["vector"] = column(space.clips(space.meanings(len(batch), noise)))
            yield _completed(known, CLIP_EMBEDDINGS.arrow)

    reader = pa.RecordBatchReader.from_batches(CLIP_EMBEDDINGS.arrow, batches())
    lance.write_dataset(reader, lake.uri(CLIP_EMBEDDINGS.name), mode="append")


def _add_speech(lake: Lake) -> None:
    import lance

    clips = lake.dataset("clips").to_table(columns=["clip_id", "video_id", "ingest_batch"])[::4].combine_chunks()
    chosen = random.Random(1)
    languages = ("en", "es", "zh", "de")
    known = {name: clips[name].combine_chunks() for name in clips.column_names}
    known["text"] = pa.array([f"we talk about {chosen.choice(SUBJECTS)}" for _ in range(len(clips))])
    known["language"] = pa.array([chosen.choice(languages) for _ in range(len(clips))])
    rows = pa.Table.from_batches([_completed(known, TRANSCRIPTS.arrow)])
    lance.write_dataset(rows, lake.uri(TRANSCRIPTS.name), mode="append")


def _completed(known: dict[str, pa.Array], schema: pa.Schema) -> pa.RecordBatch:
    rows = len(next(iter(known.values())))
    now = pa.array([datetime.now(UTC)] * rows, schema.field("written_at").type)
    known = {"provenance": pa.array(["made"] * rows), "written_at": now} | known
    return pa.record_batch([known.get(field.name, pa.nulls(rows, field.type)) for field in schema], schema=schema)


def _measure(lake: Lake, large: Path, requests: int) -> None:
    clips = lake.dataset("clips").count_rows()
    clip_rows = lake.dataset("clips").to_table(columns=["clip_id", "video_id"], limit=500).to_pylist()
    large_id = _with_a_large_video(lake, large, clip_rows[0]["video_id"])
    with _Server(lake.root) as server:
        started = time.monotonic()
        server.get("/")
        print(f"{clips:,} clips; the first page, with the index of the clips: {time.monotonic() - started:.1f} s")
        pick = random.Random(2)
        kinds = {
            "all clips": lambda: "/",
            "words": lambda: f"/?q={pick.choice(SUBJECTS).replace(' ', '+')}",
            "filters": lambda: f"/?language=en&min.motion={pick.random():.2f}&min.score.aesthetics=0.3",
            "words and filters": lambda: f"/?q=dog+{pick.random()}&language=es&max.seconds=20",
            "like a clip": lambda: f"/?like={pick.choice(clip_rows)['clip_id']}",
            "sorted by a score": lambda: f"/?sort=highest-aesthetics&page={pick.randint(1, 40)}",
            "a clip": lambda: f"/clips/{pick.choice(clip_rows)['clip_id']}",
            "its lineage": lambda: f"/clips/{pick.choice(clip_rows)['clip_id']}/story",
            "a frame": lambda: f"/clips/{pick.choice(clip_rows)['clip_id']}/frame.jpg",
        }
        print("one at a time:")
        for kind, address in kinds.items():
            _print(kind, [server.get(address()) for _ in range(ONE_AT_A_TIME)])
        asked = [kinds[kind] for kind in ("all clips", "words", "filters", "like a clip", "a clip", "a frame")]
        slow = threading.Thread(target=server.read_slowly, args=(f"/videos/{large_id}/file",), daemon=True)
        slow.start()
        print(
            f"{CLIENTS} clients at once, beside one that reads a video at {SLOW_BYTES_PER_SECOND // 1000} kB a second:"
        )
        _print("all of these", _by_clients(server, [pick.choice(asked)() for _ in range(BY_ALL)]))
        print(f"  the slow one goes on: {slow.is_alive()}")
        print(f"memory of the server after so many requests (MB): {BY_ALL}: {server.memory():.0f}", end="")
        for part in range(1, 5):
            _by_clients(server, [pick.choice(asked)() for _ in range(requests // 4)])
            print(f", {BY_ALL + part * requests // 4:,}: {server.memory():.0f}", end="", flush=True)
        print()


def _with_a_large_video(lake: Lake, file: Path, video_id: str) -> str:
    """Makes a video's row name a file that is there."""
    row = lake.known("raw_videos", [video_id], lake.dataset("raw_videos").schema.names).to_pylist()[0]
    row |= {"path": str(file), "size_bytes": file.stat().st_size, "container": "mov,mp4", "provenance": str(file)}
    row["pixel_format"] = "yuv420p"
    lake.upsert("raw_videos", pa.Table.from_pylist([row], schema=lake.dataset("raw_videos").schema))
    return video_id


def _by_clients(server: _Server, addresses: list[str]) -> list[float]:
    waiting, seconds = iter(addresses), list[float]()
    lock = threading.Lock()

    def client() -> None:
        while True:
            with lock:
                address = next(waiting, None)
            if address is None:
                return
            took = server.get(address)
            with lock:
                seconds.append(took)

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seconds


def _print(kind: str, seconds: list[float]) -> None:
    p50, p95 = np.percentile(np.array(seconds) * 1000, (50, 95))
    print(f"  {kind:20} p50 {p50:6.0f} ms, p95 {p95:6.0f} ms, of {len(seconds):,}", flush=True)


class _Server:
    """`internvid explore` on a lake, in a process."""

    def __init__(self, root: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        command = [sys.executable, "-c", "from orchestration.cli.main import main; main()", "explore", "--lake", root]
        self._process = subprocess.Popen([*command, "--port", str(self._port)], stdout=subprocess.DEVNULL)
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return
            time.sleep(0.1)
        raise TimeoutError("the server did not start")

    def __enter__(self) -> _Server:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        self._process.wait()

    def get(self, address: str) -> float:
        """Returns the seconds until the whole answer was there. Raises RuntimeError for an error."""
        started = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        connection.request("GET", address)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"{address}: {answer.status}")
        return time.monotonic() - started

    def read_slowly(self, address: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        connection.request("GET", address)
        answer = connection.getresponse()
        while answer.read(SLOW_BYTES_PER_SECOND // 10):
            time.sleep(0.1)

    def memory(self) -> float:
        """Returns the memory that is the process's own, MB: files that are mapped are not counted."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(re.findall(r"RssAnon:\s+(\d+) kB", status)[0]) / 1000


if __name__ == "__main__":
    main()
