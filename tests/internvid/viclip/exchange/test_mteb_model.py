"""A checkpoint runs a task of `mteb` that is made of rendered videos; the score is that of an own computation."""

import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mteb", reason="the extra `mteb` is not installed: pip install 'internvid-lakehouse[mteb]'")

import mteb
import torch
from datasets import Dataset, DatasetDict, Video
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.abstasks.zeroshot_classification import AbsTaskZeroShotClassification
from torch.utils.data import DataLoader

from internvid.evaluation.decode import read_frames
from internvid.viclip.checkpoint import Checkpoint, save_checkpoint
from internvid.viclip.encoder import Encoder
from internvid.viclip.exchange.mteb_model import mteb_model
from internvid.viclip.model import ViCLIP
from internvid.viclip.preprocessing import Preprocessing
from internvid.viclip.recipes import RECIPES
from internvid.viclip.tokenizer import Tokenizer

LABELS = ["a circle moves to the right", "noise everywhere", "a blue square"]
VIDEOS = 6


class RenderedActions(AbsTaskZeroShotClassification):
    metadata = TaskMetadata(
        name="RenderedActions",
        description="Rendered videos",
        reference=None,
        dataset={"path": "rendered/actions", "revision": "1"},
        type="VideoZeroshotClassification",
        category="v2t",
        modalities=["video", "text"],
        eval_splits=["test"],
        eval_langs=["eng-Latn"],
        main_score="accuracy",
        date=None,
        domains=None,
        task_subtypes=None,
        license=None,
        annotations_creators=None,
        dialect=None,
        sample_creation=None,
        bibtex_citation="",
    )
    input_column_name = "video"

    def load_data(self, **others):
        self.data_loaded = True

    def get_candidate_labels(self):
        return LABELS


@pytest.mark.parametrize("is_embedded", [False, True], ids=["paths", "bytes"])
def test_a_task_of_videos_scores_as_computed_by_hand(tmp_path, synthetic_video, is_embedded):
    torch.manual_seed(0)
    config = RECIPES["viclip-tiny"].model
    tokenizer = Tokenizer.trained_on(LABELS * 2, vocab_size=config.vocab_size)
    checkpoint = Checkpoint(ViCLIP(config), tokenizer, Preprocessing(image_size=config.image_size))
    folder = save_checkpoint(tmp_path / "tiny", checkpoint)
    paths = [str(synthetic_video(tmp_path, f"{number}.mp4", number)) for number in range(VIDEOS)]
    labels = [number % len(LABELS) for number in range(VIDEOS)]
    videos = [{"path": path, "bytes": Path(path).read_bytes()} for path in paths] if is_embedded else paths
    task = RenderedActions()
    rows = Dataset.from_dict({"video": videos, "label": labels}).cast_column("video", Video())
    task.dataset = DatasetDict({"test": rows})

    model = mteb_model(folder)
    os.environ["HF_HUB_OFFLINE"] = "1"
    (result,) = mteb.evaluate(model, tasks=[task], cache=None).task_results

    encoder = Encoder(checkpoint)
    frames = [read_frames(path, None, None, encoder.frames, "middle") for path in paths]
    cosines = encoder.encode_videos(frames) @ encoder.encode_texts(LABELS).T
    expected = float((cosines.argmax(1) == np.array(labels)).mean())
    assert result.get_score() == pytest.approx(expected)
    about = {"task_metadata": task.metadata, "hf_split": "test", "hf_subset": "default"}
    np.testing.assert_allclose(model.encode(DataLoader(rows), **about), encoder.encode_videos(frames), atol=1e-5)
    with pytest.raises(ValueError, match="neither text nor video"):
        model.encode(DataLoader(rows.select_columns(["label"])), **about)
    assert model.mteb_model_meta.name == "internvid/tiny"
