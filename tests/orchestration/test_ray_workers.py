"""What a worker of the engine `ray` gets from a run, and what it builds from that."""

import os
import pickle

import pytest

from orchestration.configured import configured
from orchestration.settings import Settings
from resources.incremental.engine import LocalEngine
from resources.incremental.ray_engine import RayEngine

SERVER = "{kind: server, url: 'http://127.0.0.1:1/v1', served_model: m, key_variable: KEY_OF_THE_MODEL}"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in [name for name in os.environ if name.startswith(("INTERNVID_", "AWS_"))]:
        monkeypatch.delenv(name)
    return monkeypatch


def engine_of(settings: Settings) -> RayEngine:
    engine = configured(settings)["engine"]
    assert isinstance(engine, RayEngine)
    return engine


def test_the_engine_is_local_unless_set(environment: pytest.MonkeyPatch):
    assert isinstance(configured(Settings())["engine"], LocalEngine)


def test_a_worker_builds_the_resources_of_the_run_from_its_settings(tmp_path, environment: pytest.MonkeyPatch):
    environment.setenv("INTERNVID_PROVIDER_SUMMARISER", SERVER)
    environment.chdir(tmp_path)
    settings = Settings(lake="lake", engine="ray", max_failure_share=0.5)
    setup = pickle.loads(pickle.dumps(engine_of(settings).load))
    of_the_run = configured(settings)

    environment.delenv("INTERNVID_PROVIDER_SUMMARISER")
    environment.setenv("INTERNVID_PROFILE", "of the worker's machine")
    (tmp_path / "elsewhere").mkdir()
    environment.chdir(tmp_path / "elsewhere")
    for name in setup.environment:
        environment.setenv(name, "")  # so that what the worker sets is undone
    definitions, resources = setup()

    assert resources["lake"].root == str(tmp_path / "lake")
    assert resources["media"].root == of_the_run["media"].root
    assert resources["media"].workers == 1
    assert resources["failure_policy"] == of_the_run["failure_policy"]
    assert resources["summariser"] == of_the_run["summariser"]
    assert isinstance(resources["engine"], LocalEngine)
    assert definitions["clips"].workers == "cpu"
    assert definitions["frame_captions"].workers == "gpu"


def test_keys_travel_and_are_shown_nowhere(environment: pytest.MonkeyPatch):
    environment.setenv("INTERNVID_PROVIDER_SUMMARISER", SERVER)
    environment.setenv("KEY_OF_THE_MODEL", "secret-1")
    environment.setenv("AWS_SECRET_ACCESS_KEY", "secret-2")
    environment.setenv("KEY_OF_SOMETHING_ELSE", "secret-3")
    engine = engine_of(Settings(engine="ray"))
    environment_of_worker = engine.load.environment
    assert environment_of_worker["KEY_OF_THE_MODEL"] == "secret-1"
    assert environment_of_worker["AWS_SECRET_ACCESS_KEY"] == "secret-2"
    assert "secret-3" not in environment_of_worker.values()
    assert "secret" not in repr(engine)


def test_cores_of_a_worker_are_its_decoding_processes(environment: pytest.MonkeyPatch):
    assert engine_of(Settings(engine="ray")).cpus_per_worker == 1
    several = engine_of(Settings(engine="ray", workers=4, ray_workers=3, ray_gpus_per_worker=0.5))
    assert (several.cpus_per_worker, several.max_workers, several.gpus_per_worker) == (4, 3, 0.5)
    assert several.load.environment["INTERNVID_WORKERS"] == "4"


@pytest.mark.parametrize(("setting", "of_workers"), [("auto", "float32"), ("bfloat16", "bfloat16")])
def test_workers_compute_vectors_in_the_precision_that_the_machine_of_the_run_names(
    environment: pytest.MonkeyPatch, setting, of_workers
):
    settings = Settings(engine="ray", device="cpu", precision=setting)
    assert configured(settings)["aligner"].resolved_precision == of_workers
    assert engine_of(settings).load.environment["INTERNVID_PRECISION"] == of_workers
