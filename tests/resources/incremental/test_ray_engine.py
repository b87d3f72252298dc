"""The engine `ray` on a Ray of this machine with two workers: outcomes, errors, and workers that are lost."""

import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray
from marking_stage import gpus, load, marks, pids, to_compute

from resources.incremental.engine import LocalEngine
from resources.incremental.faults import ServerUnreachable, SystemFault
from resources.incremental.ray_engine import MAX_LOSSES, RayEngine, WorkerLost
from resources.incremental.stage import Done, Failed, Outcome, Skipped

pytestmark = pytest.mark.slow

WORKERS = 2


@pytest.fixture(scope="module")
def engine() -> Iterator[RayEngine]:
    """Cores and GPUs are numbers that Ray counts with: it takes them as given."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_USAGE_STATS_ENABLED", "0")
        environment.setenv("RAY_worker_niceness", "0")  # of 15 by default: beside other tests they would get no core
        environment.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # of the workers
        options = {"include_dashboard": False, "object_store_memory": 100 << 20, "log_to_driver": False}
        ray.init("local", num_cpus=WORKERS, num_gpus=1, **options)
        try:
            yield RayEngine(load)
        finally:
            ray.shutdown()


def contents(outcomes: list[Outcome]) -> dict[str, tuple[Any, ...]]:
    """What each outcome says, by the unit's key."""
    said: dict[str, tuple[Any, ...]] = {}
    for outcome in outcomes:
        assert outcome.unit.key not in said, "a unit has one outcome"
        match outcome:
            case Done(rows=rows, cost=cost):
                batches = [[batch.to_pydict() for batch in of_output.batches] for of_output in rows]
                said[outcome.unit.key] = ("done", [of_output.count for of_output in rows], batches, cost)
                if outcome.release is not None:
                    outcome.release()
            case Failed(error=error, cost=cost):
                said[outcome.unit.key] = ("failed", type(error).__name__, str(error), cost)
            case Skipped(reason=reason):
                said[outcome.unit.key] = ("skipped", reason)
    return said


def test_outcomes_are_those_of_the_local_engine(engine: RayEngine, tmp_path: Path):
    labels = {f"u{number:02}": "" for number in range(20)} | {"bad": "is unreadable", "useless": "is of no use"}
    of_engine = {}
    for name, each in {"local": LocalEngine(), "ray": engine}.items():
        folder, log = tmp_path / name, []
        folder.mkdir()
        of_engine[name] = (contents(list(each.outcomes(*to_compute(folder, labels, log)))), log)
        assert marks(str(folder)) == dict.fromkeys(labels, 1)
        assert [path.name for path in folder.iterdir()] == ["marks"], "what lay in files is released"
    assert of_engine["ray"] == of_engine["local"]
    assert of_engine["ray"][1] == ["useless is of no use"]


def test_the_same_workers_compute_run_after_run_and_their_processor_time_is_counted(engine: RayEngine, tmp_path: Path):
    before = engine.processor_seconds()
    workers = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        labels = dict.fromkeys("abcdefgh", "") | {"a": "waits for another worker"}
        list(engine.outcomes(*to_compute(tmp_path / name, labels, [])))
        workers.append(pids(str(tmp_path / name)))
    assert workers[0] == workers[1]
    assert len(workers[0]) == WORKERS
    assert str(os.getpid()) not in workers[0]
    assert engine.processor_seconds() > before


def test_a_stage_with_models_has_a_worker_for_each_gpu_which_sees_no_other(engine: RayEngine, tmp_path: Path):
    stage, computation, units = to_compute(tmp_path, dict.fromkeys("abcdefgh", ""), [])
    computation = replace(computation, definition=replace(computation.definition, workers="gpu"))
    assert len(list(engine.outcomes(stage, computation, units))) == len(units)
    assert len(pids(str(tmp_path))) == 1
    assert gpus(str(tmp_path)) == {"0"}


