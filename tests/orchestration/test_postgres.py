"""Dagster's records in Postgres: named by a setting, waited for while it restarts, and one message where it is away."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy
import yaml
from command import internvid, internvid_process, refused
from postgres_server import PASSWORD, PostgresServer, running_postgres

from orchestration.cli.liveness import CODE_LOCATION_TAG, TAG, Liveness, end_runs, runs_of_code_location
from orchestration.definitions import definitions
from orchestration.instance import POOLS, dagster_home, open_instance, workspace_file
from orchestration.jobs import optimize_tables
from orchestration.postgres import with_driver
from orchestration.settings import Settings
from resources.incremental.faults import ServerUnreachable, SystemFault


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with running_postgres() as server:
        yield server


@pytest.fixture
def settings(postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in postgres.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("INTERNVID_MAX_CONCURRENT_RUNS", "7")
    monkeypatch.setenv("INTERNVID_POOL_LIMITS", '{"caption": 3}')
    return Settings(lake=str(tmp_path / "lake"), dagster_home=str(tmp_path / "dagster"))


@pytest.fixture
def instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    with open_instance(settings) as instance:
        yield instance


def test_records_are_in_postgres_and_the_limits_those_of_the_settings(settings, instance, postgres) -> None:
    instance.add_dynamic_partitions("ingest_batch", ["2026-01-01-0001"])
    assert ("2026-01-01-0001",) in postgres.rows("select partition from dynamic_partitions")
    assert list(Path(settings.dagster_home).rglob("*.db")) == []
    assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == 7
    pools = {pool.name: pool.limit for pool in instance.event_log_storage.get_pool_limits()}
    assert pools == dict.fromkeys(POOLS, 7) | {"download": 1, "caption": 3}


def test_every_pool_of_the_assets_and_jobs_is_known() -> None:
    graph = definitions(Settings()).resolve_asset_graph()
    pools = {pool for key in graph.get_all_asset_keys() for pool in graph.get(key).pools or ()}
    assert pools | {optimize_tables.pool} == set(POOLS)


def test_the_password_is_in_no_file_and_not_in_what_the_ui_shows(settings, instance) -> None:
    texts = [path.read_text() for path in Path(settings.dagster_home).rglob("*") if path.is_file()]
    shown = [*texts, instance.info_str(), str(instance.get_ref().to_dict())]
    assert any("INTERNVID_POSTGRES_URL" in text for text in texts)
    assert not any(PASSWORD in text for text in shown)


def test_a_connection_waits_for_a_postgres_that_restarts(instance, postgres) -> None:
    postgres.kill()
    restart = threading.Timer(2, postgres.start)
    restart.start()
    instance.add_dynamic_partitions("ingest_batch", ["2026-01-01-0002"])
    restart.join()
    assert ("2026-01-01-0002",) in postgres.rows("select partition from dynamic_partitions")


def test_a_connection_that_was_kept_is_replaced_after_a_restart(settings, postgres) -> None:
    engine = sqlalchemy.create_engine(with_driver(postgres.url))  # with a pool, as the webserver's
    with engine.connect() as connection:
        before = connection.execute(sqlalchemy.text("select pg_backend_pid()")).scalar()
    with engine.connect() as connection:
        assert connection.execute(sqlalchemy.text("select pg_backend_pid()")).scalar() == before
    postgres.kill()
    postgres.start()
    with engine.connect() as connection:
        assert connection.execute(sqlalchemy.text("select 1")).scalar() == 1
    engine.dispose()


def test_a_postgres_that_does_not_answer_is_one_message_before_anything_is_registered(
    tmp_path, synthetic_video
) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    synthetic_video(folder, "one.mp4")
    with socket.socket() as taken:  # bound, and not listening
        taken.bind(("127.0.0.1", 0))
        where = {"INTERNVID_POSTGRES_URL": f"postgresql://me@127.0.0.1:{taken.getsockname()[1]}/dagster"}
        done = internvid_process("ingest", folder, lake=tmp_path / "lake", PGPASSWORD=PASSWORD, **where)
    assert done.returncode == 1
    text = refused(done)
    assert text.startswith("stopped: Dagster's Postgres does not answer: connection to server at")
    assert PASSWORD not in text
    registered = internvid("sql", "select * from sources", "--format", "json", lake=tmp_path / "lake")
    assert json.loads(registered.stdout) == []


def test_a_wrong_password_is_told_at_once_and_not_waited_for(settings, monkeypatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "wrong")
    with pytest.raises(SystemFault, match=r"Dagster's Postgres refuses: .*password authentication failed") as raised:
        open_instance(settings)
    assert not isinstance(raised.value, ServerUnreachable)


def test_the_files_of_dagsters_folder_follow_the_settings(tmp_path) -> None:
    settings = Settings(lake=str(tmp_path), dagster_home=str(tmp_path / "dagster"), max_concurrent_runs=5)
    written = yaml.safe_load((dagster_home(settings) / "dagster.yaml").read_text())
    assert written["concurrency"]["runs"] == {"max_concurrent_runs": 5}
    assert "storage" not in written
    changed = settings.model_copy(update={"postgres_url": "postgresql://me@db/dagster", "code_location": "code:4000"})
    written = yaml.safe_load((dagster_home(changed) / "dagster.yaml").read_text())
    assert written["storage"]["custom"]["config"] == {"postgres_url": {"env": "INTERNVID_POSTGRES_URL"}}
    assert yaml.safe_load(workspace_file(changed).read_text()) == {
        "load_from": [{"grpc_server": {"host": "code", "port": 4000, "location_name": "internvid"}}]
    }


def test_a_dagster_yaml_of_the_users_own_stays_and_a_setting_without_effect_is_told(tmp_path) -> None:
    own = tmp_path / "dagster" / "dagster.yaml"
    own.parent.mkdir()
    own.write_text("telemetry: {enabled: false}\n")
    home = {"lake": str(tmp_path), "dagster_home": str(own.parent)}
    dagster_home(Settings(**home))
    with pytest.raises(SystemFault, match="INTERNVID_MAX_CONCURRENT_RUNS would have no effect"):
        dagster_home(Settings(**home, max_concurrent_runs=5))
    assert own.read_text() == "telemetry: {enabled: false}\n"


def test_runs_of_another_machine_are_not_ended(tmp_path) -> None:
    with dg.instance_for_test() as instance:
        lock = str(tmp_path / "running.lock")  # nobody holds it
        runs = {
            machine: instance.create_run_for_job(
                _job, status=dg.DagsterRunStatus.STARTED, tags={TAG: f"{machine}:{lock}"}
            ).run_id
            for machine in (socket.gethostname(), "another")
        }
        Liveness(instance).end_runs_of_killed_processes()
        assert instance.get_run_by_id(runs[socket.gethostname()]).status == dg.DagsterRunStatus.FAILURE
        assert instance.get_run_by_id(runs["another"]).status == dg.DagsterRunStatus.STARTED


def test_only_runs_of_the_code_location_that_was_lost_are_ended() -> None:
    with dg.instance_for_test() as instance:

        def run(server: str | None, status: dg.DagsterRunStatus) -> str:
            tags = {} if server is None else {CODE_LOCATION_TAG: server}
            return instance.create_run_for_job(_job, status=status, tags=tags).run_id

        lost = '{"host": "code", "port": 4000}'
        started, canceling = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING
        runs = [
            run(lost, started),
            run(lost, canceling),
            run('{"host": "code", "port": 4001}', started),
            run('{"socket": "/tmp/a"}', started),
            run(None, started),
        ]
        end_runs(instance, runs_of_code_location(instance, ("code", 4000)), "lost")
        assert [instance.get_run_by_id(run_id).status.value for run_id in runs] == [
            "FAILURE",
            "CANCELED",
            "STARTED",
            "STARTED",
            "STARTED",
        ]


@dg.job
def _job() -> None: ...
