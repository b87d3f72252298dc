"""`internvid export-model` on a checkpoint's folder, without a lake."""

import torch
from command import internvid

from internvid.viclip.checkpoint import Checkpoint, save_checkpoint
from internvid.viclip.model import ViCLIP
from internvid.viclip.preprocessing import Preprocessing
from internvid.viclip.recipes import RECIPES
from internvid.viclip.tokenizer import Tokenizer


def test_a_checkpoint_is_written_in_another_form_once_and_its_difference_is_printed(tmp_path):
    torch.manual_seed(0)
    config = RECIPES["viclip-tiny"].model
    tokenizer = Tokenizer.trained_on(["a circle", "a square"], vocab_size=config.vocab_size)
    save_checkpoint(
        tmp_path / "tiny", Checkpoint(ViCLIP(config), tokenizer, Preprocessing(image_size=config.image_size))
    )
    done = internvid("export-model", tmp_path / "tiny", tmp_path / "out", "--form", "onnx")
    assert done.returncode == 0, done.stderr
    assert "onnx" in done.stdout
    assert "differ from the checkpoint's by" in " ".join(done.stdout.split())
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("video.onnx", "text.onnx", "tokenizer.json", "config.json", "receipt.json", "README.md")
    }
    again = internvid("export-model", tmp_path / "tiny", tmp_path / "out", "--form", "onnx")
    assert again.returncode == 2
    assert "exists" in again.stderr
    missing = internvid("export-model", tmp_path / "absent", tmp_path / "new", lake=tmp_path / "lake")
    assert missing.returncode == 2
