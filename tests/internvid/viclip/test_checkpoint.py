import io
import json
import math
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from internvid.viclip.checkpoint import Checkpoint, checkpoint_digest, load_checkpoint, save_checkpoint
from internvid.viclip.config import ViCLIPConfig
from internvid.viclip.model import ViCLIP
from internvid.viclip.preprocessing import Preprocessing
from internvid.viclip.tokenizer import Tokenizer
from internvid.viclip.weights import config_from_weights, read_weights

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
# CLIP's vocabulary is not distributed with the project: its file lies beside the checkout.
MERGES = Path(__file__).resolve().parents[4] / "shared" / "golden" / "bpe_simple_vocab_16e6.txt.gz"
needs_vocabulary = pytest.mark.skipif(not MERGES.exists(), reason=f"CLIP's vocabulary is missing: {MERGES}")

CAPTIONS = ["a red circle moves to the right", "a blue square grows", "the red square moves"] * 2
TINY = ViCLIPConfig(
    image_size=32,
    patch_size=16,
    vision_width=32,
    vision_layers=2,
    vision_heads=4,
    text_width=24,
    text_layers=1,
    text_heads=2,
    embed_dim=16,
    vocab_size=600,
    context_length=20,
    frames=4,
)


def tiny_checkpoint(*, seed: int = 0, config: ViCLIPConfig = TINY, vocab_size: int = 530) -> Checkpoint:
    torch.manual_seed(seed)
    tokenizer = Tokenizer.trained_on(CAPTIONS, vocab_size=vocab_size, context_length=config.context_length)
    preprocessing = Preprocessing(config.image_size, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    return Checkpoint(ViCLIP(config), tokenizer, preprocessing, {"recipe": "tiny+1", "žluť": [1, 2.5, None]})


def test_a_saved_checkpoint_is_loaded_again_exactly(tmp_path):
    checkpoint = tiny_checkpoint()
    assert save_checkpoint(tmp_path / "new" / "folder", checkpoint) == tmp_path / "new" / "folder"
    loaded = load_checkpoint(tmp_path / "new" / "folder")
    before, after = checkpoint.model.state_dict(), loaded.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert loaded.model.config == TINY
    assert not loaded.model.training
    assert loaded.preprocessing == checkpoint.preprocessing
    assert loaded.receipt == checkpoint.receipt
    assert torch.equal(loaded.tokenizer(CAPTIONS), checkpoint.tokenizer(CAPTIONS))
    names = {path.name for path in (tmp_path / "new" / "folder").iterdir()}
    assert names == {"model.safetensors", "config.json", "tokenizer.json", "receipt.json"}
    assert len({path.stat().st_mode for path in (tmp_path / "new" / "folder").iterdir()}) == 1


def test_saving_keeps_the_released_layout_bit_by_bit(tmp_path):
    released = load_file(GOLDEN / "viclip_tiny_state_dict.safetensors")
    checkpoint = tiny_checkpoint(config=config_from_weights(released, vision_heads=4, text_heads=4))
    checkpoint.model.load_state_dict(released)
    save_checkpoint(tmp_path, checkpoint)
    saved = load_file(tmp_path / "model.safetensors")
    assert saved.keys() == released.keys()
    for name, value in released.items():
        assert saved[name].dtype == value.dtype
        assert saved[name].shape == value.shape
        assert saved[name].numpy().tobytes() == value.numpy().tobytes(), name


@needs_vocabulary
@pytest.mark.parametrize("form", ["hub", "hub, path of its author's", "pth"])
def test_a_released_folder_is_loaded_with_clips_vocabulary_and_imagenets_constants(tmp_path, form):
    # A stand-in of the released models, with one head for every 64 of width as theirs.
    config = ViCLIPConfig(32, 16, 128, 2, 2, 64, 1, 1, 32)
    torch.manual_seed(0)
    model = ViCLIP(config)
    shutil.copyfile(MERGES, tmp_path / MERGES.name)
    if form == "pth":
        torch.save({"model": model.state_dict(), "epoch": 9}, tmp_path / "ViCLIP-L_InternVid-FLT-10M.pth")
    else:
        save_file(model.state_dict(), tmp_path / "model.safetensors")
        where = f"./{MERGES.name}" if form == "hub" else f"/home/author/viclip/{MERGES.name}"
        released = {"model_type": "viclip", "size": "l", "tokenizer_path": where, "transformers_version": "4.28.1"}
        (tmp_path / "config.json").write_text(json.dumps(released))
    loaded = load_checkpoint(tmp_path)
    assert loaded.model.config == config
    assert all(torch.equal(loaded.model.state_dict()[name], value) for name, value in model.state_dict().items())
    assert loaded.preprocessing == Preprocessing(32, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert loaded.tokenizer(["a dog"])[0, :5].tolist() == [49406, 320, 1929, 49407, 0]
    digest = checkpoint_digest(tmp_path)
    save_checkpoint(tmp_path / "saved", loaded)
    reloaded = load_checkpoint(tmp_path / "saved")
    assert all(torch.equal(reloaded.model.state_dict()[name], value) for name, value in model.state_dict().items())
    assert torch.equal(reloaded.tokenizer(["a dog"]), loaded.tokenizer(["a dog"]))
    assert len(digest) == 32


def test_a_digest_tells_weights_configuration_and_vocabulary_but_not_receipts(tmp_path):
    first = tiny_checkpoint()
    digest = checkpoint_digest(save_checkpoint(tmp_path / "first", first))
    assert len(bytes.fromhex(digest)) == 16
    assert checkpoint_digest(save_checkpoint(tmp_path / "again", tiny_checkpoint())) == digest
    first.receipt["seconds"] = 9
    assert checkpoint_digest(save_checkpoint(tmp_path / "receipt", first)) == digest
    first.model.temp.data.add_(1e-6)
    changed_checkpoints = {
        "weights": first,
        "vocabulary": tiny_checkpoint(vocab_size=529),
        "preprocessing": Checkpoint(tiny_checkpoint().model, tiny_checkpoint().tokenizer, Preprocessing(32)),
    }
    digests = {
        checkpoint_digest(save_checkpoint(tmp_path / name, checkpoint))
        for name, checkpoint in changed_checkpoints.items()
    }
    assert len(digests | {digest}) == 4


def test_parts_that_do_not_belong_together_make_no_checkpoint():
    checkpoint = tiny_checkpoint()
    model, tokenizer, preprocessing = checkpoint.model, checkpoint.tokenizer, checkpoint.preprocessing
    with pytest.raises(ValueError, match="tokenizer has 530 tokens, but the model embeds only 520"):
        Checkpoint(ViCLIP(ViCLIPConfig(**{**TINY.as_dict(), "vocab_size": 520})), tokenizer, preprocessing)
    with pytest.raises(ValueError, match="20 tokens per text, but the model reads 8"):
        Checkpoint(ViCLIP(ViCLIPConfig(**{**TINY.as_dict(), "context_length": 8})), tokenizer, preprocessing)
    with pytest.raises(ValueError, match="resized to 64 pixels, but the model reads 32"):
        Checkpoint(model, tokenizer, Preprocessing(64))


def test_a_save_over_another_checkpoint_that_was_cut_short_is_told_and_never_mixed(tmp_path):
    old, new = (save_checkpoint(tmp_path / str(size), tiny_checkpoint(vocab_size=size)) for size in (530, 520))
    for name in ("config.json", "tokenizer.json", "receipt.json"):
        shutil.copyfile(new / name, old / name)
    with pytest.raises(ValueError, match=r"model\.safetensors belongs to another config\.json or tokenizer\.json"):
        load_checkpoint(old)
    shutil.copyfile(new / "model.safetensors", old / "model.safetensors")
    assert load_checkpoint(old).tokenizer.vocab_size == 520


def test_a_save_that_fails_leaves_what_was_there(tmp_path):
    save_checkpoint(tmp_path, tiny_checkpoint())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    checkpoint = tiny_checkpoint(seed=1, vocab_size=520)
    checkpoint.receipt["model"] = checkpoint.model
    with pytest.raises(TypeError, match="JSON"):
        save_checkpoint(tmp_path, checkpoint)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


# Saves two checkpoints into one folder in turn until it is killed; the values of their weights differ.
SAVE = """
import sys, torch
from pathlib import Path
from internvid.viclip.checkpoint import Checkpoint, save_checkpoint
from internvid.viclip.config import ViCLIPConfig
from internvid.viclip.model import ViCLIP
from internvid.viclip.preprocessing import Preprocessing
from internvid.viclip.tokenizer import Tokenizer
config = ViCLIPConfig(32, 16, 256, 4, 4, 64, 1, 1, 32, vocab_size=600)
checkpoint = Checkpoint(ViCLIP(config), Tokenizer.trained_on(["a b"], vocab_size=600), Preprocessing(32))
number = 0
while True:
    for parameter in checkpoint.model.parameters():
        parameter.data.fill_(1 + number % 2)
    save_checkpoint(Path(sys.argv[1]), checkpoint)
    if number == 0:
        print("saved", flush=True)
    number += 1
"""


def test_a_process_killed_while_it_saves_leaves_a_whole_checkpoint(tmp_path):
    rng = random.Random(0)
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-c", SAVE, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "saved\n"
        time.sleep(0.05 + 0.2 * rng.random())
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        weights = load_checkpoint(tmp_path).model.state_dict()
        assert len({float(value.min()) for value in weights.values()} | {float(v.max()) for v in weights.values()}) == 1


def test_what_is_missing_or_broken_in_a_checkpoint_is_told_by_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint folder .*nowhere"):
        load_checkpoint(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"neither a config\.json .* nor bpe_simple_vocab_16e6\.txt\.gz"):
        load_checkpoint(tmp_path / "empty")

    def broken(name: str, content: bytes | None) -> Path:
        folder = save_checkpoint(tmp_path / "broken", tiny_checkpoint())
        if content is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(content)
        return folder

    saved_config = json.loads((save_checkpoint(tmp_path / "broken", tiny_checkpoint()) / "config.json").read_text())
    for name, content, error, message in (
        ("model.safetensors", None, FileNotFoundError, r"model\.safetensors is missing: the checkpoint was not saved"),
        ("tokenizer.json", None, FileNotFoundError, r"tokenizer\.json is missing"),
        ("model.safetensors", b"0" * 7 + b"\0{}", ValueError, r"model\.safetensors"),
        ("config.json", b"{", ValueError, r"config\.json is no JSON"),
        ("config.json", b"[]", ValueError, r"config\.json is no JSON object, but list"),
        ("config.json", b'{"model": ' + b"[" * 100_000, ValueError, r"config\.json is no JSON that can be read"),
        ("model.safetensors", torch_saved(), ValueError, r"model\.safetensors is no safetensors file"),
        ("config.json", json.dumps({**saved_config, "preprocessing": 1}).encode(), ValueError, "belongs to another"),
    ):
        with pytest.raises(error, match=message):
            load_checkpoint(broken(name, content))
    assert load_checkpoint(broken("receipt.json", None)).receipt == {}


def torch_saved() -> bytes:
    file = io.BytesIO()
    torch.save(tiny_checkpoint().model.state_dict(), file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda value: value.mul_(math.nan), r"weights have numbers that are not finite: temp"),
        (lambda value: value.view(-1)[-1:].fill_(math.inf), r"weights have numbers that are not finite"),
        (lambda value: value.zero_(), r"weights are zeros only: text_encoder\.positional_embedding"),
    ],
)
def test_weights_with_which_a_model_has_no_answer_are_refused(tmp_path, spoil, message):
    checkpoint = tiny_checkpoint()
    for value in checkpoint.model.state_dict().values():
        spoil(value)
    with pytest.raises(ValueError, match=message):
        load_checkpoint(save_checkpoint(tmp_path, checkpoint))


