"""`internvid generate --parameters`: what a Stable-Diffusion folder gives to the video model, and what is added."""

from pathlib import Path

from safetensors.torch import load_file
from tiny_image_models import tiny_stable_diffusion
from typer.testing import CliRunner

from orchestration.cli.app import app


def test_every_parameter_of_a_folder_is_listed_as_its_own_or_as_added(tmp_path: Path):
    folder = tiny_stable_diffusion(tmp_path / "sd")
    done = CliRunner().invoke(app, ["generate", "--parameters", "--model", str(folder)])
    assert done.exit_code == 0, done.output
    *lines, own, added = [line for line in done.stdout.splitlines() if line]
    weights = load_file(folder / "unet" / "diffusion_pytorch_model.safetensors")
    listed = [line.split()[-1].replace(".spatial.", ".") for line in lines if line.startswith("image model")]
    assert sorted(listed) == sorted(weights)
    assert own.split()[2] == f"{sum(value.numel() for value in weights.values()):,}"
    assert int(added.split()[1].replace(",", "")) > 0
    assert any(line.startswith("added") and line.endswith("temporal.attention.to_v.weight") for line in lines)


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path):
    (tmp_path / "unet").mkdir()
    done = CliRunner().invoke(app, ["generate", "--parameters", "--model", str(tmp_path)])
    assert done.exit_code == 2
