"""Dialogues in the form in which trainers of video assistants read them: that of LLaVA-Video and VideoChat2."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

VERSION = "instructions-1"  # of records: count it up with any change to them
VISION = "<image>"  # the mark by which LLaVA's trainers put the frames of the video before the first question


def instruction(
    dialogue_id: str, video: str | None, asked: Sequence[Mapping[str, Any]], **beside: Any
) -> dict[str, Any]:
    """Returns the record of a dialogue. asked: its turns. beside: further fields, such as start and end in seconds."""
    conversations = []
    for index, turn in enumerate(asked):
        question = f"{VISION}\n{turn['question']}" if index == 0 else turn["question"]
        conversations.append({"from": "human", "value": question})
        conversations.append({"from": "gpt", "value": turn["answer"]})
    return {"id": dialogue_id, "video": video, "conversations": conversations, **beside}


def turns_about(turns: Sequence[Mapping[str, Any]], clip_ids: Collection[str]) -> list[Mapping[str, Any]]:
    """Returns the turns whose clips are all among the given ones. Each turn is understood by itself."""
    return [turn for turn in turns if set(turn["clip_ids"]) <= set(clip_ids)]
