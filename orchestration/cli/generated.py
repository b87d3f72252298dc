"""`internvid measure-generated` and `internvid generation-prompts`: how far generated videos are from real ones."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table as TextTable

from orchestration.cli.evaluate import EXAMPLES_SHOWN
from orchestration.cli.options import LakeOption, existing, settings_of
from orchestration.cli.output import console, notes

if TYPE_CHECKING:
    import torch

    from internvid.evaluation.published import Published
    from internvid.generation.metrics.measure import Measured, Meter
    from internvid.generation.metrics.videos import MeasuredVideo, Reading, ReadVideo
    from resources.lake.store import Lake

METRICS = ("fvd", "fid", "is", "clipsim", "viclip_frechet", "viclip_similarity", "classifier_frechet")
VERSION = "generated-1"


def measure_generated(
    generated: Annotated[
        str,
        typer.Argument(
            help="Folder of generated videos, with prompts.jsonl or prompts.csv (video, prompt); or the id of a "
            "generator of the lake, whose stored videos are measured."
        ),
    ],
    metrics: Annotated[
        str, typer.Option(help=f"Joined by commas: {', '.join(METRICS)}.")
    ] = "viclip_frechet,viclip_similarity,classifier_frechet",
    real: Annotated[str | None, typer.Option(help="Folder of real videos, or a subset of the lake.")] = None,
    benchmark: Annotated[
        str | None, typer.Option(help="ucf101 or msrvtt: --real is the folder of that benchmark, as for `evaluate`.")
    ] = None,
    inception: Annotated[Path | None, typer.Option(help="TorchScript file of Inception-v3, for fid and is.")] = None,
    i3d: Annotated[Path | None, typer.Option(help="TorchScript file, or plain weights, of I3D, for fvd.")] = None,
    clip: Annotated[str | None, typer.Option(help="Folder or hub id of a CLIP, for clipsim.")] = None,
    viclip: Annotated[str | None, typer.Option(help="A ViCLIP's id or folder; else the lake's active one.")] = None,
    frames: Annotated[int, typer.Option(min=1, help="Frames of each video.")] = 16,
    choice: Annotated[str, typer.Option(help="Frames of real videos: consecutive, or spread.")] = "consecutive",
    max_real: Annotated[int, typer.Option(min=2, help="Upper bound on real clips of a subset.")] = 10_000,
    checkpoint: Annotated[
        str | None, typer.Option(help="Id of the lake's model that generated them: figures become rows of evaluations.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="A JSON file for all figures.")] = None,
    lake: LakeOption = None,
) -> None:
    """Measure generated videos: distances to real ones, scores, and likeness to their prompts."""
    from internvid.generation.metrics.measure import measure
    from internvid.generation.metrics.videos import CHOICES, videos_in
    from resources.incremental.progress import progress
    from resources.lake.temporary_folders import temporary_folder
    from resources.training.evaluation_rows import checkpoint_named
    from resources.training.generated_videos import read_in_children, stored_videos

    if choice not in CHOICES:
        raise typer.BadParameter(f"frames are chosen as {' or '.join(CHOICES)}, not {choice!r}")
    settings = settings_of(lake)
    is_folder = Path(generated).is_dir()
    checkpoint = checkpoint if is_folder else checkpoint or generated

    def read(
        wanted: "Iterable[MeasuredVideo]", reading: "Reading"
    ) -> "Iterator[tuple[MeasuredVideo, ReadVideo | BaseException]]":
        return read_in_children(wanted, reading, workers=settings.workers)

    with temporary_folder() as stored:
        try:
            measured_by = None if checkpoint is None else checkpoint_named(existing(lake).lake, checkpoint)
            made = videos_in(Path(generated)) if is_folder else stored_videos(existing(lake).lake, generated, stored)
            videos, real_videos = list(made), list(_real(real, benchmark, lake, max_real))
            meters = meters_of(_named(metrics), inception=inception, i3d=i3d, clip=clip, viclip=viclip, lake=lake)
            if any(meter.needs_real for meter in meters) and not real_videos:
                raise ValueError("distances need real videos: name them by --real")
            with progress("reading videos", len(videos) + len(real_videos), notes.print) as advance:
                measured = measure(meters, videos, real_videos, read, frames=frames, choice=choice, on_videos=advance)
        except (ValueError, OSError) as error:
            raise typer.BadParameter(str(error)) from error
        known = _published(benchmark)
        _print(measured, Path(generated).name, known)
        if benchmark is not None and len(videos) != (expected := {"ucf101": 2_020, "msrvtt": 2_990}[benchmark]):
            console.print(f"note: the paper generates {expected:,} videos for {benchmark}, here are {len(videos):,}")
        if measured_by is not None:
            compared_with = benchmark or (Path(real).name if real else "prompts")
            store_figures(existing(lake).lake, measured_by.checkpoint_id, measured, videos, real_videos, compared_with)
    if out is not None:
        _write(out, measured, {"generated": generated, "real": real, "benchmark": benchmark}, known)


def generation_prompts(
    benchmark: Annotated[str, typer.Argument(help="ucf101: its classes, 20 times. msrvtt: a caption of each video.")],
    data: Annotated[Path, typer.Option(help="The folder with the benchmark's annotation file and videos.")],
    out: Annotated[Path, typer.Option(help="The file to write: lines of JSON, each a video's name and its prompt.")],
) -> None:
    """Write the prompts of the paper's evaluation of generated videos."""
    from internvid.generation.metrics.prompts import prompts_of
    from internvid.report.whole_file import whole_file

    try:
        prompts = prompts_of(benchmark, data)
    except (ValueError, OSError) as error:
        raise typer.BadParameter(str(error)) from error
    with whole_file(out) as file:
        for prompt in prompts:
            file.write(json.dumps(asdict(prompt), ensure_ascii=False) + "\n")
    console.print(f"{len(prompts):,} prompts in {out}", markup=False, soft_wrap=True)


