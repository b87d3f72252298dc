"""`frame_captions`: captions of sampled frames, at three scales.

coarse: the clip's middle frame. fine: one frame of every second. clip: the frames of every second together, where a
captioner that sees several frames is enabled.
"""

from collections.abc import Iterator

from internvid.captions.measured import FrameCaption
from resources.incremental.costs import Cost, Spent
from resources.incremental.declaration import Configuration, CostDrivers, StageRun, StageScope, stage
from resources.incremental.faults import system_fault_of
from resources.incremental.stage import Done, Failed, Outcome, Rows, Unit, together_or_one_by_one
from resources.lake.schema import FRAME_CAPTIONS
from resources.lake.statements import statement
from resources.lake.store import Lake
from resources.models.captioner import Captioner
from resources.models.provider import stopwatch

Captioners = dict[str, Captioner]  # by scale


def enabled_captioners(
    *, coarse_captioner: Captioner, fine_captioner: Captioner, clip_captioner: Captioner
) -> Captioners:
    """Returns the captioners that are enabled, by scale."""
    captioners = {"coarse": coarse_captioner, "fine": fine_captioner, "clip": clip_captioner}
    return {scale: captioner for scale, captioner in captioners.items() if captioner.is_enabled}


def configure(scope: StageScope, **providers: Captioner) -> Configuration:
    """Each scale has the version of its captioner: a change of the fine captioner does not affect coarse captions."""
    captioners = enabled_captioners(**providers)
    versions = {scale: captioner.version for scale, captioner in captioners.items()}
    return Configuration((versions,), max(captioner.frames_per_call for captioner in captioners.values()))


@stage(
    group="captions",
    outputs=(FRAME_CAPTIONS,),
    configure=configure,
    pool="caption",
    kinds=("lance", "pytorch"),
    providers=("coarse_captioner", "fine_captioner", "clip_captioner"),
    variants={"coarse": "coarse_captioner", "fine": "fine_captioner", "clip": "clip_captioner"},
    samples={FRAME_CAPTIONS.name: ("caption", "seconds", "scale", "clip_id")},
    cost=CostDrivers(
        requests={"coarse_captioner": "middle_frames", "fine_captioner": "fine_frames", "clip_captioner": "clips"}
    ),
    workers="gpu",
)
def frame_captions(
    run: StageRun,
    units: list[Unit],
    *,
    coarse_captioner: Captioner,
    fine_captioner: Captioner,
    clip_captioner: Captioner,
) -> Iterator[Outcome]:
    """One caption of one sampled frame by one model, with the evidence it is based on.

    Coarse captions are of a clip's middle frame, fine ones of a frame each second. Changes when the frame or the
    captioner of its scale does.
    """
    captioners = enabled_captioners(
        coarse_captioner=coarse_captioner, fine_captioner=fine_captioner, clip_captioner=clip_captioner
    )
    yield from together_or_one_by_one(units, lambda chunk: caption(run, captioners, chunk))


def caption(run: StageRun, captioners: Captioners, units: list[Unit]) -> list[Outcome]:
    """Captions each unit: a frame at a scale, or a clip."""
    outcomes: dict[str, Outcome] = {}
    for scale, captioner in captioners.items():
        of_scale = [unit for unit in units if unit.variant == scale and unit.key not in outcomes]
        if scale == "clip":
            outcomes |= {unit.key: _of_clip(run, captioner, unit) for unit in of_scale}
        elif of_scale:
            # Where one captioner serves both scales, it captions a frame that belongs to both only once.
            scales = {name for name, candidate in captioners.items() if name != "clip" and candidate == captioner}
            outcomes |= _of_frames(run.lake, captioner, [unit for unit in units if unit.variant in scales])
    return [outcomes[unit.key] for unit in units]


def _of_frames(lake: Lake, captioner: Captioner, units: list[Unit]) -> dict[str, Outcome]:
    frame_ids = list(dict.fromkeys(unit.label for unit in units))
    frames = lake.fetch("frames", frame_ids, ["frame_id", "clip_id", "video_id", "seconds", "jpeg"]).to_pylist()
    with stopwatch() as watch:
        captions = captioner.caption([frame.pop("jpeg") for frame in frames])
    spent = watch.spent / len(units)
    by_frame = {frame["frame_id"]: (frame, caption) for frame, caption in zip(frames, captions, strict=True)}
    return {unit.key: _outcome(captioner, unit, *by_frame[unit.label], spent, frames=1) for unit in units}


def _of_clip(run: StageRun, captioner: Captioner, unit: Unit) -> Outcome:
    """Captions the clip's frames of every second in one request."""
    (clip,) = run.lake.fetch("clips", [unit.label], ["clip_id", "video_id", "start_seconds"]).to_pylist()
    frame_ids = run.query(statement("inputs/fine_frames_of_clip"), {"clip_id": unit.label})["frame_id"].to_pylist()
    jpegs = run.lake.fetch("frames", frame_ids, ["jpeg"])["jpeg"].to_pylist()
    caption: FrameCaption | Exception
    with stopwatch() as watch:
        try:
            caption = captioner.caption_together(jpegs)
        except Exception as error:
            if fault := system_fault_of(error):
                raise fault from error
            caption = error
    keys = {"frame_id": None, "clip_id": unit.label, "video_id": clip["video_id"], "seconds": clip["start_seconds"]}
    return _outcome(captioner, unit, keys, caption, watch.spent, frames=len(jpegs))


def _outcome(
    captioner: Captioner,
    unit: Unit,
    keys: dict[str, object],
    caption: FrameCaption | Exception,
    spent: Spent,
    *,
    frames: int,
) -> Outcome:
    """keys: the row's ids and its time in the video."""
    if isinstance(caption, Exception):
        return Failed(unit, caption, Cost.of(captioner, spent, frames=frames))
    row = {
        "frame_caption_id": unit.key,
        **keys,
        "scale": unit.variant,
        "model": captioner.model,
        "revision": captioner.revision,
        **vars(caption),
    }
    cost = Cost.of(captioner, spent, frames=frames, tokens=caption)
    return Done(unit, (Rows.of([row], FRAME_CAPTIONS),), cost=cost)
