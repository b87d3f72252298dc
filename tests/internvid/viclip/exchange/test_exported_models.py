"""A checkpoint in other forms: each is run by the lines of its own README, in a new process far from any lake."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer as LibraryTokenizer

from internvid.viclip.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from internvid.viclip.config import ViCLIPConfig
from internvid.viclip.encoder import Encoder
from internvid.viclip.exchange import folders
from internvid.viclip.exchange.folders import MAX_DIFFERENCE, DifferentVectors, export_checkpoint
from internvid.viclip.model import ViCLIP
from internvid.viclip.preprocessing import Preprocessing
from internvid.viclip.tokenizer import Tokenizer

ROOT = Path(__file__).resolve().parents[4]
CAPTIONS = ["a red circle moves to the right", "a blue square grows", "the red square moves"] * 2
# Punctuation, capitals, spaces, another script, one text that is too long, one that is empty.
TEXTS = ["A dog - a big one - runs!", "well/known  <person>:\t3 x 4", "Žluťoučký кот ſ it's", "so " * 40, ""]
VIDEOS = 3


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    """Weights and constants that differ from the defaults, and more than one block in each tower."""
    torch.manual_seed(5)
    config = ViCLIPConfig(
        image_size=32,
        patch_size=16,
        vision_width=32,
        vision_layers=2,
        vision_heads=4,
        text_width=24,
        text_layers=2,
        text_heads=2,
        embed_dim=16,
        vocab_size=600,
        context_length=20,
        frames=4,
    )
    model = ViCLIP(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    tokenizer = Tokenizer.trained_on(CAPTIONS, vocab_size=530, context_length=20)
    return Checkpoint(model, tokenizer, Preprocessing(32, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6)), {"recipe": "1"})


def run_readme(folder: Path, given: str, wanted: str) -> dict[str, np.ndarray]:
    """Runs the README's lines in the folder. given: lines that define its video. wanted: dict of arrays, as text."""
    (lines,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    lines = lines.replace('["a dog runs"]', repr(TEXTS))
    script = f"import sys\nimport numpy as np\n{given}\n{lines}\nnp.savez(sys.argv[1], **{wanted})\n"
    script += "assert not any(name.split('.')[0] in ('dagster', 'lance', 'resources') for name in sys.modules)\n"
    result = folder.with_name(f"{folder.name}.npz")
    done = subprocess.run(
        [sys.executable, "-c", script, str(result)],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(np.load(result))


@pytest.mark.parametrize(
    "form",
    [pytest.param("transformers", marks=pytest.mark.slow), "onnx", pytest.param("torch", marks=pytest.mark.slow)],
)
def test_an_exported_model_gives_the_checkpoints_vectors_in_a_new_process(checkpoint, tmp_path, form):
    exported = export_checkpoint(checkpoint, form, tmp_path / "model")
    assert exported.max_difference <= MAX_DIFFERENCE
    videos = [np.random.default_rng(seed).integers(0, 256, (4, 40, 56, 3), np.uint8) for seed in range(VIDEOS)]
    np.savez(tmp_path / "videos.npz", frames=videos, pixels=checkpoint.preprocessing.pixels(videos).numpy())
    given = "loaded = np.load('../videos.npz')\n"
    if form == "transformers":
        given += "all_frames, frames = list(loaded['frames']), None"
        readme = (tmp_path / "model" / "README.md").read_text()
        (tmp_path / "model" / "README.md").write_text(readme.replace("videos=[frames]", "videos=all_frames"))
        wanted = "{'videos': output.video_embeds, 'texts': output.text_embeds, 'cosines': output.logits_per_video}"
    else:
        given += (
            "pixels = loaded['pixels']" if form == "onnx" else "import torch\npixels = torch.tensor(loaded['pixels'])"
        )
        given += "\nassert 'internvid' not in sys.modules"
        wanted = "{name: getattr(x, 'detach', lambda: x)() for name, x in (('videos', videos), ('texts', texts))}"

    vectors = run_readme(tmp_path / "model", given, wanted)

    encoder = Encoder(checkpoint)
    expected_videos, expected_texts = encoder.encode_videos(videos), encoder.encode_texts(TEXTS)
    np.testing.assert_allclose(vectors["videos"], expected_videos, atol=MAX_DIFFERENCE)
    np.testing.assert_allclose(vectors["texts"], expected_texts, atol=MAX_DIFFERENCE)
    assert np.ptp(expected_videos, axis=0).max() > 100 * MAX_DIFFERENCE  # the videos have different vectors
    if form == "transformers":
        logits = expected_videos @ expected_texts.T / checkpoint.model.temperature.item()
        np.testing.assert_allclose(vectors["cosines"], logits, atol=0.01)


def test_a_folder_of_transformers_is_a_checkpoint_too_and_its_vocabulary_is_read_by_transformers(checkpoint, tmp_path):
    from transformers import AutoTokenizer

    folder = export_checkpoint(checkpoint, "transformers", tmp_path / "model").folder
    loaded = load_checkpoint(folder)
    assert loaded.model.config == checkpoint.model.config
    assert loaded.preprocessing == checkpoint.preprocessing
    weights = loaded.model.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in checkpoint.model.state_dict().items())
    np.testing.assert_array_equal(Encoder(loaded).encode_texts(TEXTS), Encoder(checkpoint).encode_texts(TEXTS))
    tokens = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
    ids = tokens(TEXTS, padding="max_length", truncation=True, return_tensors="pt")["input_ids"]
    own = checkpoint.model.encode_text(checkpoint.tokenizer(["a dog  a big one  runs"])).detach()
    assert torch.allclose(checkpoint.model.encode_text(ids)[:1], own, atol=1e-5)
    assert not list(tmp_path.glob(".*"))


def test_the_vocabulary_alone_prepares_frames_and_cuts_texts_as_the_encoder_does(checkpoint, tmp_path):
    from internvid.viclip.tokenizer import prepare_text

    library = LibraryTokenizer.from_file(str(checkpoint.tokenizer.save_standalone(tmp_path)))
    end = checkpoint.tokenizer.vocab_size - 1
    for own, alone in zip(
        checkpoint.tokenizer([prepare_text(text) for text in TEXTS]), library.encode_batch(TEXTS), strict=True
    ):
        written = int(own.argmax()) + 1
        assert alone.ids == own[:written].tolist() + [end] * (20 - written)


def test_a_folder_that_computes_other_vectors_is_not_left(checkpoint, tmp_path, monkeypatch):
    from internvid.viclip.exchange import onnx_towers

    monkeypatch.setattr(onnx_towers, "QUICK_GELU", 1.5)
    with pytest.raises(DifferentVectors, match="Nothing was written"):
        export_checkpoint(checkpoint, "onnx", tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_overwritten_and_an_unknown_form_is_named(checkpoint, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.txt").write_text("kept")
    with pytest.raises(FileExistsError, match="model exists"):
        export_checkpoint(checkpoint, "onnx", tmp_path / "model")
    with pytest.raises(ValueError, match="there are transformers, onnx, torch"):
        export_checkpoint(checkpoint, "tflite", tmp_path / "new")
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "mine.txt"]


def test_the_description_says_what_the_towers_take(checkpoint, tmp_path):
    folder = export_checkpoint(checkpoint, "onnx", tmp_path / "model").folder
    description = json.loads((folder / "config.json").read_text())
    assert description["video"] == {"input": "pixels", "shape": ["clips", 4, 3, 32, 32], "type": "uint8"}
    assert description["text"] == {"input": "token_ids", "shape": ["texts", 20], "type": "int64"}
    assert description["dimensions"] == 16
    assert json.loads((folder / "receipt.json").read_text()) == {"recipe": "1"}
    assert description["output"] == folders.OUTPUT


def test_a_model_with_gelu_is_written_as_graphs_that_compute_it(checkpoint, tmp_path):
    config = replace(checkpoint.model.config, activation="gelu")
    model = ViCLIP(config)
    model.load_state_dict(checkpoint.model.state_dict())
    of_gelu = Checkpoint(model.eval(), checkpoint.tokenizer, checkpoint.preprocessing)
    assert export_checkpoint(of_gelu, "onnx", tmp_path / "onnx").max_difference < MAX_DIFFERENCE
    clips = torch.rand(2, 4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert not torch.allclose(model.encode_video(clips), checkpoint.model.encode_video(clips), atol=1e-3)
    saved = save_checkpoint(tmp_path / "saved", of_gelu)
    assert load_checkpoint(saved).model.config.activation == "gelu"