def _named(metrics: str) -> list[str]:
    names = list(dict.fromkeys(name.strip() for name in metrics.split(",") if name.strip()))
    if unknown := [name for name in names if name not in METRICS]:
        raise ValueError(f"there is no metric {', '.join(unknown)}; there are {', '.join(METRICS)}")
    if not names:
        raise ValueError("name a metric")
    return names


def _real(real: str | None, benchmark: str | None, lake: str | None, limit: int) -> "Iterator[MeasuredVideo]":
    """Yields the real videos. Raises ValueError and FileNotFoundError for mistakes of the user."""
    from internvid.evaluation.benchmarks import read_benchmark
    from internvid.generation.metrics.prompts import BENCHMARKS
    from internvid.generation.metrics.videos import MeasuredVideo, videos_in
    from resources.training.generated_videos import clips_of_subset

    if benchmark is not None:
        if benchmark not in BENCHMARKS or real is None:
            raise ValueError(f"--benchmark is {' or '.join(BENCHMARKS)}, and --real is its folder")
        for item in read_benchmark(BENCHMARKS[benchmark], real).items:
            yield MeasuredVideo(item.video, item.path, None, item.start_seconds, item.end_seconds)
    elif real is not None and Path(real).is_dir():
        yield from videos_in(Path(real))
    elif real is not None:
        yield from clips_of_subset(existing(lake).lake, real, limit=limit)


def meters_of(
    names: Sequence[str],
    *,
    inception: Path | None,
    i3d: Path | None,
    clip: str | None,
    viclip: str | None,
    lake: str | None,
) -> "list[Meter]":
    """Returns a meter for each metric; each network is loaded once. Raises ValueError for one that is not named."""
    import torch

    from internvid.generation.metrics.features import ClassifierVectors, FrameSimilarities, VideoVectors
    from internvid.generation.metrics.measure import FrechetMeter, InceptionScoreMeter, SimilarityMeter
    from internvid.generation.metrics.networks import Inception, VideoFeatures
    from internvid.hub import HubModel
    from internvid.scores.clip_tower import ClipTower
    from internvid.viclip.device import device_named

    device: torch.device = device_named(settings_of(lake).device)
    loaded: dict[str, Any] = {}

    def network(name: str, load: Any) -> Any:
        if name not in loaded:
            loaded[name] = load()
        return loaded[name]

    meters: list[Meter] = []
    for name in names:
        match name:
            case "fvd":
                video = VideoFeatures(_required(i3d, "fvd", "--i3d"), device)
                meters.append(FrechetMeter("fvd", video.features, of="videos", preparation=f"I3D: {video.preparation}"))
            case "fid" | "is":
                path = _required(inception, name, "--inception")
                frame = network("inception", lambda path=path: Inception(path, device))
                how = f"Inception: {frame.preparation}"
                meters.append(
                    FrechetMeter("fid", frame.features, of="frames", preparation=how)
                    if name == "fid"
                    else InceptionScoreMeter(frame.probabilities, preparation=how)
                )
            case "clipsim":
                tower = FrameSimilarities(ClipTower(HubModel(_required(clip, "clipsim", "--clip")), device=device))
                meters.append(SimilarityMeter("clipsim", tower.similarities, preparation=tower.preparation))
            case "classifier_frechet":
                things = ClassifierVectors()
                meters.append(FrechetMeter(name, things.features, of="frames", preparation=things.preparation))
            case _:
                vectors: VideoVectors = network("viclip", lambda: VideoVectors(*_viclip(viclip, lake, device)))
                meters.append(
                    FrechetMeter(name, vectors.features, of="videos", preparation=vectors.preparation)
                    if name == "viclip_frechet"
                    else SimilarityMeter(name, vectors.similarities, preparation=vectors.preparation)
                )
    return meters


