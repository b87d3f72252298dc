"""What is refused, and in which words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from resources.catalog.tombstones import Names, Tombstones, begin, begun, end
from resources.lake.store import Lake

URL = "https://example.org/video.mp4"


@pytest.fixture
def lake(tmp_path: Path, new_lake: Callable[[Path], Lake]) -> Lake:
    return new_lake(tmp_path / "lake")


def forget(lake: Lake, names: Names, reason: str | None = "asked to") -> None:
    begin(lake, names, reason=reason, run_id="test")


def states(lake: Lake) -> dict[str, str]:
    return dict(lake.polars("tombstones").select("tombstone_id", "state").rows())


def test_a_lake_without_tombstones_refuses_nothing(lake: Lake):
    tombstones = Tombstones(lake)
    assert tombstones.refuses_source(URL, "abc", "UC1", "Herons") is None
    assert tombstones.refuses_content("0" * 64) is None


def test_a_source_is_refused_by_address_by_its_site_s_id_and_by_its_channel_s_id_or_name(lake: Lake):
    forget(
        lake,
        Names(
            urls=frozenset([URL]),
            site_keys=frozenset(["vimeo.com/1234"]),
            channels=frozenset(["UC1", "Herons"]),
            sha256s=frozenset(["a" * 64]),
        ),
    )
    tombstones = Tombstones(lake)
    day = f"{lake.polars('tombstones')['asked_at'][0]:%Y-%m-%d}"
    was_forgotten = f"was forgotten on {day}: asked to"
    assert tombstones.refuses_source(URL, None, None, None) == f"this address {was_forgotten}"
    assert (
        tombstones.refuses_source("https://www.vimeo.com/x/1234", "1234", None, None) == f"this video {was_forgotten}"
    )
    other = "https://example.org/other.mp4"
    assert tombstones.refuses_source(other, "1234", None, None) is None, "another site's 1234 is another video"
    assert tombstones.refuses_source(other, None, "UC1", "another name") == f"its channel {was_forgotten}"
    assert tombstones.refuses_source(other, None, None, "Herons") == f"its channel {was_forgotten}"
    assert tombstones.refuses_source(other, "5", "UC2", "Weirs") is None
    assert tombstones.refuses_content("a" * 64) == f"a file of these bytes {was_forgotten}"
    assert tombstones.refuses_content("b" * 64) is None


def test_without_a_reason_only_the_day_is_told(lake: Lake):
    forget(lake, Names(urls=frozenset([URL])), reason=None)
    day = f"{lake.polars('tombstones')['asked_at'][0]:%Y-%m-%d}"
    assert Tombstones(lake).refuses_source(URL, None, None, None) == f"this address was forgotten on {day}"


def test_what_was_begun_is_there_to_go_on_with_until_it_is_done(lake: Lake):
    first, second = Names(urls=frozenset([URL])), Names(sha256s=frozenset(["a" * 64]))
    forget(lake, first)
    forget(lake, first)
    forget(lake, second)
    names, since = begun(lake)
    assert names == first | second
    assert since == lake.polars("tombstones")["asked_at"].min()
    end(lake, first)
    assert begun(lake)[0] == second
    end(lake, second)
    assert begun(lake) == (Names(), None)
    assert states(lake) == {f"url:{URL}": "done", f"sha256:{'a' * 64}": "done"}


def test_forgetting_again_what_came_in_nevertheless_begins_it_again(lake: Lake):
    names = Names(urls=frozenset([URL]))
    forget(lake, names)
    end(lake, names)
    forget(lake, names, reason="again")
    assert begun(lake)[0] == names
    assert lake.polars("tombstones")["reason"].to_list() == ["asked to"]
