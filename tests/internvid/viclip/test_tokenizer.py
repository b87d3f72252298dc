import gzip
import json
import pickle
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers

from internvid.viclip.tokenizer import Tokenizer, clean, prepare_text

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
# CLIP's vocabulary is not distributed with the project: its file lies beside the checkout.
MERGES = Path(__file__).resolve().parents[4] / "shared" / "golden" / "bpe_simple_vocab_16e6.txt.gz"
needs_vocabulary = pytest.mark.skipif(not MERGES.exists(), reason=f"CLIP's vocabulary is missing: {MERGES}")

CAPTIONS = [
    "A man plays the guitar in a park.",
    "A dog runs through the park, and a man follows.",
    "two dogs play with a man's guitar",
    "The man is playing the guitar; the dog is running.",
    "ein Mädchen läuft durch den Park",
]

# Trains on the captions of the file and prints what came of it, in a process of its own.
TRAIN = """
import json, sys
from internvid.viclip.tokenizer import Tokenizer
captions = json.load(open(sys.argv[1]))
tokenizer = Tokenizer.trained_on(captions, vocab_size=700)
print(json.dumps(tokenizer(captions).tolist()))
"""


@pytest.fixture(scope="module")
def clip() -> Tokenizer:
    return Tokenizer.clip_from_merges(MERGES)


@needs_vocabulary
def test_clips_vocabulary_gives_clips_ids(clip):
    golden = json.loads((GOLDEN / "clip_tokens.json").read_text())
    ids = clip([case["text"] for case in golden])
    assert ids.dtype == torch.int64
    assert ids.tolist() == [case["token_ids"] for case in golden]
    assert clip.vocab_size == 49_408


@needs_vocabulary
def test_a_transformers_checkpoints_own_files_give_the_same_ids_in_either_of_its_forms(clip, tmp_path):
    golden = json.loads((GOLDEN / "clip_tokens.json").read_text())
    texts = [case["text"] for case in golden] + ["Straße № 5 — it's “quoted”", "日本語", "don't 😀!! 12345", ""]
    clip.save(tmp_path)
    model = json.loads((tmp_path / "tokenizer.json").read_text())["model"]
    merges = [tuple(merge) for merge in model["merges"]]
    transformers.CLIPTokenizer(vocab=model["vocab"], merges=merges).save_pretrained(tmp_path / "one file")
    old_form = tmp_path / "two files"
    old_form.mkdir()
    (old_form / "vocab.json").write_text(json.dumps(model["vocab"]))
    (old_form / "merges.txt").write_text("\n".join(["#version: 0.2", *(" ".join(pair) for pair in merges)]))
    (old_form / "config.json").write_text(json.dumps({"model_type": "clip"}))
    for folder in ("one file", "two files"):
        assert torch.equal(Tokenizer.clip_from_folder(tmp_path / folder)(texts), clip(texts)), folder


@needs_vocabulary
def test_a_special_token_written_in_a_text_is_text(clip):
    ids = clip(["stop <|endoftext|> here"])[0].tolist()
    assert ids.count(49_407) == 1
    assert ids.count(49_406) == 1


@needs_vocabulary
def test_more_tokens_are_held_by_a_longer_context(clip):
    longer = Tokenizer.clip_from_merges(MERGES, context_length=77)
    text = "one two three four five six seven eight nine ten " * 5
    ids, cut = longer([text])[0], clip([text])[0]
    assert ids.shape == (77,)
    assert int(ids.argmax()) == 51
    assert torch.equal(cut[:31], ids[:31])
    assert int(cut[31]) == 49_407


def test_captions_are_cleaned_as_clip_does():
    assert clean("  &amp;lt;Caf\u00c3\u00a9&amp;gt;\n\t ok ") == "<café> ok"
    assert clean("a < b &amp;lt; C") == "a < b < c"  # ftfy leaves entities beside a tag to the others


