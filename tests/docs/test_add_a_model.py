"""docs/add-a-model.md: the class and the profile on the page are taken from it and run on rendered videos."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.cli.doctor import examined
from orchestration.cli.session import Session
from orchestration.profiles import KINDS, base_class, providers
from orchestration.settings import Settings
from resources.catalog.locations import register_all
from resources.models.machine import this_machine

PAGE = (Path(__file__).parents[2] / "docs" / "add-a-model.md").read_text(encoding="utf-8")


@pytest.fixture
def profile_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The page's class in a module of the Python path, and the page's profile."""
    (python,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.S)
    (yaml,) = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.S)
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "own_models.py").write_text(python)
    (folder / "mine.yaml").write_text(yaml)
    monkeypatch.syspath_prepend(str(folder))
    yield folder / "mine.yaml"
    sys.modules.pop("own_models", None)


@pytest.mark.slow
def test_a_class_of_the_users_own_captions_the_clips(tmp_path, profile_file, synthetic_video) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    synthetic_video(videos, "video.mp4")
    session = Session(Settings(lake=str(tmp_path / "lake"), profile=f"embedded,{profile_file}", first_model=""))
    register_all(session.lake, session.media, [str(videos)], 2.0, on_items=lambda number: None)
    summary = session.bring_up_to_date()
    assert summary.is_well, summary

    clips = session.lake.query(
        "select clip_captions.model, clip_captions.caption, list(frame_captions.caption) as frame_captions "
        "from clip_captions inner join frame_captions using (clip_id) group by all"
    ).to_pylist()
    assert clips
    assert {clip["model"] for clip in clips} == {"longest-caption"}
    assert all(len(clip["caption"]) == max(map(len, clip["frame_captions"])) for clip in clips)


def test_the_doctor_shows_a_class_of_the_users_own_by_its_name(profile_file) -> None:
    resources = providers(f"embedded,{profile_file}")
    shown = {provider.provider: provider for provider in examined(resources, this_machine())}
    assert shown["summariser"].kind == "own_models:LongestCaption"
    assert shown["summariser"].state == "ready"


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("own_models:Missing", "has no attribute 'Missing'"),
        ("no_such_module:Model", "No module named 'no_such_module'; the module must be in the Python path"),
        ("pathlib:Path", "Path is not derived from resources.models.summariser:Summariser"),
        ("huh", "summariser has no kind 'huh': it is one of embedded, hub, server, or module:Class"),
    ],
)
def test_a_class_that_cannot_be_is_refused_with_the_reason(profile_file, kind: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        providers("embedded", {"summariser": f'{{kind: "{kind}"}}'})


def test_a_setting_that_the_class_does_not_have_is_refused(profile_file) -> None:
    with pytest.raises(ValueError, match="has no max_words; it has clips_per_call, min_words"):
        providers("embedded", {"summariser": '{kind: "own_models:LongestCaption", max_words: 3}'})


def test_the_page_names_the_base_class_and_the_methods_of_every_provider() -> None:
    rows = re.findall(r"^\| (`.*?) \| `(.*?)`: (\w+) \| (.*?) \|$", PAGE, flags=re.M)
    named = {provider: row[1:] for row in rows for provider in re.findall(r"`(\w+)`", row[0])}
    assert set(named) == set(KINDS) - {"downloader"}
    for provider, (path, class_name, methods) in named.items():
        base = base_class(provider)
        assert (path, class_name) == (base.__module__.replace(".", "/") + ".py", base.__name__)
        assert all(callable(getattr(base, method)) for method in re.findall(r"`(\w+)`", methods)), provider
