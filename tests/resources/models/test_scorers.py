"""The scorers' providers, with tiny models of the real classes loaded from their folders."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import save_file
from tiny_scorers import PLACES, WIDTH, picture, random_head, tiny_classifier, tiny_clip, tiny_siglip

from resources.incremental.faults import ModelUnavailable
from resources.models.provider import Readiness
from resources.models.scorers.aesthetics import ClipHeadAesthetics, MeasuredAesthetics
from resources.models.scorers.frame_text_similarity import ClipFrameTextSimilarity
from resources.models.scorers.image_classifier import ImageClassifierScorer
from resources.models.scorers.scorer import ClipToScore, NoScore, Scorer
from resources.models.scorers.text_overlay import OcrTextOverlay

ABSENT = "nobody/nothing-of-this-name"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """models("clip"): the folder of that model."""
    folder = tmp_path_factory.mktemp("models")
    tiny_clip(folder / "clip")
    tiny_siglip(folder / "siglip")
    tiny_classifier(folder / "classifier", "fine", "nude", "gore")
    tiny_classifier(folder / "tags", "text", "logo", "frame", problem_type="multi_label_classification")
    return lambda name: folder / name


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def clips(*pictures_of_each: int, captions: list[str | None] | None = None) -> list[ClipToScore]:
    """Clips of so many pictures, of all sizes, and none like another."""
    made, seed = [], 0
    for number, count in enumerate(pictures_of_each):
        frames = [picture(seed + at, 40 + 8 * (number % 3), 80 - 10 * (number % 2)) for at in range(count)]
        seed += count
        made.append(ClipToScore(f"clip{number}", frames, captions[number] if captions else "a dog"))
    return made


def vectors(folder: Path, frames: list[np.ndarray]) -> np.ndarray:
    """As the model's own documentation has it: processor, then `get_image_features`; of length one."""
    model = transformers.AutoModel.from_pretrained(folder)
    processor = transformers.CLIPImageProcessorPil.from_pretrained(folder)
    found = []
    for frame in frames:
        with torch.no_grad():
            pixels = processor(images=Image.fromarray(frame), return_tensors="pt")
            found.append(model.get_image_features(**pixels).pooler_output[0].numpy())
    return np.stack([vector / np.linalg.norm(vector) for vector in found])


# --- aesthetics -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_aesthetics_are_the_heads_line_through_the_clips_vectors_and_of_the_best_frame(models, tmp_path, suffix):
    file = tmp_path / f"head{suffix}"
    weight, bias = random_head(file.with_suffix(".pth"))
    if suffix == ".safetensors":
        save_file({"weight": torch.tensor(weight)[None], "bias": torch.tensor([bias])}, file)
    scorer = ClipHeadAesthetics(weights=str(models("clip")), head=str(file))
    given = clips(4, 2, 1)
    expected = [float((vectors(models("clip"), clip.frames) @ weight + bias).max()) for clip in given]
    assert scorer.score(given) == pytest.approx(expected, abs=1e-4)
    assert len({round(score, 2) for score in expected}) == 3, "the test would not see scores of other clips"


def test_how_frames_are_batched_changes_nothing(models, tmp_path):
    random_head(tmp_path / "head.pth")
    settings = {"weights": str(models("clip")), "head": str(tmp_path / "head.pth")}
    given = clips(4, 3, 4, 1, 2)
    together = ClipHeadAesthetics(**settings).score(given)
    singly = [ClipHeadAesthetics(**settings, frames_per_batch=1).score([clip])[0] for clip in given]
    across = ClipHeadAesthetics(**settings, frames_per_batch=3).score(given)
    assert singly == pytest.approx(together, abs=1e-5)
    assert across == pytest.approx(together, abs=1e-5)


def test_a_head_for_another_clip_is_refused_for_every_clip(models, tmp_path):
    random_head(tmp_path / "wide.pth", width=WIDTH + 1)
    answers = ClipHeadAesthetics(weights=str(models("clip")), head=str(tmp_path / "wide.pth")).score(clips(1, 2))
    assert [type(answer) for answer in answers] == [ValueError, ValueError]
    assert "17 numbers, and the CLIP gives 16" in str(answers[0])


