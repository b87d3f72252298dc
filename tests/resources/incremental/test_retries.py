"""How often, and when, an input is tried again."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from internvid.chat_server import NoAnswer
from internvid.video.probe import UnreadableVideo
from internvid.web import errors
from internvid.web.errors import NetworkTrouble, RemovedVideo
from resources.incremental.retries import FailurePolicy, RetryRule, retry_rules
from resources.media import child_process
from resources.media.child_process import DecoderTimedOut

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_each_further_try_comes_later_and_the_last_is_the_last():
    rule = RetryRule(tries=3, delay_minutes=10, backoff=4)
    waits = [rule.next_try(tries, NOON) for tries in (1, 2, 3)]
    assert waits == [NOON + timedelta(minutes=10), NOON + timedelta(minutes=40), None]


def test_an_error_has_the_rule_of_the_nearest_class_that_has_one():
    policy, rules = FailurePolicy(), retry_rules(None)
    assert policy.retry(NetworkTrouble) == rules["NetworkTrouble"]
    assert policy.retry(NoAnswer) == rules["ConnectionError"]
    assert policy.retry(ConnectionResetError) == rules["ConnectionError"]
    assert policy.retry(RemovedVideo).tries == policy.retry(UnreadableVideo).tries == 1
    assert policy.retry(DecoderTimedOut).tries == 2, "it may have been stopped, or the machine too busy"
    assert (policy.retry(RemovedVideo).alarm, policy.retry(UnreadableVideo).alarm) == (False, True)


def test_every_class_of_the_table_is_there():
    of_python = {"ConnectionError", "TimeoutError", "BlockingIOError", "InterruptedError"}
    of_children = {"DecoderKilled", "DecoderTimedOut"}
    assert all(hasattr(child_process, name) for name in of_children)
    assert {name for name in retry_rules(None) if not hasattr(errors, name)} == of_python | of_children


def test_a_file_of_ones_own_is_laid_over_the_table(tmp_path: Path):
    file = tmp_path / "retries.yaml"
    file.write_text("RemovedVideo: {tries: 2, delay_minutes: 60}\n")
    policy = FailurePolicy(retries_file=str(file))
    assert policy.retry(RemovedVideo) == RetryRule(tries=2, delay_minutes=60)
    assert policy.retry(NetworkTrouble) == retry_rules(None)["NetworkTrouble"]


@pytest.mark.parametrize("text", ["- a list", "NetworkTrouble: 3", "NetworkTrouble: {trys: 3}", "a: ["])
def test_a_file_that_is_no_table_is_told(tmp_path: Path, text: str):
    file = tmp_path / "retries.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"retries\.yaml is no table of retries"):
        retry_rules(str(file))


@pytest.mark.parametrize(
    ("failures", "tried", "is_alarming"),
    [(19, 19, False), (20, 20, True), (20, 99, True), (20, 100, False), (21, 100, True)],
)
def test_twenty_failures_are_an_alarm_where_they_are_more_than_a_fifth(failures: int, tried: int, is_alarming: bool):
    assert FailurePolicy().is_alarming(failures, tried) is is_alarming
    assert not FailurePolicy(max_failure_share=1).is_alarming(failures, tried)
