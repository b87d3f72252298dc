"""Where the bytes of a video are, and what the children find in them."""

import hashlib
import os
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from real_videos import REAL_VIDEOS, needs_real_videos

from internvid.video.probe import UnreadableVideo
from internvid.video.scan import SampledFrame, scan
from internvid.video.settings import ScanSettings
from resources.lake.paths import local_path
from resources.media.store import Media
from resources.media.video_file import Inspected, Scanned, ToScan

ODD = REAL_VIDEOS / "odd"

NAMES = [
    "plain.mp4",
    "with  spaces .mp4",
    """quotes ' and ".mp4""",
    "naïve 名前 🎬.mp4",
    "a#fragment?query&c=d.mp4",
    "100% and %20 and %2F.mp4",
    "[brackets] {braces} (round).mp4",
    "back\\slash;semicolon:colon.mp4",
    "two::colons.mp4",
    "-dash first.mp4",
    "new\nline.mp4",
    os.fsdecode(b"not text \xff\xe9.mp4"),
]


@pytest.fixture
def media(tmp_path: Path) -> Media:
    return Media(root=str(tmp_path / "store"), workers=1)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def stored(media: Media) -> dict[str, int]:
    """Every file of the store with its size."""
    root = Path(media.root)
    return {str(path.relative_to(root)): path.stat().st_size for path in root.rglob("*") if path.is_file()}


# --- names ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_file_uri_leads_to_the_file_whatever_its_name(tmp_path, name):
    path = tmp_path / name
    path.touch()
    assert local_path(path.as_uri()) == str(path)
    assert local_path(str(path)) == str(path)
    assert local_path("https://example.org/a.mp4") is None
    assert local_path("s3://bucket/a.mp4") is None


def test_files_are_inspected_whatever_their_names(tmp_path, media, synthetic_video):
    synthetic_video(tmp_path, "video.mp4")
    uris = [shutil.copy(tmp_path / "video.mp4", tmp_path / name).as_uri() for name in NAMES]
    found = list(media.inspect(uris))
    assert [uri for uri, _ in found] == uris
    assert {it.sha256 for _, it in found} == {sha256(tmp_path / "video.mp4")}
    probes = {(it.size_bytes, it.probe.width, it.probe.height, it.probe.video_codec) for _, it in found}
    assert probes == {((tmp_path / "video.mp4").stat().st_size, 160, 120, "h264")}


# --- the store --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_file_kept_by_reference_stays_where_it_is(tmp_path, media, name):
    path = tmp_path / name
    path.write_bytes(b"bytes")
    kept = media.store(path.as_uri(), sha256(path))
    assert stored(media) == {}
    kept.encode()  # a column can hold it
    assert local_path(kept) == str(path)
    assert media.exists(kept)
    with media.local(kept) as opened:
        assert Path(opened).read_bytes() == b"bytes"
    path.unlink()
    assert not media.exists(kept)


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_an_imported_file_is_stored_under_its_content(tmp_path, media, name):
    media = media.model_copy(update={"keep": "import"})
    path = tmp_path / name
    path.write_bytes(b"bytes of one file")
    digest = sha256(path)
    kept = media.store(path.as_uri(), digest)
    assert stored(media) == {f"{digest[:2]}/{digest}.mp4": 17}
    path.unlink()
    assert media.exists(kept)
    with media.local(kept) as opened:
        assert Path(opened).read_bytes() == b"bytes of one file"


def test_exact_duplicates_share_their_imported_bytes(tmp_path, media):
    media = media.model_copy(update={"keep": "import"})
    first, second = tmp_path / "first.mp4", tmp_path / "second.MP4"
    for path in (first, second):
        path.write_bytes(b"the same")
    other = tmp_path / "other.mkv"
    other.write_bytes(b"not the same")
    kept = [media.store(path.as_uri(), sha256(path)) for path in (first, second, other)]
    assert kept[0] == kept[1]
    assert sorted(stored(media).values()) == [8, 12]


