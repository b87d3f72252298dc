"""JSON as LLaVA-Video-178K has its captions: a list of conversations, in which the video is asked about and told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from zlib import crc32

from resources.corpus.exports.forms.form import Form, exported_rows, write_json_lists
from resources.corpus.exports.layout import ExportFolder, Row

# One is chosen for each clip by its id: a model that sees one question only learns that question.
QUESTIONS = (
    "Please describe the video in detail.",
    "Describe what happens in this video.",
    "What does this video show?",
    "Write a caption for this video.",
)


class Llava(Form):
    name = "llava"

    def whole(self, folder: ExportFolder) -> Iterator[str]:
        yield from write_json_lists(
            folder, "{split}.json", ((row["split"], conversation(row)) for row in exported_rows(folder))
        )


def conversation(row: Row) -> dict[str, Any]:
    """Returns the item of a clip. Without clips, `video` is the video that holds it, with its span."""
    question = QUESTIONS[crc32(row["clip_id"].encode()) % len(QUESTIONS)]
    span = {} if row["file"] else {"start_seconds": row["start_seconds"], "end_seconds": row["end_seconds"]}
    return {
        "id": row["clip_id"],
        "conversations": [
            {"from": "human", "value": f"<image>\n{question}"},
            {"from": "gpt", "value": row["caption"]},
        ],
        "data_source": "internvid-lakehouse",
        "video": row["file"] or row["path"],
        **span,
    }
