import argparse
import json
import os
import pathlib
import pickle
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import save_file

from internvid.viclip.config import B16, L14, ViCLIPConfig
from internvid.viclip.model import ViCLIP
from internvid.viclip.weights import TEMPORAL, average, config_from_weights, fit, from_clip, load_into, read_weights

GOLDEN = Path(__file__).resolve().parents[2] / "golden"

TINY = ViCLIPConfig(
    image_size=32,
    patch_size=16,
    vision_width=64,
    vision_layers=2,
    vision_heads=1,
    text_width=64,
    text_layers=1,
    text_heads=1,
    embed_dim=24,
    vocab_size=600,
)


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return ViCLIP(TINY).state_dict()


def equal(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


# Reading


@pytest.mark.parametrize("legacy", [False, True])
def test_weights_of_a_torch_file_are_read_exactly_whatever_it_is_wrapped_in(tmp_path, weights, legacy):
    path = tmp_path / "ViCLIP.pth"
    halves = {name: value.bfloat16() for name, value in weights.items()}
    parameters = {name: torch.nn.Parameter(value) for name, value in weights.items()}
    for content, expected in (
        (weights, weights),
        (halves, halves),
        (parameters, weights),
        ({"model": weights, "epoch": 3}, weights),
        ({"state_dict": {f"module.{name}": value for name, value in weights.items()}}, weights),
        ({"module": {f"module._orig_mod.{name}": value for name, value in weights.items()}}, weights),
    ):
        torch.save(content, path, _use_new_zipfile_serialization=not legacy)
        assert equal(read_weights(path), expected)


def test_a_training_checkpoint_with_objects_of_classes_that_are_not_here_gives_its_model(
    tmp_path, weights, monkeypatch
):
    # As the published ones: the configuration is a dictionary with attributes, from a package of the authors'.
    package, module = types.ModuleType("easily"), types.ModuleType("easily.easydict")

    class EasyDict(dict):
        def __init__(self, values: dict[str, Any] | None = None) -> None:
            super().__init__(values or {})
            self.__dict__ |= values or {}

    class Schedule:
        def __init__(self) -> None:
            self.steps, self.shapes = [1, 2], {"a": EasyDict({"b": 1})}

    for kind in (EasyDict, Schedule):
        kind.__module__, kind.__qualname__ = "easily.easydict", kind.__name__
        setattr(module, kind.__name__, kind)
    monkeypatch.setitem(sys.modules, "easily", package)
    monkeypatch.setitem(sys.modules, "easily.easydict", module)
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    content = {
        "model": weights,
        "optimizer": optimizer.state_dict(),
        "scheduler": Schedule(),
        "config": EasyDict({"model": EasyDict({"vision": "clip"}), "lr": 4e-4}),
        "arguments": argparse.Namespace(path=pathlib.Path("/runs"), names={"a", "b"}),
        "loss": np.float64(0.5),
        "accuracies": np.arange(3),
        "dtype": torch.bfloat16,
        "epoch": 10,
    }
    torch.save(content, tmp_path / "training.pth")
    torch.save(content, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    monkeypatch.undo()
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "training.pth", weights_only=True)
    assert equal(read_weights(tmp_path / "training.pth"), weights)
    assert equal(read_weights(tmp_path / "old.pth"), weights)


class Runs:
    """An object that is unpickled by calling a function with arguments."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def shell_command(ran: Path) -> Runs:
    return Runs(os.system, f"touch {ran}")


def python_eval(ran: Path) -> Runs:
    return Runs(eval, f"open({str(ran)!r}, 'w')")


def indirect_call(ran: Path) -> Runs:
    return Runs(Path.touch, Path(ran))  # pickled as getattr(Path, 'touch')


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    ("code", "named"),
    [(shell_command, r"(posix|nt)\.system"), (python_eval, r"builtins\.eval"), (indirect_call, r"builtins\.getattr")],
)
def test_a_file_that_would_run_code_is_refused_and_runs_nothing(tmp_path, weights, code, named, legacy):
    ran, path = tmp_path / "ran", tmp_path / "ViCLIP.pth"
    content = {"model": weights, "config": code(ran)}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(ValueError, match=rf"ViCLIP\.pth was not loaded: it names {named}.*safetensors"):
        read_weights(path)
    assert not ran.exists()
    torch.load(path, weights_only=False)
    assert ran.exists(), "the file would not have run code anyhow"


def test_a_function_of_an_installed_package_is_not_called_either(tmp_path, weights):
    victim = tmp_path / "victim.npy"
    torch.save({"model": weights, "config": Runs(np.save, str(victim), np.zeros(3))}, tmp_path / "ViCLIP.pth")
    assert equal(read_weights(tmp_path / "ViCLIP.pth"), weights)
    assert not victim.exists()


def test_a_scripted_program_is_refused(tmp_path):
    torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"model\.pt was not loaded: it names a TorchScript program"):
        read_weights(tmp_path / "model.pt")


def test_files_that_are_no_weights_are_told_by_name(tmp_path, weights):
    torch.save(weights, tmp_path / "whole.pth")
    pickled = (tmp_path / "whole.pth").read_bytes()
    save_file(weights, tmp_path / "whole.safetensors")
    tensors = (tmp_path / "whole.safetensors").read_bytes()
    for content, message in (
        (pickled[: len(pickled) // 2], "damaged"),
        (tensors[: len(tensors) // 2], "cannot be read as safetensors"),
        (b"version https://git-lfs.github.com/spec/v1", "neither a safetensors nor"),
        (b"", "neither a safetensors nor"),
        (pickle.dumps([1, 2]), "damaged"),
    ):
        (tmp_path / "broken.pth").write_bytes(content)
        with pytest.raises(ValueError, match=rf"broken\.pth.*{message}"):
            read_weights(tmp_path / "broken.pth")
    torch.save({"epoch": 1, "model": {"a": 1}}, tmp_path / "empty.pth")
    with pytest.raises(ValueError, match=r"empty\.pth holds no weights: it is the keys a"):
        read_weights(tmp_path / "empty.pth")
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(ValueError, match=r"list\.pth holds no weights: it is list"):
        read_weights(tmp_path / "list.pth")
    with pytest.raises(FileNotFoundError, match=r"nothing\.pth"):
        read_weights(tmp_path / "nothing.pth")


def test_weights_that_were_read_stay_when_the_file_changes(tmp_path, weights):
    torch.save(weights, tmp_path / "ViCLIP.pth")
    read = read_weights(tmp_path / "ViCLIP.pth")
    with (tmp_path / "ViCLIP.pth").open("r+b") as file:
        file.write(bytes(file.seek(0, os.SEEK_END)))
        file.seek(0)
        file.write(bytes((tmp_path / "ViCLIP.pth").stat().st_size))
    assert equal(read, weights)


# Into a model


def test_weights_are_copied_into_a_model_exactly_or_it_is_said_what_is_wrong(weights):
    torch.manual_seed(1)
    model = ViCLIP(TINY)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    wrong = {name: value for name, value in weights.items() if name not in ("temp", "vision_encoder.proj")}
    wrong |= {"vision_proj.weight": torch.zeros(2), "text_encoder.positional_embedding": torch.zeros(77, 64)}
    with pytest.raises(ValueError, match="not the model's") as raised:
        load_into(model, wrong)
    assert "2 missing: temp, vision_encoder.proj" in str(raised.value)
    assert "1 not of this model: vision_proj.weight" in str(raised.value)
    assert "text_encoder.positional_embedding [77, 64] instead of [32, 64]" in str(raised.value)
    assert equal(model.state_dict(), before)
    load_into(model, weights)
    assert equal(model.state_dict(), weights)


@pytest.mark.parametrize(("name", "config"), [("viclip_l14_shapes", L14), ("viclip_b16_shapes", B16)])
def test_sizes_of_the_released_models_are_told_by_their_weights_shapes(name, config):
    shapes = json.loads((GOLDEN / f"{name}.json").read_text())
    weights = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    assert config_from_weights(weights) == config


def test_sizes_of_any_model_are_told_by_its_weights_and_its_heads(weights):
    assert config_from_weights(weights) == TINY
    assert config_from_weights(weights, vision_heads=4, text_heads=2).vision_heads == 4
    del weights["vision_encoder.proj"]
    with pytest.raises(ValueError, match=r"vision_encoder\.proj is missing"):
        config_from_weights(weights)


def tiny_config(**changes: int) -> ViCLIPConfig:
    return ViCLIPConfig(**{**TINY.as_dict(), **changes})


def test_a_temporal_embedding_is_fitted_to_other_frames_by_linear_interpolation(weights):
    weights[TEMPORAL] = torch.arange(8.0)[None, :, None].expand(1, 8, 64).contiguous()
    longer, shorter = (fit(weights, tiny_config(frames=frames))[TEMPORAL] for frames in (16, 4))
    assert longer.shape == (1, 16, 64)
    # Each of 16 stands a quarter of a step beside one of 8; nothing lies beyond the ends.
    expected = (torch.arange(16) / 2 - 0.25).clamp(0, 7)
    torch.testing.assert_close(longer[0, :, 5], expected)
    torch.testing.assert_close(shorter[0, :, 5], torch.tensor([0.5, 2.5, 4.5, 6.5]))


def test_a_fitted_temporal_embedding_sees_as_the_model_does_that_interpolates_it_itself(weights):
    weights[TEMPORAL] = torch.randn(1, 8, 64, generator=torch.Generator().manual_seed(0))
    interpolating, fitted = ViCLIP(TINY).eval(), ViCLIP(tiny_config(frames=12)).eval()
    load_into(interpolating, weights)
    load_into(fitted, fit(weights, fitted.config))
    video = torch.randn(2, 12, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        torch.testing.assert_close(fitted.encode_video(video), interpolating.encode_video(video))


def test_positions_in_the_picture_are_fitted_bicubically_and_the_class_token_keeps_its_own(weights):
    down, right = torch.meshgrid(torch.arange(2.0), torch.arange(2.0), indexing="ij")
    places = torch.stack([10 * down.flatten() + right.flatten()] * 64, dim=1)
    weights["vision_encoder.positional_embedding"] = torch.cat([torch.full((1, 64), -1.0), places])
    fitted = fit(weights, tiny_config(image_size=128))["vision_encoder.positional_embedding"]
    assert fitted.shape == (65, 64)
    assert (fitted[0] == -1).all()
    grid = fitted[1:, 0].reshape(8, 8)
    assert (grid.diff(dim=0) > -0.5).all()
    assert (grid.diff(dim=1) > -0.05).all()
    assert (grid[0, 2:6].diff() > 0.2).all()
    assert grid[7, 0] - grid[0, 0] > 8
    assert 0.8 < grid[0, 7] - grid[0, 0] < 1.3
    assert grid.mean() == pytest.approx(5.5, abs=1e-4)


def test_weights_that_fit_already_are_left_as_they_are_and_text_positions_are_cut(weights):
    assert equal(fit(weights, TINY), weights)
    shorter = fit(weights, tiny_config(context_length=12))
    name = "text_encoder.positional_embedding"
    assert torch.equal(shorter[name], weights[name][:12])
    assert len(weights[name]) == 32
    with pytest.raises(ValueError, match="32 text positions, but the model needs 77"):
        fit(weights, tiny_config(context_length=77))


def test_an_average_lies_between_trained_and_initial_weights_except_in_untrained_time(weights):
    weights[TEMPORAL] = torch.zeros_like(weights[TEMPORAL])  # as after CLIP
    trained = {name: value + 1 for name, value in weights.items()}
    trained["of the trained alone"] = torch.ones(2)
    averaged = average(trained, weights, share=0.25)
    for name, value in weights.items():
        torch.testing.assert_close(averaged[name], value + (1 if name == TEMPORAL else 0.25))
    # Where the initial embedding of time is trained, too, it is averaged as all others.
    in_time = average(trained, {**weights, TEMPORAL: weights[TEMPORAL] + 1e-3}, share=0.25)[TEMPORAL]
    torch.testing.assert_close(in_time, weights[TEMPORAL] + 0.25 + 0.75e-3)
    assert torch.equal(averaged["of the trained alone"], torch.ones(2))
    assert equal(average(weights, trained, share=1), weights)
    half = average({"a": torch.tensor([1.0, 3.0])}, {"a": torch.tensor([2.0, 7.0])})
    assert half["a"].tolist() == [1.5, 5.0]
    with pytest.raises(ValueError, match="temp was trained as"):
        average(weights, {"temp": torch.zeros(2)})
    with pytest.raises(ValueError, match="between 0 and 1"):
        average(weights, weights, share=2)


# From CLIP


def save_clip(folder: Path, *, seed: int = 0, vision: dict[str, Any] | None = None, text: dict[str, Any] | None = None):
    """A CLIP of `transformers` with random weights of visible size, saved as its checkpoints are."""
    torch.manual_seed(seed)
    sizes = {"hidden_size": 48, "intermediate_size": 192, "num_hidden_layers": 3, "num_attention_heads": 4}
    vision_config = transformers.CLIPVisionConfig(**{**sizes, "image_size": 48, "patch_size": 16, **(vision or {})})
    text_config = transformers.CLIPTextConfig(
        **{
            **{**sizes, "hidden_size": 32, "intermediate_size": 128, "num_hidden_layers": 2},
            **{"vocab_size": 99, "eos_token_id": 98, "bos_token_id": 97, "max_position_embeddings": 77},
            **(text or {}),
        }
    )
    clip = transformers.CLIPModel(
        transformers.CLIPConfig(text_config=text_config, vision_config=vision_config, projection_dim=20)
    )
    for parameter in clip.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    clip.save_pretrained(folder)
    return clip.eval()


WIDER = {"hidden_size": 64, "intermediate_size": 256, "num_attention_heads": 2}


@pytest.mark.parametrize(
    ("vision", "text"),
    [
        ({}, {}),
        (WIDER | {"image_size": 56, "patch_size": 14}, WIDER | {"eos_token_id": 2}),
        ({"num_hidden_layers": 1}, {"max_position_embeddings": 20, "num_hidden_layers": 5}),
        ({"hidden_act": "gelu"}, {"hidden_act": "gelu"}),  # as of CLIP on DataComp and LAION
    ],
)
def test_a_viclip_that_begins_as_a_clip_sees_one_frame_and_reads_a_text_as_it_does(tmp_path, vision, text):
    clip = save_clip(tmp_path, vision=vision, text=text)
    config, weights = from_clip(tmp_path)
    model = ViCLIP(config).eval()
    load_into(model, weights)
    side, length = config.image_size, min(text.get("max_position_embeddings", 77), 32)
    assert (config.context_length, config.frames) == (length, 8)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(3, 3, side, side, generator=generator)
    token_ids = torch.randint(3, 97, (3, length), generator=generator)
    token_ids[:, 0] = 97
    for row, end in enumerate((5, length // 2, length - 1)):
        token_ids[row, end] = 98
        token_ids[row, end + 1 :] = 0
    with torch.inference_mode():
        # Of the towers and their projections: the model's own embeddings are these, normalised.
        images = clip.visual_projection(clip.vision_model(pixel_values=pixels).pooler_output)
        texts = clip.text_projection(clip.text_model(input_ids=token_ids).pooler_output)
        clip_output = clip(input_ids=token_ids, pixel_values=pixels)
        video_embeddings, text_embeddings = model.encode_video(pixels[:, None]), model.encode_text(token_ids)
    assert images.abs().max() > 0.2
    torch.testing.assert_close(video_embeddings, images, atol=1e-5, rtol=0)
    torch.testing.assert_close(text_embeddings, texts, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        torch.nn.functional.normalize(video_embeddings), clip_output.image_embeds, atol=1e-5, rtol=0
    )
    torch.testing.assert_close(
        torch.nn.functional.normalize(text_embeddings), clip_output.text_embeds, atol=1e-5, rtol=0
    )


def test_a_clip_becomes_a_whole_viclip_with_its_temperature_and_no_sense_of_time(tmp_path):
    clip = save_clip(tmp_path)
    clip.logit_scale.data.fill_(2.0)
    clip.save_pretrained(tmp_path)
    _, weights = from_clip(tmp_path)
    assert weights["temp"].item() == pytest.approx(np.exp(-2.0))
    assert not weights[TEMPORAL].any()
    clip.logit_scale.data.fill_(9.0)
    clip.save_pretrained(tmp_path)
    assert from_clip(tmp_path)[1]["temp"].item() == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"vision": {"hidden_act": "gelu"}},
            "the vision tower's activation is gelu, and ViCLIP's is quick_gelu or gelu",
        ),
        ({"vision": {"hidden_act": "relu"}, "text": {"hidden_act": "relu"}}, "the text tower's activation is relu"),
        ({"text": {"layer_norm_eps": 1e-6}}, "the text tower normalises with eps 1e-06"),
        ({"vision": {"intermediate_size": 100}}, "100 wide, not 4 times 48"),
        ({"vision": {"num_channels": 1}}, "1 channels, not 3"),
        ({"text": {"eos_token_id": 50}}, "end token 50 is not the largest of 99"),
    ],
)
def test_a_clip_that_the_network_cannot_represent_is_refused(tmp_path, changes, message):
    save_clip(tmp_path, **changes)
    with pytest.raises(ValueError, match=message):
        from_clip(tmp_path)


def test_what_is_not_a_whole_clip_is_refused(tmp_path):
    save_clip(tmp_path).vision_model.save_pretrained(tmp_path / "vision")
    with pytest.raises(ValueError, match="is a clip_vision_model model, not CLIP"):
        from_clip(tmp_path / "vision")
    parts = read_weights(tmp_path / "model.safetensors")
    del parts["visual_projection.weight"]
    save_file(parts, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"an incomplete CLIP: visual_projection\.weight are missing"):
        from_clip(tmp_path)
    with pytest.raises(OSError, match="nothing"):
        from_clip(tmp_path / "nothing")