def test_a_lost_worker_costs_no_more_than_its_chunk(engine: RayEngine, tmp_path: Path):
    labels = dict.fromkeys((f"u{number:02}" for number in range(64)), "") | {"u20": "ends its first worker"}
    outcomes = contents(list(engine.outcomes(*to_compute(tmp_path, labels, []))))
    assert {said[0] for said in outcomes.values()} == {"done"}
    assert set(outcomes) == set(labels)
    begun = marks(str(tmp_path))
    assert begun["u20"] == 2
    assert sum(begun.values()) - len(labels) <= 4, "at most the units of its chunk are computed again"


def test_a_unit_that_ends_its_worker_each_time_fails_alone(engine: RayEngine, tmp_path: Path):
    labels = dict.fromkeys("abcdefgh", "") | {"c": "ends its worker"}
    outcomes = list(engine.outcomes(*to_compute(tmp_path, labels, [])))
    (failed,) = (outcome for outcome in outcomes if not isinstance(outcome, Done))
    assert isinstance(failed, Failed)
    assert failed.unit.key == "c"
    assert isinstance(failed.error, WorkerLost)
    assert sorted(outcome.unit.key for outcome in outcomes) == sorted(labels)
    assert marks(str(tmp_path))["c"] == MAX_LOSSES


def test_an_error_that_does_not_pickle_is_still_its_units_own(engine: RayEngine, tmp_path: Path):
    (outcome,) = engine.outcomes(*to_compute(tmp_path, {"a": "has an odd error"}, []))
    assert isinstance(outcome, Failed)
    assert str(outcome.error) == "TwoTexts: odd: very"


@pytest.mark.parametrize("each", ["local", "ray"])
def test_a_fault_of_the_system_ends_the_run_with_its_own_message_and_stops_the_other_workers(
    engine: RayEngine, tmp_path: Path, each: str
):
    labels = {"a": "meets a full disk", "b": "waits for ever", "c": "", "d": ""}
    with pytest.raises(SystemFault, match=r"^no room left on the disk of "):
        list((engine if each == "ray" else LocalEngine()).outcomes(*to_compute(tmp_path, labels, [])))
    assert marks(str(tmp_path))["d"] == 0

    if each == "ray":
        (tmp_path / "marks").unlink()
        assert len(list(engine.outcomes(*to_compute(tmp_path, dict.fromkeys("cd", ""), [])))) == 2, (
            "and the next goes on"
        )


def test_another_error_of_the_stage_keeps_its_class_and_says_where_it_was_raised(engine: RayEngine, tmp_path: Path):
    with pytest.raises(KeyError, match="a bug") as raised:
        list(engine.outcomes(*to_compute(tmp_path, {"a": "finds a bug"}, [])))
    assert any("marking_stage.py" in note for note in raised.value.__notes__)


def test_a_worker_with_another_version_of_the_stage_is_refused(
    engine: RayEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MARKING_VERSION", "2")  # workers that were started before have the other
    with pytest.raises(SystemFault, match=r"computes marking in another version than the run: 1.* and not 2"):
        list(engine.outcomes(*to_compute(tmp_path, {"a": ""}, [])))
    assert not marks(str(tmp_path))


def test_a_worker_that_no_machine_has_room_for_is_refused_at_once(engine: RayEngine, tmp_path: Path):
    large = RayEngine(load, cpus_per_worker=WORKERS + 1)
    with pytest.raises(SystemFault, match=r"has room for a worker of 3 cores: the machines have .*'CPU': 2"):
        list(large.outcomes(*to_compute(tmp_path, {"a": ""}, [])))


def _cannot_load() -> Any:
    raise SystemFault("the models are not here")


def test_what_a_worker_lacks_is_said_in_one_message(engine: RayEngine, tmp_path: Path):
    engine._end_workers(ray)
    with pytest.raises(SystemFault, match=r"^the models are not here$"):
        list(RayEngine(_cannot_load).outcomes(*to_compute(tmp_path, {"a": ""}, [])))


def test_a_cluster_that_does_not_answer_is_a_fault_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(ServerUnreachable, match=f"^no Ray cluster answers at {address}: "):
        list(RayEngine(load, address=address).outcomes(*to_compute(tmp_path, {"a": ""}, [])))
