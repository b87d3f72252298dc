"""Keys of a bucket: used by the lake, and shown to nobody."""

import json

import pytest

from orchestration.configured import configured
from orchestration.settings import Settings

OPTIONS = {"aws_endpoint": "http://127.0.0.1:9", "aws_access_key_id": "my id", "aws_secret_access_key": "my secret"}


def test_a_key_of_the_environment_is_read_where_it_is_used_and_no_part_of_the_configuration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("INTERNVID_STORAGE_OPTIONS", json.dumps(OPTIONS))
    resources = configured(Settings(lake="s3://bucket/lake"))
    lake, media = resources["lake"], resources["media"]
    assert lake.lance_options == OPTIONS
    assert lake.file_options == {"endpoint_url": "http://127.0.0.1:9", "key": "my id", "secret": "my secret"}
    shown = [lake.storage_options, media.storage_options]
    reference = "env:INTERNVID_STORAGE_OPTIONS"
    assert shown == [OPTIONS | {"aws_access_key_id": reference, "aws_secret_access_key": reference}] * 2


def test_keys_given_by_a_program_are_used_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INTERNVID_STORAGE_OPTIONS", raising=False)
    lake = configured(Settings(lake="s3://bucket/lake", storage_options=OPTIONS))["lake"]
    assert lake.lance_options == OPTIONS
