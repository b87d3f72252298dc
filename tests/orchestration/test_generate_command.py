"""`internvid generate --parameters`: what a Stable-Diffusion folder gives to the video model, and what is added."""

import json
from pathlib import Path

import numpy as np
import pytest
from command import cells, internvid, refused, succeeded
from safetensors.torch import load_file
from tiny_image_models import tiny_stable_diffusion
from typer.testing import CliRunner

from internvid.generation.metrics.videos import prompts_in
from internvid.generation.recipe import GenerationRecipe, NewImageModel
from internvid.generation.training import train_generator
from internvid.viclip.clips import InMemoryClip, InMemoryClips
from internvid.viclip.recipe import Phase
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


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generator of videos of 4 frames of 16 pixels, after one step."""
    sizes = NewImageModel(
        patch=4, latent_channels=4, denoiser_widths=(16, 16), denoiser_layers=1, heads=2, text_width=16, text_layers=1,
        vocab_size=300, context=16, norm_groups=4,
    )  # fmt: skip
    phase = Phase(name="denoiser", mask_ratio=0.0, learning_rate=1e-3, epochs=1, warmup_epochs=0.0, batch_size=2)
    recipe = GenerationRecipe("tiny", None, sizes, phase, "sample", frames=4, image_size=16, precision="float32")
    frames = np.zeros((4, 16, 16, 3), np.uint8)
    clips = InMemoryClips([InMemoryClip(str(n), str(n), "a dark thing", frames + 9 * n) for n in range(2)])
    return train_generator(recipe, clips, folder=tmp_path_factory.mktemp("training")).checkpoint


@pytest.mark.slow
def test_a_file_of_prompts_becomes_a_folder_that_can_be_measured(checkpoint, lake, tmp_path):
    asked = tmp_path / "asked.jsonl"
    lines = [{"video": "000-00", "prompt": "yoga"}, {"video": "000-01", "prompt": "yoga"}, {"prompt": "a dog"}]
    asked.write_text("".join(json.dumps(line) + "\n" for line in lines))
    out = tmp_path / "made"
    ask = ("generate", "--model", checkpoint, "--denoiser-calls", "2", "--out", out, "--prompts")
    succeeded(internvid(*ask, asked, lake=lake.root))
    assert {path.name for path in out.iterdir()} == {"000-00.mp4", "000-01.mp4", "a-dog-2.mp4", "prompts.jsonl"}
    assert (out / "000-00.mp4").read_bytes() != (out / "000-01.mp4").read_bytes(), "each has a seed of its own"
    more = tmp_path / "more.txt"
    more.write_text("a cat\n")
    succeeded(internvid(*ask, more, "--seed", "5", lake=lake.root))
    yoga = {"000-00.mp4": "yoga", "000-01.mp4": "yoga"}
    assert prompts_in(out) == yoga | {"a-dog-2.mp4": "a dog", "a-cat-5.mp4": "a cat"}
    measured = internvid("measure-generated", out, "--real", out, "--metrics", "classifier_frechet", lake=lake.root)
    assert {row[0]: row[3] for row in cells(succeeded(measured))}["classifier_frechet"] == "64 frames"


def test_mistakes_about_prompts_are_told(lake, tmp_path):
    def ask(*arguments: str | Path) -> str:
        return refused(internvid("generate", *arguments, lake=lake.root))

    path = tmp_path / "prompts.jsonl"
    path.write_text("a dog\n")
    assert "say what the video is to show" in ask()
    assert "say what the video is to show" in ask("a dog", "--prompts", path)
    assert "line 1: no JSON" in ask("--prompts", path)
    assert "would replace" in ask("--prompts", path, "--out", tmp_path)
    assert "No such file" in ask("--prompts", tmp_path / "none.txt")
