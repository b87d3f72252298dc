"""Plants faults in a copy of the program, one at a time, and says which the tests catch:
`PYTHONPATH=. python tests/chaos/plant_faults.py`. `--only "a word"` chooses faults by name. Takes about half an hour.

The working tree is never touched: a fault is planted in a copy of it, which is removed at the end. A fault is caught
where a test fails that passes without it. `--unplanted` runs the tests without any fault first.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from resources.lake.temporary_folders import temporary_folder

REPOSITORY = Path(__file__).resolve().parents[2]
SECONDS_PER_FAULT = 900
NO_TESTS = 5  # pytest's exit code where none was chosen


@dataclass(frozen=True)
class Fault:
    """name: what is wrong. file: in which file of the program. changes: (text, replacement); each text is there once.

    tests: the files, or tests in them, that should catch it: those nearest to the code, then those of whole stages.
    """

    name: str
    file: str
    changes: tuple[tuple[str, str], ...]
    tests: tuple[str, ...]


RUNNER = "tests/resources/incremental/test_runner.py"
FAULTS = (
    Fault(
        "the runner swallows a fault of the system",
        "resources/incremental/runner.py",
        (("                commits.flush()\n            raise\n", "                commits.flush()\n"),),
        (RUNNER,),
    ),
    Fault(
        "a run whose last commit fails is reported as well done",
        "resources/incremental/runner.py",
        (
            (
                "            raise\n        commits.flush()\n",
                "            raise\n        with suppress(Exception):\n            commits.flush()\n",
            ),
        ),
        (RUNNER, "tests/orchestration/test_full_and_read_only_disks.py"),
    ),
    Fault(
        "what was to be improved is asked for again though it was",
        "resources/incremental/commits.py",
        (
            (
                "        if self.improved:\n            self.lake.delete",
                "        if False:\n            self.lake.delete",
            ),
        ),
        (RUNNER,),
    ),
    Fault(
        "a unit of which some slices are there counts as done",
        "sql/incremental/state.sql",
        (("having count(*) = max(unit_rows)", "having count(*) <= max(unit_rows)"),),
        (RUNNER,),
    ),
    Fault(
        "the state of a batch names newer versions than it was counted from",
        "resources/incremental/batch_states.py",
        (
            (
                '"table_versions": json.dumps(versions),',
                '"table_versions": json.dumps({name: lake.version(name) for name in versions}),',
            ),
        ),
        ("tests/resources/incremental/test_batch_states.py",),
    ),
    Fault(
        "the state of a batch is kept though its rows changed",
        "resources/incremental/batch_states.py",
        (("changed = tables.changed_partitions(name, since[name], column)", "changed = set()"),),
        ("tests/resources/incremental/test_batch_states.py",),
    ),
    Fault(
        "Dagster's folder is created without a lock",
        "orchestration/instance.py",
        (('    with FileLock(home / "opening.lock"):\n', "    if True:\n"),),
        ("tests/orchestration/test_instance.py",),
    ),
    Fault(
        "the error of a row stops the run",
        "resources/incremental/engine.py",
        (
            (
                "        count += 1\n",
                "        if isinstance(outcome, Failed):\n            raise outcome.error\n        count += 1\n",
            ),
        ),
        (RUNNER,),
    ),
    Fault(
        "an error of the system becomes a row",
        "resources/incremental/engine.py",
        (("if isinstance(outcome, Failed) and (fault := system_fault_of(outcome.error)):", "if fault := None:"),),
        (RUNNER, "tests/resources/incremental/test_faults.py"),
    ),
    Fault(
        "no room on the disk is taken for a fault of the input",
        "resources/incremental/faults.py",
        (
            ("NO_ROOM = (errno.ENOSPC, errno.EDQUOT)", "NO_ROOM = (errno.EDQUOT,)"),
            (r"No space left on device|", ""),
            ("(28|122)", "(122)"),
        ),
        ("tests/resources/incremental/test_faults.py", "tests/orchestration/test_full_and_read_only_disks.py"),
    ),
    Fault(
        "attempts stay though the unit is done",
        "resources/incremental/commits.py",
        (("        if state.settled_attempts:\n", "        if False:\n"),),
        (RUNNER,),
    ),
    Fault(
        "a failed unit is tried again at once",
        "resources/incremental/retries.py",
        (("now + timedelta(minutes=self.delay_minutes * self.backoff ** (tries - 1))", "now"),),
        ("tests/resources/incremental/test_retries.py",),
    ),
    Fault(
        "many failures of one class do not end the run",
        "resources/incremental/runner.py",
        (("        if self.policy.is_alarming(self.failures[name], self.tried):", "        if False:"),),
        (RUNNER,),
    ),
    Fault(
        "a digest leaves out a column",
        "resources/incremental/provenance.py",
        (("for name in sorted(batch.schema.names)}", "for name in sorted(batch.schema.names)[:-1]}"),),
        ("tests/resources/incremental/test_provenance.py",),
    ),
    Fault(
        "the tombstone of a file's bytes is ignored",
        "assets/ingest/raw_videos.py",
        (("if forgotten := tombstones.refuses_content(inspected.sha256):", "if forgotten := None:"),),
        (
            "tests/resources/catalog/test_tombstones.py",
            "tests/resources/corpus/test_forgetting.py",
            "tests/assets/test_pipeline.py",
        ),
    ),
    Fault(
        "forgotten rows stay in older versions",
        "resources/lake/erasure.py",
        (("        timedelta(0), error", "        timedelta(days=7), error"),),
        ("tests/resources/lake/test_erasure.py", "tests/resources/corpus/test_forgetting.py"),
    ),
    Fault(
        "two processes that insert the same key both keep their row",
        "resources/lake/writes.py",
        (("    if change.version is not None and change.version > read_version + 1:", "    if False:"),),
        ("tests/resources/lake/test_writes.py",),
    ),
    Fault(
        "a value of SQL is pasted instead of quoted",
        "resources/lake/store.py",
        (('return f"{column} = {writes.sql_text(value)}"', "return f\"{column} = '{value}'\""),),
        ("tests/resources/lake/test_store.py",),
    ),
    Fault(
        "the SQL of users may open files",
        "resources/lake/store.py",
        (('            connection.execute("SET enable_external_access = false")\n', ""),),
        ("tests/resources/lake/test_store.py", "tests/test_command_line.py"),
    ),
    Fault(
        "a wrong join in the pool of subsets",
        "sql/selection/pool.sql",
        (
            (
                "inner join clip_captions on clips.clip_id = clip_captions.clip_id",
                "inner join clip_captions on clips.video_id = split_part(clip_captions.clip_id, '_', 1)",
            ),
        ),
        ("tests/resources/corpus/test_subsets.py",),
    ),
    Fault(
        "scores of any kind are joined in a subset",
        "sql/subsets/aes.sql",
        ((" and clip_scores.score = $score\n", "\n"),),
        ("tests/resources/corpus/test_subsets.py",),
    ),
    Fault(
        "copies of benchmark videos are in subsets",
        "sql/selection/pool.sql",
        (("error_class = 'InBenchmark'", "error_class = 'Benchmark'"),),
        ("tests/resources/corpus/test_subsets.py", "tests/resources/catalog/test_benchmark_videos.py"),
    ),
    Fault(
        "a clip ends a frame late",
        "internvid/video/scan.py",
        (("        end_frame=end_frame,\n", "        end_frame=end_frame + 1,\n"),),
        ("tests/internvid/video/test_scan.py",),
    ),
    Fault(
        "a cut begins a frame late",
        "internvid/video/scan.py",
        (("self._boundaries.pop(step.frame_index, None)", "self._boundaries.pop(step.frame_index - 1, None)"),),
        ("tests/internvid/video/test_scan.py",),
    ),
    Fault(
        "frames that may hide a cut are left out",
        "internvid/video/reference_frames.py",
        (("        for first, last in spans:\n", "        for first, last in ():\n"),),
        ("tests/internvid/video/test_reference_frames.py",),
    ),
    Fault(
        "an imported span ends a frame late",
        "internvid/video/spans.py",
        (
            (
                "step.seconds >= span.end_seconds - self._half_a_frame",
                "step.seconds > span.end_seconds + self._half_a_frame",
            ),
        ),
        ("tests/internvid/video/test_spans.py",),
    ),
    Fault(
        "a manifest is written in its place",
        "internvid/report/whole_file.py",
        (
            ('unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")', "unfinished = path"),
            ('unfinished.open("xb")', 'unfinished.open("wb")'),
            ("        unfinished.unlink(missing_ok=True)\n", "        pass\n"),
        ),
        (
            "tests/resources/corpus/exports/test_export_manifest.py",
            "tests/internvid/report",
            "tests/internvid/viclip/test_checkpoint.py",
        ),
    ),
    Fault(
        "a file that was put is there before all of it is",
        "resources/lake/paths.py",
        (
            (
                "                shutil.copyfile(file, part)\n                os.replace(part, self.on_disk)\n",
                "                shutil.copyfile(file, self.on_disk)\n",
            ),
        ),
        ("tests/resources/lake/test_paths.py", "tests/resources/media/test_media.py"),
    ),
    Fault(
        "published files are removed while the manifest still names them",
        "resources/corpus/published_export.py",
        (
            (
                "        (folder / MANIFEST).take(text)\n    groups |= new.keys()",
                "        for name in groups & new.keys():\n"
                "            remove_others(folder / name, (Path(file.file).name for file in new[name]))\n"
                "        (folder / MANIFEST).take(text)\n    groups |= new.keys()",
            ),
        ),
        ("tests/resources/corpus/test_published_export.py",),
    ),
    Fault(
        "temporary folders are not removed",
        "resources/lake/temporary_folders.py",
        (("        _remove(folder)\n        lock.release()\n", "        lock.release()\n"),),
        ("tests/resources/lake/test_temporary_folders.py",),
    ),
    Fault(
        "a checkpoint is loaded without looking whether it is finite",
        "internvid/viclip/checkpoint.py",
        (("        require_answers(weights)\n", ""),),
        ("tests/internvid/viclip/test_checkpoint.py",),
    ),
    Fault(
        "a redirect to a private address is followed",
        "internvid/web/session.py",
        (("        reach_only_public_addresses(settings.allowed_addresses)\n", ""),),
        ("tests/internvid/web/test_download.py",),
    ),
    Fault(
        "of addresses that are not public only this machine's are refused",
        "internvid/web/guard.py",
        (("or is_public(address):", "or not address.is_loopback:"),),
        ("tests/internvid/web/test_guard.py",),
    ),
    Fault(
        "IPv4 addresses behind a translation from IPv6 are not looked at",
        "internvid/web/guard.py",
        (("    if address in _NAT64:\n", "    if False:\n"),),
        ("tests/internvid/web/test_guard.py",),
    ),
    Fault(
        "children are not confined",
        "resources/media/child_process.py",
        (("    if confinement is not None:\n", "    if False:\n"),),
        ("tests/resources/media/test_confinement.py",),
    ),
    Fault(
        "the children of the media store are not confined",
        "resources/media/store.py",
        (("                confinement=confinement,\n", ""),),
        ("tests/resources/media/test_confinement.py", "tests/resources/media/test_media.py"),
    ),
    Fault(
        "children have no limit of memory",
        "resources/media/child_process.py",
        (("        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes + BYTES_TO_REPORT))\n", ""),),
        ("tests/resources/media/test_child_process.py",),
    ),
    Fault(
        "children outlive a parent that is killed",
        "resources/media/child_process.py",
        (("        _die_with_parent()\n    resource", "    resource"),),
        ("tests/resources/media/test_child_process.py", "tests/test_kill.py"),
    ),
    Fault(
        "a training sample has the frames of another clip",
        "resources/training/lake_clips.py",
        (
            (
                "column[int(clip)].values.to_numpy()[np.asarray(chosen, np.int64)]",
                "column[int(clip) - 1].values.to_numpy()[np.asarray(chosen, np.int64) % len(column[int(clip) - 1])]",
            ),
        ),
        ("tests/resources/training/test_lake_clips.py",),
    ),
    Fault(
        "a clip without frames is indexed for training",
        "sql/training/clip_index_kept.sql",
        (("where lacks is null", "where lacks is null or lacks not like '%caption%'"),),
        ("tests/resources/training/test_lake_clips.py",),
    ),
    Fault(
        "a summary tells the captions in reverse order",
        "internvid/captions/summary.py",
        (("key=lambda c: (c.seconds, c.scale, c.caption))\n", "key=lambda c: (-c.seconds, c.scale, c.caption))\n"),),
        ("tests/internvid/captions/test_summary.py",),
    ),
    Fault(
        "a training that goes on sees the clips of its start again",
        "internvid/viclip/sampling.py",
        (("            start = max(0, first_step - plan.first_step)\n", "            start = 0\n"),),
        ("tests/internvid/viclip/test_sampling.py",),
    ),
    Fault(
        "a clip's vector is made of the first frames of its segments",
        "internvid/viclip/frame_choice.py",
        (("(first + last) // 2 for", "first for"),),
        ("tests/internvid/viclip/test_frame_choice.py",),
    ),
    Fault(
        "a backup keeps an older file of the same size",
        "resources/corpus/backups.py",
        (("written is not None and made >= written", "written is not None"),),
        ("tests/resources/corpus/test_backups.py",),
    ),
    Fault(
        "a frame at a cut is given to the clip before it",
        "assets/video/clips.py",
        (("clips[bisect_right(starts, tick) - 1]", "clips[max(0, bisect_right(starts, tick - 1) - 1)]"),),
        ("tests/assets/test_pipeline.py",),
    ),
    Fault(
        "maintenance removes versions that readers have open",
        "resources/lake/maintenance.py",
        (("cleanup_old_versions(_age_to_keep(newest, keep_versions_for),", "cleanup_old_versions(timedelta(0),"),),
        ("tests/resources/lake/test_maintenance.py",),
    ),
    Fault(
        "maintenance removes the version that was just the newest, for its age",
        "resources/lake/maintenance.py",
        (("cleanup_old_versions(_age_to_keep(newest, keep_versions_for),", "cleanup_old_versions(keep_versions_for,"),),
        ("tests/resources/lake/test_maintenance.py",),
    ),
    Fault(
        "a schedule asks for a run though its last one waits in the queue",
        "orchestration/schedules.py",
        (("if waiting := waiting_runs(context.instance, job_name, schedule=name):", "if waiting := []:"),),
        ("tests/orchestration/test_follow_up.py",),
    ),
    Fault(
        "a version that was removed while it was read ends the run",
        "resources/incremental/materialization.py",
        (("if isinstance(fault, TableUnreadable) and", "if False and"),),
        ("tests/resources/incremental/test_materialization.py",),
    ),
    Fault(
        "a site in a cooldown is asked all the same",
        "resources/catalog/downloader.py",
        (("_Site(stopped=cooldowns.get(video.site))", "_Site()"),),
        ("tests/assets/test_downloads.py",),
    ),
    Fault(
        "vectors stay though the frames of a clip changed",
        "sql/units/clip_embeddings.sql",
        (
            (
                "string_agg(frame_id || '=' || digest, ',' order by frame_id)",
                "string_agg(frame_id, ',' order by frame_id)",
            ),
        ),
        ("tests/assets/test_inputs_of_stages.py",),
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=[""], help="parts of the names of the faults to plant")
    parser.add_argument("--unplanted", action="store_true", help="first run the tests without any fault")
    arguments = parser.parse_args()
    chosen = [fault for fault in FAULTS if any(part in fault.name for part in arguments.only)]
    missed = []
    with temporary_folder() as folder:
        copy = copy_of_tree(folder / "tree")
        if arguments.unplanted:
            tests = tuple(sorted({test for fault in chosen for test in fault.tests}))
            failed = failure(copy, tests, folder)
            assert failed is None, f"without any fault: {failed}"
        for fault in chosen:
            started = time.monotonic()
            with planted(copy, fault):
                failed = failure(copy, fault.tests, folder)
            missed += [fault.name] * (failed is None)
            print(f"{time.monotonic() - started:5.0f} s  {fault.name}: {failed or 'NOT CAUGHT'}", flush=True)
    print(f"{len(chosen) - len(missed)} of {len(chosen)} faults are caught")
    sys.exit(bool(missed))


def copy_of_tree(folder: Path) -> Path:
    """Copies what git knows and does not ignore; beside it lie the files that tests share."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.rstrip("\0").split("\0"):
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)
    if (shared := REPOSITORY.parent / "shared").exists():
        (folder.parent / "shared").symlink_to(shared)
    return folder