def test_captions_are_prepared_as_in_training():
    assert prepare_text("A <Person>, re-entering (again): it's 50/50!\n") == "a person re entering again its 50 50"


def test_a_trained_vocabulary_depends_on_the_captions_alone_not_on_their_order_or_the_process(tmp_path):
    captions = [f"{caption} {number % 7}" for number, caption in enumerate(CAPTIONS * 20)]
    shuffled = random.Random(0).sample(captions, len(captions))
    tokenizer = Tokenizer.trained_on(captions, vocab_size=700)
    ids = tokenizer(captions)
    assert torch.equal(Tokenizer.trained_on(shuffled, vocab_size=700)(captions), ids)
    (tmp_path / "captions.json").write_text(json.dumps(captions))
    command = [sys.executable, "-c", TRAIN, str(tmp_path / "captions.json")]
    answer = subprocess.run(command, capture_output=True, check=True, text=True)
    assert json.loads(answer.stdout) == ids.tolist()


def test_a_trained_vocabulary_is_no_larger_than_asked_and_merges_what_is_frequent():
    tokenizer = Tokenizer.trained_on(CAPTIONS * 3, vocab_size=570)
    assert tokenizer.vocab_size == 570
    ids = tokenizer(["the guitar", "xyzzy"])
    assert ids[0].count_nonzero() == 4  # start, two whole words, end
    assert ids[1].count_nonzero() == 7  # start, five bytes, end
    assert ids.max() == 569
    assert Tokenizer.trained_on(["ab"], vocab_size=600).vocab_size == 514


def test_any_text_has_ids_in_a_trained_vocabulary():
    ids = Tokenizer.trained_on(CAPTIONS, vocab_size=514)(["日本 é"])[0]
    assert ids.count_nonzero() == 2 + 6 + 2  # each byte is a token, also at the end of a word


def test_a_saved_tokenizer_is_loaded_again_equal(tmp_path):
    tokenizer = Tokenizer.trained_on(CAPTIONS * 3, vocab_size=570)
    tokenizer.save(tmp_path)
    texts = [*CAPTIONS, "něco jiného"]
    loaded = Tokenizer.load(tmp_path)
    assert loaded.vocab_size == 570
    assert torch.equal(loaded(texts), tokenizer(texts))
    assert torch.equal(pickle.loads(pickle.dumps(tokenizer))(texts), tokenizer(texts))
    assert Tokenizer.load(tmp_path, context_length=8)(texts).shape == (6, 8)
    assert [path.name for path in tmp_path.iterdir()] == ["tokenizer.json"]


def test_a_file_that_is_no_tokenizer_is_named(tmp_path):
    words = [*"ab", "[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "vocab.txt").write_text("\n".join(words))
    transformers.BertTokenizer(vocab={word: number for number, word in enumerate(words)}).save_pretrained(
        tmp_path / "bert"
    )
    with pytest.raises(ValueError, match=r"bert.* WordPiece, not byte pairs"):
        Tokenizer.clip_from_folder(tmp_path / "bert")
    with pytest.raises(ValueError, match=r"tokenizer.json .* WordPiece"):
        Tokenizer.load(tmp_path / "bert")
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ValueError, match=r"tokenizer\.json is no tokenizer"):
        Tokenizer.load(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"tokenizer\.json"):
        Tokenizer.load(tmp_path / "nothing")
    for content in (b"", b"version\na b c\n", b"version\nzz zz\n", gzip.compress(b"version")[:-3], b"\xff\xfe"):
        (tmp_path / "merges.txt").write_bytes(content)
        with pytest.raises(ValueError, match=r"merges\.txt"):
            Tokenizer.clip_from_merges(tmp_path / "merges.txt")


def test_an_end_token_that_is_not_the_largest_is_refused():
    with pytest.raises(ValueError, match="must have id 2"):
        Tokenizer({"<|endoftext|>": 0, "<|startoftext|>": 1, "a": 2}, [])
