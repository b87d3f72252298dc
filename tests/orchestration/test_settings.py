"""Settings: read from the environment, left to processes that are started, wrong ones told, and read nowhere else."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import ValidationError

from orchestration.cli.options import settings_of
from orchestration.settings import PREFIX, Settings, problems_of, render_markdown, variable_of

REPOSITORY = Path(__file__).resolve().parents[2]
FLOORS = ("orchestration", "assets", "resources", "internvid")

# Of every field: as its variable gives it, and what the setting then is; none is the default.
GIVEN: dict[str, tuple[str, Any]] = {
    "lake": ("s3://bucket/lake/", "s3://bucket/lake"),
    "storage_options": ('{"aws_region": "eu-west-1"}', {"aws_region": "eu-west-1"}),
    "media": ("s3://bucket/media", "s3://bucket/media"),
    "keep": ("import", "import"),
    "workers": ("3", 3),
    "benchmarks": ('{"msrvtt": "/data/msrvtt"}', {"msrvtt": "/data/msrvtt"}),
    "device": ("cuda:1", "cuda:1"),
    "precision": ("bfloat16", "bfloat16"),
    "processes": ("2", 2),
    "executor": ("multiprocess", "multiprocess"),
    "engine": ("ray", "ray"),
    "ray_address": ("head:6379", "head:6379"),
    "ray_workers": ("4", 4),
    "ray_gpus_per_worker": ("0.5", 0.5),
    "clip": ("openai/clip-vit-base-patch32", "openai/clip-vit-base-patch32"),
    "language_model": ("/models/qwen", "/models/qwen"),
    "image_model": ("/models/diffusion", "/models/diffusion"),
    "trial_steps": ("5", 5),
    "first_model": ("", ""),
    "interleaved_drop": ("0.5", 0.5),
    "interleaved_seed": ("7", 7),
    "profile": ("hub,server", "hub,server"),
    "providers": ("{kind: none}", {"name": "{kind: none}"}),
    "inbox": ("/in box", "/in box"),
    "inbox_settled_seconds": ("2.5", 2.5),
    "collect": ("1", True),
    "discover_cron": ("1 2 * * *", "1 2 * * *"),
    "check_cron": ("3 4 * * *", "3 4 * * *"),
    "retries": ("/retries.yaml", "/retries.yaml"),
    "max_failure_share": ("0.5", 0.5),
    "benchmark_ids": (f"/a{os.pathsep}/b", ["/a", "/b"]),
    "opt_outs": ("/c", ["/c"]),
    "probes": ('["linear", "knn"]', ["linear", "knn"]),
    "benchmark_videos": ("/benchmarks", "/benchmarks"),
    "subsets": ("/subsets", "/subsets"),
    "stages": ("/stages", "/stages"),
    "owner": ("team:videos", "team:videos"),
    "dagster_home": ("/dagster", "/dagster"),
    "postgres_url": ("postgresql://me@host/dagster", "postgresql://me@host/dagster"),
    "code_location": ("code:4000", "code:4000"),
    "explorer_token": ("secret", "secret"),
    "explorer_url": ("https://explorer.example", "https://explorer.example"),
    "ui_url": ("http://ui.example:3000", "http://ui.example:3000"),
    "max_concurrent_runs": ("8", 8),
    "pool_limits": ('{"caption": 1}', {"caption": 1}),
}


@pytest.fixture(autouse=True)
def _without_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith((PREFIX, "DAGSTER_HOME"))]:
        monkeypatch.delenv(name)


def read_in(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of a process that is started with this environment."""
    with monkeypatch.context() as patched:
        for name in [name for name in os.environ if name not in environment]:
            patched.delenv(name)
        for name, text in environment.items():
            patched.setenv(name, text)
        return Settings()


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_variable_is_read_and_left_to_processes_that_are_started(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, value = GIVEN[name]
    assert getattr(Settings(), name) != value
    monkeypatch.setenv(variable_of(name), text)
    settings = Settings()
    assert getattr(settings, name) == value
    monkeypatch.delenv(variable_of(name))
    assert read_in(settings.as_environment(), monkeypatch) == settings


def test_what_the_command_line_lays_over_the_environment_is_left_to_processes_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("INTERNVID_LAKE", "/elsewhere")
    monkeypatch.setenv("INTERNVID_MEDIA", "/media")
    monkeypatch.setenv("INTERNVID_PROVIDER_SUMMARISER", "{kind: embedded}")
    settings = settings_of(str(tmp_path), "hub", ["translator={kind: none}"]).model_copy(update={"media": None})
    child = read_in(settings.as_environment(), monkeypatch)
    assert child == settings
    assert (child.lake, child.media, child.profile) == (str(tmp_path), None, "hub")
    assert child.providers == {"summariser": "{kind: embedded}", "translator": "{kind: none}"}


def test_paths_are_absolute_for_processes_that_run_in_another_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    paths = ("lake", "media", "inbox", "retries", "benchmark_videos", "subsets", "stages", "dagster_home")
    for name in (*paths, "benchmark_ids", "opt_outs"):
        monkeypatch.setenv(variable_of(name), "a/b")
    settings = Settings()
    assert {getattr(settings, name) for name in paths} == {str(tmp_path / "a" / "b")}
    assert settings.benchmark_ids == settings.opt_outs == [str(tmp_path / "a" / "b")]


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("media", "clip", "inbox", "retries", "benchmark_videos", "subsets", "stages", "benchmark_ids"):
        monkeypatch.setenv(variable_of(name), "")
    assert Settings() == Settings.model_validate(Settings().model_dump())
    assert (Settings().inbox, Settings().benchmark_ids, Settings().media_root) == (
        None,
        [],
        f"{Settings().lake}/media",
    )


@pytest.mark.parametrize(
    ("variable", "text", "reason"),
    [
        ("INTERNVID_WORKERS", "0", "greater than or equal to 1"),
        ("INTERNVID_WORKERS", "many", "valid integer"),
        ("INTERNVID_PROCESSES", "-1", "greater than or equal to 1"),
        ("INTERNVID_TRIAL_STEPS", "0", "greater than or equal to 1"),
        ("INTERNVID_KEEP", "copy", "'reference' or 'import'"),
        ("INTERNVID_COLLECT", "perhaps", "valid boolean"),
        ("INTERNVID_INBOX_SETTLED_SECONDS", "-1", "greater than or equal to 0"),
        ("INTERNVID_MAX_FAILURE_SHARE", "20", "less than or equal to 1"),
        ("INTERNVID_FIRST_MODEL", "viclip-tiny", "joined by |"),
        ("INTERNVID_MAX_CONCURRENT_RUNS", "0", "greater than or equal to 1"),
        ("INTERNVID_CODE_LOCATION", "http://code:4000", "HOST:PORT"),
    ],
)
def test_a_value_that_cannot_be_is_one_line_that_names_the_variable(
    variable: str, text: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(ValidationError) as raised:
        Settings()
    line = problems_of(raised.value)
    assert line.startswith(f"{variable}: ")
    assert reason in line
    assert line.endswith(f", not {text!r}")
    with pytest.raises(typer.BadParameter) as refused:
        settings_of()
    assert refused.value.message == line


def test_options_of_the_storage_that_cannot_be_are_told_without_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERNVID_STORAGE_OPTIONS", "aws_region=eu-west-1")
    with pytest.raises(typer.BadParameter, match="storage_options"):
        settings_of()
    monkeypatch.setenv("INTERNVID_STORAGE_OPTIONS", '{"aws_secret_access_key": ["hidden"]}')
    with pytest.raises(typer.BadParameter, match="INTERNVID_STORAGE_OPTIONS: ") as refused:
        settings_of()
    assert "hidden" not in refused.value.message


@pytest.mark.parametrize("url", ["postgresql://me:hid@den@db/dagster", "postgresql://me@db/dagster?password=hidden"])
def test_a_password_has_its_own_variable_and_a_message_does_not_show_it(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTERNVID_POSTGRES_URL", url)
    with pytest.raises(typer.BadParameter, match=r"INTERNVID_POSTGRES_URL: .*PGPASSWORD") as refused:
        settings_of()
    assert not re.search("hid|den", refused.value.message)


def test_the_page_of_settings_names_every_variable_with_its_meaning() -> None:
    page = render_markdown()
    for name, field in Settings.model_fields.items():
        assert f"| `{variable_of(name)}` |" in page
        assert field.description
        assert field.description in page


def test_nothing_else_reads_the_environment() -> None:
    reads = {
        f"{path.relative_to(REPOSITORY)}: {code}"
        for floor in FLOORS
        for path in sorted((REPOSITORY / floor).rglob("*.py"))
        for code in reads_of_the_environment(ast.parse(path.read_text(encoding="utf-8")))
        if path != REPOSITORY / "orchestration" / "settings.py"
    }
    assert reads == {
        "internvid/chat_server.py: os.environ.get(self.key_variable, '')",
        # Keys to a bucket, which no resource's configuration may hold.
        "resources/lake/credentials.py: os.environ.get(variable)",
        # The processes of a training inherit the whole of it.
        "resources/training/trainer.py: _exit_code([*to_file, *module, 'resources.training.worker', str(config_path)], "
        "{**os.environ, **environment, **session.get_bootstrap_env_vars()})",
        # What torch's launcher tells each process of a training.
        "internvid/data.py: os.environ.get('RANK', '0')",
        "internvid/data.py: os.environ.get('WORLD_SIZE', '1')",
        "resources/training/worker.py: os.environ.get('RANK', '0')",
        "resources/training/worker.py: os.environ.get('WORLD_SIZE', '1')",
        "resources/training/worker.py: os.environ.get('LOCAL_RANK', '0')",
    }


def reads_of_the_environment(tree: ast.Module) -> Iterator[str]:
    """Yields the code of each use of the environment; one that only sets a variable for a library is none."""
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    names = {"environ", "environb", "getenv", "getenvb"}
    for node in ast.walk(tree):
        is_attribute = isinstance(node, ast.Attribute) and node.attr in names
        is_imported = (
            isinstance(node, ast.ImportFrom) and node.module == "os" and names & {it.name for it in node.names}
        )
        if is_attribute or is_imported:
            method = parents[node]
            call = parents.get(method, method)
            if (
                isinstance(method, ast.Attribute)
                and method.attr == "setdefault"
                and isinstance(parents[call], ast.Expr)
            ):
                continue
            yield ast.unparse(call)