def test_what_is_half_imported_is_not_taken_for_the_file(tmp_path, media):
    media = media.model_copy(update={"keep": "import"})
    path = tmp_path / "video.mp4"
    path.write_bytes(b"whole")
    gone = tmp_path / "gone.mp4"
    with pytest.raises(FileNotFoundError):
        media.store(gone.as_uri(), "ab" * 32)
    assert stored(media) == {}
    kept = media.store(path.as_uri(), sha256(path))
    assert Path(kept).read_bytes() == b"whole"
    assert len(stored(media)) == 1


# --- scans ------------------------------------------------------------------------------------------------------


def test_a_scan_in_a_child_gives_the_clips_and_streams_the_frames_among_them_each_clips_middle_one(
    tmp_path, media, synthetic_video
):
    paths = [synthetic_video(tmp_path, f"{number}.mp4", number) for number in range(2)]
    settings = ScanSettings()
    videos = [ToScan(str(path), 3.0) for path in paths]
    for path, (video, scanned) in zip(paths, media.scan(videos, settings), strict=True):
        assert video == ToScan(str(path), 3.0)
        kept: list[SampledFrame] = []
        assert scanned.clips == scan(str(path), settings, kept.append)
        assert scanned.frame_count == len(kept)
        streamed = [row for batch in scanned.frames() for row in batch.to_pylist()]
        assert streamed == [
            {name: getattr(frame, name) for name in ("pts", "seconds", "is_fine", "width", "height", "jpeg")}
            for frame in kept
        ]
        middles = [clip.middle_pts for clip in scanned.clips]
        ticks = Fraction(scanned.clips[0].time_base_numerator, scanned.clips[0].time_base_denominator)
        assert [float(pts * ticks) for pts in middles] == [0.7, 2.2]
        assert set(middles) <= {row["pts"] for row in streamed}
        assert scanned.frames_path.exists()
        scanned.remove()
        assert not scanned.frames_path.parent.exists()


def test_durations_are_read_from_headers_and_zero_where_there_is_none(tmp_path, media, synthetic_video):
    path = synthetic_video(tmp_path, "video.mp4")
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    asked = [str(path), str(text), str(tmp_path / "gone.mp4")]
    assert list(media.durations(asked)) == [(asked[0], pytest.approx(3.0)), (asked[1], 0.0), (asked[2], 0.0)]


@needs_real_videos
def test_every_odd_file_ends_as_a_result_or_as_one_error_of_its_own(media):
    paths = sorted(map(str, ODD.iterdir()))
    settings = ScanSettings(frame_short_side=64)
    inspected = dict(media.inspect(paths))
    scanned = {video.path: found for video, found in media.scan([ToScan(path, 0.0) for path in paths], settings)}
    assert list(inspected) == list(scanned) == paths

    unreadable = {
        "audio_only_speech.mp4": "no video stream",
        "jpeg_named_as.mp4": "single still picture",
        "text_file.mp4": "text file",
        "truncated_no_moov.mp4": "moov",
        "zero_bytes.mp4": "empty",
    }
    for path, found in inspected.items():
        scan_found = scanned[path]
        if (why := unreadable.get(Path(path).name)) is not None:
            for error in (found, scan_found):
                assert isinstance(error, UnreadableVideo)
                assert why in str(error)
        else:
            assert isinstance(found, Inspected), path
            assert found.sha256 == sha256(Path(path))
            assert isinstance(scan_found, Scanned), path
            assert scan_found.clips


def test_a_file_that_is_gone_is_an_error_of_its_own(tmp_path, media, synthetic_video: Callable[..., Path]):
    path = synthetic_video(tmp_path, "video.mp4")
    gone = tmp_path / "gone.mp4"
    found = [it for _, it in media.inspect([gone.as_uri(), path.as_uri()])]
    assert isinstance(found[0], FileNotFoundError)
    assert str(gone) in str(found[0])
    assert isinstance(found[1], Inspected)