@contextmanager
def planted(copy: Path, fault: Fault) -> Iterator[None]:
    """Changes the file in the copy for the time of the block."""
    path = copy / fault.file
    original = path.read_text(encoding="utf-8")
    text = original
    for old, new in fault.changes:
        assert text.count(old) == 1, f"{fault.name}: {text.count(old)} times in {fault.file}: {old!r}"
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(original, encoding="utf-8")


def failure(copy: Path, tests: tuple[str, ...], folder: Path) -> str | None:
    """Runs the tests in the copy up to the first that fails, and returns its name; None where all pass."""
    for chosen in ("not slow", "slow"):  # most faults are caught by a fast test
        if (failed := _failure(copy, [*tests, "-m", chosen], folder)) is not None:
            return failed
    return None


def _failure(copy: Path, arguments: list[str], folder: Path) -> str | None:
    temporary = Path(tempfile.mkdtemp(prefix="t", dir=folder))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("INTERNVID_", "DAGSTER_"))}
    # A file that is changed and changed back within a second would be taken from the cache of compiled files.
    environment = kept | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(temporary)}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-rfE", "-p", "no:cacheprovider", *arguments]
    try:
        done = subprocess.run(
            command, cwd=copy, env=environment, capture_output=True, text=True, timeout=SECONDS_PER_FAULT, check=False
        )
    except subprocess.TimeoutExpired:
        return f"not finished after {SECONDS_PER_FAULT} s"
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    if done.returncode in (0, NO_TESTS):
        return None
    named = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    return named[0] if named else f"pytest ended with {done.returncode}: {(done.stdout + done.stderr)[-500:]}"


if __name__ == "__main__":
    main()