def _required(given: Any, metric: str, option: str) -> Any:
    if given is None:
        raise ValueError(f"{metric} needs weights that are not part of this package: name them by {option}")
    return given


def _viclip(named: str | None, lake: str | None, device: "torch.device") -> tuple[Any, str]:
    """Returns the encoder and its name. Raises ValueError where none is named and the lake has no active one."""
    from internvid.video_text.folders import load_encoder
    from orchestration.cli.models import folder_of

    if named is not None:
        return load_encoder(folder_of(named, lake), device), named
    session = existing(lake)
    aligner = session.resources["aligner"]
    active = aligner.active(session.lake)
    if active is None:
        raise ValueError("the lake has no active ViCLIP: name one by --viclip, or choose other metrics")
    return aligner.encoder(session.lake, active), active.checkpoint_id


def _published(benchmark: str | None) -> "dict[str, Published]":
    """Returns the paper's best figures of the benchmark by metric."""
    from internvid.evaluation.published import PAPERS_BEST_GENERATION, generation_benchmark, published

    if benchmark is None:
        return {}
    known = published(generation_benchmark(benchmark))
    return {figure.metric: figure for figure in known if figure.model == PAPERS_BEST_GENERATION}


def _print(measured: "Measured", title: str, known: "dict[str, Published]") -> None:
    columns = ["metric", "value", "unit", "generated", "real", *(["paper's best"] if known else []), "prepared"]
    table = TextTable(*columns, title=escape(title), title_justify="left")
    for figure in measured.figures:
        paper = [f"{known[figure.metric].value:g}" if figure.metric in known else "–"] if known else []
        real = "–" if figure.real_samples is None else f"{figure.real_samples:,} {figure.of}"
        value = f"{figure.value:.4f}" if abs(figure.value) < 10 else f"{figure.value:,.2f}"
        table.add_row(
            figure.metric,
            value,
            figure.unit,
            f"{figure.samples:,} {figure.of}",
            real,
            *paper,
            escape(figure.preparation),
        )
    console.print(table)
    for note in measured.notes:
        console.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
    for figure in measured.figures:
        if figure.warning is not None:
            console.print(f"warning: {figure.warning}", markup=False, highlight=False, soft_wrap=True)
    if measured.failed:
        console.print(f"{len(measured.failed):,} unreadable:", highlight=False)
        for name, error in measured.failed[:EXAMPLES_SHOWN]:
            console.print(f"  {name}: {error}", markup=False, highlight=False, soft_wrap=True)


def store_figures(
    lake: "Lake",
    checkpoint_id: str,
    measured: "Measured",
    generated: "Sequence[MeasuredVideo]",
    real: "Sequence[MeasuredVideo]",
    compared_with: str,
) -> None:
    """Writes a row of evaluations for each figure. compared_with: what the real videos are."""
    from internvid.evaluation.published import generation_benchmark
    from resources.incremental.provenance import digest
    from resources.training.evaluation_rows import EvaluationAbout, MetricRow, checkpoint_named, store_evaluation
    from resources.training.generated_videos import videos_digest

    known = _published(compared_with if compared_with in ("ucf101", "msrvtt") else None)
    counts = f"{measured.generated:,} generated, {measured.real:,} real"
    about = EvaluationAbout(
        benchmark=generation_benchmark(compared_with),
        split="",
        protocol=counts,
        named=len(generated),
        data_digest=digest(videos_digest(generated), videos_digest(real)),
        version=VERSION,
    )
    metrics = [
        MetricRow(
            figure.metric,
            figure.value,
            figure.unit,
            figure.samples,
            published=known[figure.metric].value if figure.metric in known else None,
            protocol="; ".join((counts, figure.preparation, *measured.notes)),
        )
        for figure in measured.figures
    ]
    store_evaluation(lake, checkpoint_named(lake, checkpoint_id), about, metrics)
    console.print(
        f"{len(measured.figures)} rows of evaluations for {checkpoint_id}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _write(path: Path, measured: "Measured", about: dict[str, Any], known: "dict[str, Published]") -> None:
    from internvid.report.whole_file import whole_file

    figures = [asdict(figure) | {"warning": figure.warning} for figure in measured.figures]
    content = about | asdict(measured) | {"figures": figures, "published": [asdict(each) for each in known.values()]}
    with whole_file(path) as file:
        json.dump(content, file, indent=2, ensure_ascii=False)
        file.write("\n")
    console.print(f"all figures in {path}", markup=False, soft_wrap=True)
