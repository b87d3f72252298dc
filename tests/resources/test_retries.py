"""How often, and when, an input is tried again."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from internvid.chat_server import NoAnswer
from internvid.video.probe import UnreadableVideo
from internvid.web import errors
from internvid.web.errors import NetworkTrouble, RemovedVideo
from resources.retries import Policy, policies, policy_of

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_each_further_try_comes_later_and_the_last_is_the_last():
    policy = Policy(tries=3, minutes=10, times=4)
    waits = [policy.next_try(tries, NOON) for tries in (1, 2, 3)]
    assert waits == [NOON + timedelta(minutes=10), NOON + timedelta(minutes=40), None]


def test_an_error_has_the_policy_of_the_nearest_class_that_has_one():
    assert policy_of(NetworkTrouble) == policies(None)["NetworkTrouble"]
    assert policy_of(NoAnswer) == policies(None)["ConnectionError"]
    assert policy_of(ConnectionResetError) == policies(None)["ConnectionError"]
    assert policy_of(RemovedVideo).tries == policy_of(UnreadableVideo).tries == 1


def test_every_class_of_the_table_is_there():
    of_python = {"ConnectionError", "TimeoutError", "BlockingIOError", "InterruptedError"}
    assert {name for name in policies(None) if not hasattr(errors, name)} == of_python


def test_a_file_of_ones_own_is_laid_over_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "retries.yaml"
    file.write_text("RemovedVideo: {tries: 2, minutes: 60}\n")
    monkeypatch.setenv("INTERNVID_RETRIES", str(file))
    assert policy_of(RemovedVideo) == Policy(tries=2, minutes=60)
    assert policy_of(NetworkTrouble) == policies(None)["NetworkTrouble"]


@pytest.mark.parametrize("text", ["- a list", "NetworkTrouble: 3", "NetworkTrouble: {trys: 3}", "a: ["])
def test_a_file_that_is_no_table_is_told(tmp_path: Path, text: str):
    file = tmp_path / "retries.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"retries\.yaml is no table of retries"):
        policies(str(file))