@needs_vocabulary
def test_what_is_missing_or_broken_in_a_released_folder_is_told_by_file(tmp_path):
    weights = ViCLIP(ViCLIPConfig(32, 16, 64, 1, 1, 64, 1, 1, 32)).state_dict()
    (tmp_path / "config.json").write_text(json.dumps({"size": "b", "tokenizer_path": "merges.txt.gz"}))
    with pytest.raises(FileNotFoundError, match=r"nor merges\.txt\.gz"):
        load_checkpoint(tmp_path)
    shutil.copyfile(MERGES, tmp_path / MERGES.name)
    with pytest.raises(FileNotFoundError, match=r"has no model\.safetensors"):
        load_checkpoint(tmp_path)
    torch.save({name: value for name, value in weights.items() if name != "temp"}, tmp_path / "ViCLIP.pth")
    with pytest.raises(ValueError, match=r"ViCLIP\.pth: these weights are not the model's: 1 missing: temp"):
        load_checkpoint(tmp_path)
    torch.save({"a": torch.ones(1)}, tmp_path / "ViCLIP.pth")
    with pytest.raises(ValueError, match=r"ViCLIP\.pth: these are not the weights of a ViCLIP"):
        load_checkpoint(tmp_path)
    torch.save(weights, tmp_path / "another.pth")
    with pytest.raises(FileNotFoundError, match=r"but ViCLIP\.pth, another\.pth|but another\.pth, ViCLIP\.pth"):
        load_checkpoint(tmp_path)
    (tmp_path / "ViCLIP.pth").unlink()
    assert load_checkpoint(tmp_path).model.config.vision_width == 64
    assert read_weights(tmp_path / "another.pth").keys() == weights.keys()