@pytest.mark.parametrize(
    "state",
    [
        {"0.weight": torch.zeros(8, WIDTH), "0.bias": torch.zeros(8), "1.weight": torch.zeros(1, 8)},
        {"weight": torch.zeros(2, WIDTH), "bias": torch.zeros(2)},
        {"kernel": torch.zeros(1, WIDTH), "bias": torch.zeros(1)},
    ],
    ids=["two layers", "two outputs", "other names"],
)
def test_what_is_no_linear_head_is_refused(models, tmp_path, state):
    torch.save(state, tmp_path / "odd.pth")
    with pytest.raises(ModelUnavailable, match="is no linear head"):
        ClipHeadAesthetics(weights=str(models("clip")), head=str(tmp_path / "odd.pth")).prepare()


class Harmful:
    def __reduce__(self):
        return (Path("harm was done").touch, ())


def test_a_head_that_would_run_code_is_refused(models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": Harmful(), "bias": torch.zeros(1)}, "evil.pth")
    with pytest.raises(ModelUnavailable, match="Weights only load failed"):
        ClipHeadAesthetics(weights=str(models("clip")), head="evil.pth").prepare()
    assert not Path("harm was done").exists()


def test_measured_aesthetics_are_of_the_best_frame_and_named_for_what_they_are():
    scorer = MeasuredAesthetics()
    black = np.zeros((48, 64, 3), np.uint8)
    dark, best = scorer.score([ClipToScore("a", [black], None), ClipToScore("b", [black, picture(1), black], None)])
    assert dark == 1
    assert best == scorer.score([ClipToScore("c", [picture(1)], None)])[0] > 3
    assert scorer.model == "measured-aesthetics"
    assert scorer.revision is None


# --- frame-text similarity --------------------------------------------------------------------------------------


def test_similarity_is_the_cosine_of_the_frames_vector_and_the_captions(models):
    captions = ["a dog runs", "an old red car", "a dog runs on the beach"]
    given = clips(1, 1, 1, captions=captions)
    folder = models("clip")
    model, tokenizer = (
        transformers.AutoModel.from_pretrained(folder),
        transformers.AutoTokenizer.from_pretrained(folder),
    )
    with torch.no_grad():
        texts = [
            model.get_text_features(**tokenizer(caption, return_tensors="pt")).pooler_output[0].numpy()
            for caption in captions
        ]
    expected = [
        float(vectors(folder, clip.frames)[0] @ text / np.linalg.norm(text))
        for clip, text in zip(given, texts, strict=True)
    ]
    scorer = ClipFrameTextSimilarity(weights=str(folder))
    assert scorer.score(given) == pytest.approx(expected, abs=1e-5)
    assert [scorer.score([clip])[0] for clip in given] == pytest.approx(expected, abs=1e-5)
    assert len({round(score, 3) for score in expected}) == 3
    assert (scorer.frames, scorer.frame_choice, scorer.reads_caption) == (1, "random", True)


def test_a_long_caption_is_cut_where_the_tower_ends(models):
    scorer = ClipFrameTextSimilarity(weights=str(models("clip")))
    letters = "abcdefghijklmnopqrstuvwxyz" * 10
    long, cut, shorter = (letters, letters[: PLACES - 2], letters[: PLACES - 3])
    (frame,) = clips(1)[0].frames
    scores = scorer.score([ClipToScore("clip", [frame], caption) for caption in (long, cut, shorter)])
    # The last letter of a word is another token than that letter within it.
    assert scores[0] != pytest.approx(scores[1], abs=1e-6)
    assert scores == pytest.approx([scorer.score([ClipToScore("clip", [frame], t)])[0] for t in (long, cut, shorter)])
    same = scorer.score([ClipToScore("clip", [frame], caption) for caption in (letters, letters[: PLACES + 4] + " z")])
    assert same[0] == pytest.approx(same[1], abs=1e-6)


def test_a_clip_without_caption_has_no_score_and_says_why(models):
    answers = ClipFrameTextSimilarity(weights=str(models("clip"))).score(clips(1, 1, 1, captions=["a", None, "b"]))
    assert [type(answer) for answer in answers] == [float, NoScore, float]
    assert str(answers[1]) == "the clip has no caption"


def test_siglip_scores_too(models):
    scorer = ClipFrameTextSimilarity(weights=str(models("siglip")))
    together = scorer.score(clips(1, 1, captions=["a dog", "a much longer caption"]))
    singly = [scorer.score([clip])[0] for clip in clips(1, 1, captions=["a dog", "a much longer caption"])]
    assert together == pytest.approx(singly, abs=1e-5)
    assert all(-1 <= score <= 1 for score in together)


def test_a_model_without_vectors_of_pictures_is_refused(models):
    with pytest.raises(ModelUnavailable, match="gives no vectors of pictures"):
        ClipFrameTextSimilarity(weights=str(models("classifier"))).prepare()


# --- classifiers ------------------------------------------------------------------------------------------------


def probabilities(folder: Path, frames: list[np.ndarray]) -> np.ndarray:
    """[frames, labels], of the logits as the model gives them."""
    from transformers import ViTImageProcessorPil

    model, processor = (
        transformers.ViTForImageClassification.from_pretrained(folder),
        ViTImageProcessorPil.from_pretrained(folder),
    )
    with torch.no_grad():
        logits = [model(**processor(images=Image.fromarray(frame), return_tensors="pt")).logits[0] for frame in frames]
    return torch.stack(logits).double().numpy()


@pytest.mark.parametrize(("over_frames", "reduced"), [("max", np.max), ("mean", np.mean)])
def test_the_chosen_labels_probabilities_are_added_up(models, over_frames, reduced):
    folder = models("classifier")
    given = clips(4, 2, 1)
    expected = []
    for clip in given:
        weights = np.exp(probabilities(folder, clip.frames))
        expected.append(reduced((weights / weights.sum(axis=1, keepdims=True))[:, 1:].sum(axis=1)))
    scorer = ImageClassifierScorer(weights=str(folder), labels=["gore", "nude"], over_frames=over_frames)
    assert scorer.score(given) == pytest.approx(expected, abs=1e-5)
    assert len({round(score, 3) for score in expected}) == 3


def test_of_labels_that_do_not_exclude_each_other_the_most_probable_counts(models):
    given = clips(2, 1)
    logits = [probabilities(models("tags"), clip.frames) for clip in given]
    expected = [float((1 / (1 + np.exp(-of_clip[:, :2]))).max()) for of_clip in logits]
    scorer = ImageClassifierScorer(weights=str(models("tags")), labels=["text", "logo"])
    assert scorer.score(given) == pytest.approx(expected, abs=1e-5)


def test_an_unknown_label_is_told_with_those_there_are(models):
    with pytest.raises(ModelUnavailable, match="classifier has no label nsfw; it has fine, nude, gore"):
        ImageClassifierScorer(weights=str(models("classifier")), labels=["nude", "nsfw"]).prepare()
    with pytest.raises(ValueError, match="labels"):
        ImageClassifierScorer(weights=str(models("classifier")), labels=[])


# --- text overlay -----------------------------------------------------------------------------------------------


def test_text_overlay_is_the_mean_over_the_frames():
    from PIL import ImageDraw, ImageFont

    plain = Image.new("RGB", (320, 180), "navy")
    titled = plain.copy()
    ImageDraw.Draw(titled).text((30, 70), "The title", fill="white", font=ImageFont.load_default(size=40))
    frames = [np.asarray(titled), np.asarray(plain)]
    scorer = OcrTextOverlay()
    (one, none, both) = scorer.score(
        [ClipToScore("a", frames[:1], None), ClipToScore("b", frames[1:], None), ClipToScore("c", frames, None)]
    )
    assert none == 0
    assert one > 0.05
    assert both == one / 2


# --- what all have in common ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("offline")
def test_without_the_model_the_stage_does_not_begin(tmp_path):
    random_head(tmp_path / "head.pth")
    absent: list[Scorer] = [
        ClipHeadAesthetics(weights=ABSENT, head=str(tmp_path / "head.pth")),
        ClipFrameTextSimilarity(weights=ABSENT),
        ImageClassifierScorer(weights=ABSENT, labels=["nsfw"]),
    ]
    for scorer in absent:
        with pytest.raises(ModelUnavailable, match=f"{ABSENT}.* cannot be loaded: OSError"):
            scorer.prepare()
        with pytest.raises(ModelUnavailable):
            scorer.score(clips(1, 1))
        assert scorer.readiness().state == "missing"
        assert (scorer.model.startswith(ABSENT), scorer.revision) == (True, None)
        assert scorer.version.startswith(f"{ABSENT}@main")


def test_a_missing_head_is_told(models, tmp_path):
    scorer = ClipHeadAesthetics(weights=str(models("clip")), head=str(tmp_path / "head.pth"))
    with pytest.raises(ModelUnavailable, match=r"there is no file .*head\.pth"):
        scorer.prepare()
    assert scorer.readiness().state == "missing"
    assert "head.pth" in scorer.readiness().advice


def test_a_model_that_is_here_is_ready_with_its_size(models, tmp_path):
    random_head(tmp_path / "head.pth")
    size = sum(file.stat().st_size for file in models("clip").iterdir())
    head = (tmp_path / "head.pth").stat().st_size
    settings = {"weights": str(models("clip"))}
    assert ClipFrameTextSimilarity(**settings).readiness() == Readiness("ready", size)
    with_head = ClipHeadAesthetics(**settings, head=str(tmp_path / "head.pth"))
    assert with_head.readiness() == Readiness("ready", size + head)
    assert with_head.model == "clip+head"
    assert with_head.revision == "+".join(
        (ClipFrameTextSimilarity(**settings).revision, with_head.head_file.digest[:12])
    )
    assert OcrTextOverlay().readiness().state == "ready"
    assert OcrTextOverlay().readiness().size_bytes > 1_000_000


def test_a_version_names_what_decides_the_score_and_nothing_else(models, tmp_path):
    random_head(tmp_path / "head.pth", seed=1)
    other = tmp_path / "other" / "head.pth"
    other.parent.mkdir()
    random_head(other, seed=2)
    clip = str(models("clip"))
    copy = str(shutil.copytree(clip, tmp_path / "clip"))
    assert ClipFrameTextSimilarity(weights=copy).version == ClipFrameTextSimilarity(weights=clip).version
    tiny_clip(Path(copy), seed=1)

    versions = [
        ClipHeadAesthetics(weights=clip, head=str(tmp_path / "head.pth")).version,
        ClipHeadAesthetics(weights=clip, head=str(other)).version,
        ClipHeadAesthetics(weights=copy, head=str(other)).version,
        ClipHeadAesthetics(weights=clip, head=str(other), dtype="bfloat16").version,
        ClipFrameTextSimilarity(weights=clip).version,
        ImageClassifierScorer(weights=clip, labels=["a"]).version,
        ImageClassifierScorer(weights=clip, labels=["b"]).version,
        ImageClassifierScorer(weights=clip, labels=["b"], over_frames="mean").version,
        OcrTextOverlay().version,
        OcrTextOverlay(long_side=960).version,
        MeasuredAesthetics().version,
    ]
    assert len(set(versions)) == len(versions)
    base, same = ClipHeadAesthetics(weights=clip, head=str(other)), {"frames_per_batch": 1, "clips_per_call": 2}
    assert ClipHeadAesthetics(weights=clip, head=str(other), device="cpu", **same).version == base.version


def test_new_weights_in_a_folder_are_loaded(tmp_path):
    folder = tiny_clip(tmp_path / "clip")
    before = ClipFrameTextSimilarity(weights=str(folder)).score(clips(1))
    tiny_clip(folder, seed=1)
    after = ClipFrameTextSimilarity(weights=str(folder)).score(clips(1))
    assert before != pytest.approx(after, abs=1e-4)
