"""`internvid doctor` and the choice of models on the command line, in this process."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from dagster_service import REPOSITORY
from typer.testing import CliRunner

from orchestration.cli.app import app
from orchestration.cli.doctor import ProviderReport, print_providers
from orchestration.cli.options import settings_of
from resources.models.machine import Gpu, Machine, free_bytes, this_machine

PROVIDERS_OF_THE_LAKE = {"aligner"}
QUICK = """
import sys, time
started = time.monotonic()
from orchestration.cli.app import app
try:
    app(["doctor", "--json", "--lake", sys.argv[1]])
except SystemExit as ended:
    heavy = sorted({"torch", "transformers", "lance"} & set(sys.modules))
    print(ended.code, time.monotonic() - started, *heavy, file=sys.stderr)
"""


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Path]:
    """Where no lake is; what commands write into the environment is undone."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("INTERNVID_")]:
        del os.environ[name]
    yield tmp_path / "lake"
    os.environ.clear()
    os.environ.update(before)


def internvid(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


def doctor(lake: Path, *arguments: str | Path) -> tuple[int, dict[str, Any]]:
    done = internvid("doctor", "--json", "--lake", lake, *arguments)
    assert done.exit_code in (0, 1), done.output
    return done.exit_code, json.loads(done.stdout)


def provider(answer: dict[str, Any], name: str) -> dict[str, Any]:
    return next(found for found in answer["providers"] if found["provider"] == name)


def test_what_is_in_the_box_runs_anywhere_and_no_lake_is_made(lake: Path) -> None:
    from orchestration.profiles import KINDS

    code, answer = doctor(lake)
    assert (code, answer["is_well"], answer["profile"]) == (0, True, "embedded")
    assert {found["provider"] for found in answer["providers"]} == {*KINDS, *PROVIDERS_OF_THE_LAKE}
    assert provider(answer, "summariser") | {"size_bytes": 0} == {
        "provider": "summariser",
        "kind": "embedded",
        "model": "embedded-merger",
        "revision": None,
        "state": "ready",
        "size_bytes": 0,
        "where": None,
        "advice": "",
    }
    assert provider(answer, "aligner")["state"] == "none"
    assert {part["name"] for part in answer["parts"]} >= {"python", "PyAV", "GPUs", "lake", "media"}
    assert not lake.exists()


def test_a_model_that_is_not_here_is_missing_with_what_to_do(lake: Path, tmp_path: Path) -> None:
    os.environ["HF_HUB_CACHE"] = str(tmp_path)
    code, answer = doctor(lake, "--provider", "summariser={kind: hub, weights: nobody/nothing}")
    found = provider(answer, "summariser")
    assert (code, found["state"], found["kind"], found["model"]) == (1, "missing", "hub", "nobody/nothing")
    assert "hf download nobody/nothing" in found["advice"]


def test_a_folder_is_there_with_its_size_and_hash_and_needs_no_torch_for_its_device(lake: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"x" * 2_000_000)
    code, answer = doctor(lake, "--provider", f"summariser={{kind: hub, weights: {tmp_path / 'model'}, device: cpu}}")
    found = provider(answer, "summariser")
    assert (code, found["state"], found["size_bytes"], found["where"]) == (0, "ready", 2_000_000, "cpu")
    assert found["model"] == "model"
    assert len(found["revision"]) == 32


def test_a_server_that_does_not_answer_is_unreachable(lake: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
    code, answer = doctor(lake, "--provider", f"summariser={{kind: server, url: '{url}', served_model: m}}")
    found = provider(answer, "summariser")
    assert (code, found["state"], found["where"]) == (1, "unreachable", url)
    assert found["advice"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--profile", "nosuch"], "there is no profile 'nosuch'"),
        (["--provider", "summariser"], "give a name and settings"),
        (["--provider", "summarizer={kind: none}"], "there is no provider summarizer"),
        (["--provider", "summariser={kind: nosuch}"], "summariser has no kind 'nosuch'"),
        (["--provider", "summariser={kind: embedded, wrong: 1}"], "wrong"),
        (["--provider", "summariser={"], "is not YAML"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@pytest.mark.parametrize("command", ["doctor", "status"])
def test_a_choice_that_cannot_be_is_one_clear_error(lake: Path, command: str, options: list[str], said: str) -> None:
    done = internvid(command, "--lake", lake, *options)
    assert done.exit_code == 2
    assert isinstance(done.exception, SystemExit)
    assert said in " ".join(done.stderr.replace("│", " ").split())


def test_a_profile_of_ones_own_and_a_provider_are_left_to_the_processes_that_are_started(
    lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.yaml").write_text("summariser: {kind: embedded, clips_per_call: 7}")
    monkeypatch.chdir(tmp_path)
    code, answer = doctor(lake, "--profile", "embedded,mine.yaml", "--provider", "translator={kind: none}")
    assert code == 0
    assert answer["profile"] == f"embedded,{tmp_path / 'mine.yaml'}"  # they may run in another folder
    environment = settings_of(str(lake), "embedded,mine.yaml", ["translator={kind: none}"]).as_environment()
    assert environment["INTERNVID_PROFILE"] == f"embedded,{tmp_path / 'mine.yaml'}"
    assert environment["INTERNVID_PROVIDER_TRANSLATOR"] == "{kind: none}"
    assert environment["INTERNVID_LAKE"] == str(lake)


def test_it_is_quick_and_loads_no_model_software(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("INTERNVID_")}
    done = subprocess.run(
        [sys.executable, "-c", QUICK, str(tmp_path / "lake")],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    code, seconds, *loaded = done.stderr.splitlines()[-1].split()
    assert (code, loaded) == ("0", [])
    assert float(seconds) < 20  # of a machine with nothing else to do it takes 2


def test_a_provider_is_told_in_one_line_of_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    found = ProviderReport(
        "frame_text_similarity",
        "image_classifier",
        "openai/clip-vit-large-patch14",
        "0123456789abcdef",
        "missing",
        1_710_000_000,
        "cuda",
        "",
    )
    print_providers([found], "hub")
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 120
    assert "openai/clip-vit-large-patch14 @ 01234567" in "\n".join(lines)


@pytest.mark.parametrize(
    ("gpus", "torch_for", "device"),
    [((), "cuda", "cpu"), ((Gpu("H100", 80 << 30),), "cpu", "cpu"), ((Gpu("H100", None),), "cuda", "cuda")],
)
def test_auto_is_a_gpu_only_where_torch_can_use_one(gpus: tuple[Gpu, ...], torch_for: str, device: str) -> None:
    machine = Machine("Linux", "3.11", 2, 1 << 30, 1 << 29, gpus, "2.0", torch_for)
    assert machine.device_named("auto") == device
    assert machine.device_named("cuda:1") == "cuda:1"


def test_this_machine_is_told_as_torch_would(tmp_path: Path) -> None:
    import torch

    machine = this_machine()
    assert machine.torch == torch.__version__
    assert machine.device_named("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    assert 0 < machine.available_bytes <= machine.memory_bytes
    assert free_bytes(tmp_path / "not" / "there") == pytest.approx(free_bytes(tmp_path), rel=0.1)
