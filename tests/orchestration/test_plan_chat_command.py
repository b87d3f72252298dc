"""`internvid plan --chat`: what training a chat takes, for the recipe's own language model and for one of a folder."""

import json

import pytest
from command import internvid, refused, succeeded
from tiny_language_models import tiny_chat


@pytest.mark.slow
def test_a_step_of_each_phase_is_reckoned_with_what_fits(lake, tmp_path):
    model = tiny_chat(tmp_path / "language_model")
    done = internvid("plan", "--chat", "videochat", "--json", lake=lake.root, INTERNVID_LANGUAGE_MODEL=str(model))
    told = json.loads(succeeded(done))
    align, tune = told["phases"]
    assert told["vision"].startswith("ViCLIP-L/14")
    assert (align["phase"], tune["phase"]) == ("align", "tune")
    assert align["sequences"] == 32
    assert align["trained"] < tune["trained"]
    assert told["fitting"]["24"] < told["fitting"]["80"]
    text = succeeded(internvid("plan", "--chat", "chat-tiny", lake=lake.root))
    assert "Reckoned, not measured" in text
    assert "a GPU of 80 GiB: " in text


def test_mistakes_are_told(lake):
    assert "there is no recipe of a chat 'viclip-tiny'" in refused(
        internvid("plan", "--chat", "viclip-tiny", lake=lake.root)
    )
    assert "set INTERNVID_LANGUAGE_MODEL" in refused(internvid("plan", "--chat", "videochat", lake=lake.root))
