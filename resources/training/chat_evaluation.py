"""Evaluates a chat of the lake on a benchmark of questions: asks, has answers judged, and computes metrics.

Every answer, and every reply of the judge, is a row of `chat_answers`. What is there with the same provenance is not
asked again, so an interrupted evaluation goes on, and another judge asks no question of the chat.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from internvid.dialogue.judging import (
    ASPECTS,
    MAX_SCORE,
    VIDEO_CHATGPT,
    Asked,
    UnreadableVerdict,
    judge_prompt,
    read_verdict,
)
from internvid.dialogue.judging import VERSION as JUDGED
from internvid.evaluation.answers import guessing_share, is_exact
from internvid.evaluation.benchmarks import Benchmark, Item
from internvid.evaluation.published import PAPERS_BEST_CHAT, published
from internvid.evaluation.published import VIDEO_CHATGPT as VIDEO_CHATGPT_NAME
from resources.incremental.provenance import digest
from resources.lake.schema import CHAT_ANSWERS
from resources.lake.temporary_folders import temporary_folder
from resources.media.child_process import ordered
from resources.media.confinement import Confinement
from resources.training.benchmarks import MEMORY_BYTES, SECONDS_PER_VIDEO, content_digest
from resources.training.evaluation_rows import EvaluatedCheckpoint, EvaluationAbout, MetricRow, store_evaluation

if TYPE_CHECKING:
    from internvid.dialogue.viewing import Viewed
    from resources.lake.store import Lake
    from resources.models.chat import Chat
    from resources.models.judge import Judge

ROWS_PER_COMMIT = 64  # an interruption loses at most these
DESCRIBED = "What does the video show?"  # what is asked where a benchmark has texts to choose from, and no question


@dataclass(frozen=True)
class ChatEvaluation:
    """metrics: of the questions that were answered. failed: videos or questions with their errors. named: questions of
    the benchmark, with those whose video is missing. judge: what judged, and how; None: nothing.
    """

    metrics: tuple[MetricRow, ...]
    answered: int
    named: int
    missing: tuple[str, ...]
    failed: tuple[tuple[str, str], ...]
    protocol: str
    judge: str | None


@dataclass(frozen=True)
class _Numbered:
    """A question with its number in the benchmark, and the provenance of its answer."""

    number: int
    item: Item
    provenance: str

    @property
    def question(self) -> str:
        return self.item.question or DESCRIBED


class ChatQuestions:
    """The questions of a benchmark for one chat. clips: equal parts that a video is shown as."""

    def __init__(
        self,
        lake: Lake,
        chat: Chat,
        checkpoint: EvaluatedCheckpoint,
        benchmark: Benchmark,
        judge: Judge,
        *,
        clips: int,
        max_new_tokens: int,
        limit: int | None = None,
    ) -> None:
        """limit: upper bound on questions, the first ones; for a trial. Raises ValueError for a benchmark that asks
        nothing.
        """
        from internvid.dialogue.asking import VERSION

        if benchmark.task not in ("choice", "answer"):
            raise ValueError(f"{benchmark.title} asks nothing of a chat")
        self.lake, self.chat, self.checkpoint, self.benchmark, self.judge = lake, chat, checkpoint, benchmark, judge
        self.clips, self.max_new_tokens, self.version = clips, max_new_tokens, VERSION
        frames = chat.checkpoint.recipe.frames
        self.frames = clips * frames
        self.protocol = f"{clips} clips of {frames} frames, {max_new_tokens} new tokens"
        self.limit = limit
        how = (checkpoint.weights_digest, self.protocol, VERSION)
        self.questions = [
            _Numbered(
                number, item, digest(how, [item.video, item.question, item.other_question, item.texts, item.label])
            )
            for number, item in enumerate(benchmark.items[:limit])
        ]

    def evaluate(self, *, workers: int, on_questions: Callable[[int], object] = lambda number: None) -> ChatEvaluation:
        """Asks, judges, and writes the metrics into `evaluations`.

        on_questions: called with the number of questions that were answered since the last call.
        """
        failed = list(self._ask(workers, on_questions))
        if self.judge.is_enabled and self.benchmark.task == "answer":
            self._judge()
        metrics, answered = self._metrics()
        judge = self.judge.version if self.judge.is_enabled and self.benchmark.task == "answer" else None
        beside = (f"judge {judge}" if judge else "", f"first {self.limit}" if self.limit else "")
        about = EvaluationAbout(
            benchmark=self.benchmark.name,
            split=self.benchmark.split,
            protocol="; ".join(filter(None, (self.protocol, *beside))),
            named=self.benchmark.named,
            data_digest=digest(content_digest(self.benchmark), [asked.item.question for asked in self.questions]),
            version=f"{self.version}+{JUDGED}" if judge else self.version,
        )
        if metrics:
            store_evaluation(self.lake, self.checkpoint, about, metrics)
        return ChatEvaluation(
            tuple(metrics), answered, self.benchmark.named, self.benchmark.missing, tuple(failed), about.protocol, judge
        )

    # --- answers ----------------------------------------------------------------------------------------------------

    def _key(self, asked: _Numbered, aspect: str = "") -> str:
        return f"{self.checkpoint.checkpoint_id}/{self.benchmark.name}/{asked.number}/{aspect}"

    def _ask(self, workers: int, on_questions: Callable[[int], object]) -> Iterator[tuple[str, str]]:
        """Asks what was not asked yet. Yields videos that cannot be read, and questions that do not fit."""
        from internvid.dialogue.asking import AskedVideo

        pending = list(self._unanswered())
        on_questions(len(self.questions) - len(pending))
        by_video: dict[tuple[str, float | None, float | None], list[_Numbered]] = defaultdict(list)
        for asked in pending:
            by_video[str(asked.item.path), asked.item.start_seconds, asked.item.end_seconds].append(asked)
        rows: list[dict[str, Any]] = []
        for about, outcome in self._read(by_video, workers):
            on_questions(len(about))
            if isinstance(outcome, BaseException):
                yield about[0].item.video, f"{type(outcome).__name__}: {outcome}"
                continue
            video = AskedVideo(self.chat.checkpoint, outcome, clips=self.clips, max_new_tokens=self.max_new_tokens)
            for asked in about:
                try:
                    rows.append(self._answered(video, asked))
                except ValueError as error:
                    yield f"{asked.item.video}: {asked.question}", str(error)
            if len(rows) >= ROWS_PER_COMMIT:
                self._store(rows)
                rows = []
        self._store(rows)

    def _read(
        self, by_video: dict[tuple[str, float | None, float | None], list[_Numbered]], workers: int
    ) -> Iterator[tuple[list[_Numbered], Viewed | BaseException]]:
        """Yields the questions about each video with its frames. Files are decoded in child processes with limits."""
        from internvid.dialogue.viewing import read_viewed

        with temporary_folder() as folder:
            confinement = Confinement(str(folder))
            for where, outcome in ordered(
                read_viewed,
                by_video,
                arguments=lambda where: (*where, self.frames),
                seconds=lambda where: SECONDS_PER_VIDEO,
                workers=workers,
                memory_bytes=MEMORY_BYTES,
                confinement=lambda where: confinement,
            ):
                yield by_video[where], outcome

    def _answered(self, video: Any, asked: _Numbered) -> dict[str, Any]:
        item = asked.item
        row = self._row(asked) | {"provenance": asked.provenance, "version": self.version, "aspect": ""}
        if self.benchmark.task == "choice":
            chosen = video.choose(asked.question, item.texts)
            return row | {"answer": item.texts[chosen], "is_right": chosen == item.label}
        questions = [asked.question, *filter(None, [item.other_question])]
        answers = [answer.text for answer in video.answer(questions)]
        second = answers[1] if len(answers) > 1 else ""
        return row | {"answer": answers[0], "other_answer": second, "is_right": is_exact(answers[0], item.texts[0])}

    def _row(self, asked: _Numbered) -> dict[str, Any]:
        """Returns the columns that tell the question."""
        item = asked.item
        is_choice = self.benchmark.task == "choice"
        return {
            "answer_id": self._key(asked),
            "checkpoint_id": self.checkpoint.checkpoint_id,
            "benchmark": self.benchmark.name,
            "video": item.video,
            "kind": item.kind,
            "question": asked.question,
            "other_question": item.other_question,
            "options": list(item.texts) if is_choice else None,
            "expected": item.texts[item.label or 0] if is_choice else item.texts[0],
            "other_answer": "",
        }

    def _unanswered(self) -> Iterator[_Numbered]:
        for chunk in _chunks(self.questions):
            known = self._known(chunk, "", ["provenance"])
            yield from (
                asked for asked in chunk if known.get(self._key(asked), {}).get("provenance") != asked.provenance
            )

    def _known(self, chunk: Sequence[_Numbered], aspect: str, columns: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Returns the stored rows of these questions by their keys."""
        keys = [self._key(asked, aspect) for asked in chunk]
        rows = self.lake.known(CHAT_ANSWERS.name, keys, list(columns)).to_pylist()
        return {row["answer_id"]: row for row in rows}

    def _store(self, rows: Sequence[dict[str, Any]]) -> None:
        if rows:
            written_at = {"written_at": datetime.now(UTC)}
            whole = [{name: None for name in CHAT_ANSWERS.column_names} | row | written_at for row in rows]
            self.lake.upsert(CHAT_ANSWERS.name, pa.Table.from_pylist(whole, schema=CHAT_ANSWERS.arrow))

    # --- the judge --------------------------------------------------------------------------------------------------

    def _aspects(self, asked: _Numbered) -> tuple[str, ...]:
        return VIDEO_CHATGPT[asked.item.kind] if self.benchmark.name == VIDEO_CHATGPT_NAME else ("answer",)

    def _judge(self) -> None:
        """Has answers judged that were not judged yet, by this judge. Raises ModelUnavailable or ServerUnreachable."""
        self.judge.prepare()
        for aspect in ASPECTS:
            of_aspect = [asked for asked in self.questions if aspect in self._aspects(asked)]
            for chunk in _chunks(of_aspect):
                self._judge_chunk(aspect, chunk)

    def _judge_chunk(self, aspect: str, chunk: Sequence[_Numbered]) -> None:
        answers = self._known(chunk, "", ["provenance", "answer", "other_answer"])
        known = self._known(chunk, aspect, ["provenance", "score"])
        pending: list[tuple[_Numbered, dict[str, Any], str, str]] = []
        for asked in chunk:
            answer = answers.get(self._key(asked))
            if answer is None or answer["provenance"] != asked.provenance:
                continue
            provenance = digest(asked.provenance, answer["answer"], answer["other_answer"], aspect, self.judge.version)
            judged = known.get(self._key(asked, aspect))
            if judged is None or judged["provenance"] != provenance or judged["score"] is None:
                about = Asked(
                    asked.question,
                    asked.item.texts[0],
                    answer["answer"],
                    asked.item.other_question,
                    answer["other_answer"],
                )
                pending.append((asked, answer, provenance, judge_prompt(aspect, about)))
        replies = self.judge.reply([prompt for *_, prompt in pending]) if pending else []
        rows = []
        for (asked, answer, provenance, prompt), reply in zip(pending, replies, strict=True):
            row = self._row(asked) | {
                "answer_id": self._key(asked, aspect),
                "answer": answer["answer"],
                "other_answer": answer["other_answer"],
                "aspect": aspect,
                "judge": self.judge.model,
                "judge_revision": self.judge.revision,
                "judge_version": self.judge.version,
                "prompt": prompt,
                "provenance": provenance,
                "version": JUDGED,
            }
            if isinstance(reply, Exception):
                rows.append(row | {"reply": f"{type(reply).__name__}: {reply}"})
                continue
            row["reply"] = reply.text
            try:
                verdict = read_verdict(aspect, reply.text)
            except UnreadableVerdict:
                rows.append(row)
                continue
            rows.append(row | {"score": verdict.score, "is_right": verdict.is_right})
        self._store(rows)

    # --- metrics ----------------------------------------------------------------------------------------------------

    def _metrics(self) -> tuple[list[MetricRow], int]:
        """Returns the metrics, and the number of questions that were answered."""
        right, chance = _Means(), _Means()
        expected: list[str] = []
        for chunk in _chunks(self.questions):
            known = self._known(chunk, "", ["provenance", "is_right"])
            for asked in chunk:
                row = known.get(self._key(asked))
                if row is None or row["provenance"] != asked.provenance:
                    continue
                kinds = ["", asked.item.kind] if self.benchmark.task == "choice" and asked.item.kind else [""]
                for kind in kinds:
                    right.add(kind, 100.0 * row["is_right"])
                    if self.benchmark.task == "choice":
                        chance.add(kind, 100.0 / len(asked.item.texts))
                expected.append(asked.item.texts[0])
        if not expected:
            return [], 0
        if self.benchmark.task == "choice":
            metrics = [
                MetricRow(f"top_1{'_' * bool(kind)}{kind}", right.mean(kind), "%", right.count(kind), chance.mean(kind))
                for kind in right.kinds
            ]
            return metrics, len(expected)
        frequent = 100 * guessing_share(expected)
        metrics = [MetricRow("exact_match", right.mean(""), "%", right.count(""), frequent)]
        return metrics + (self._judged_metrics() if self.judge.is_enabled else []), len(expected)

    def _judged_metrics(self) -> list[MetricRow]:
        scores, right = _Means(), _Means()
        for aspect in ASPECTS:
            for chunk in _chunks([asked for asked in self.questions if aspect in self._aspects(asked)]):
                known = self._known(chunk, aspect, ["score", "is_right", "judge_version"])
                for row in known.values():
                    if row["score"] is not None and row["judge_version"] == self.judge.version:
                        scores.add(aspect, row["score"])
                        if row["is_right"] is not None:
                            right.add(aspect, 100.0 * row["is_right"])
        papers = {
            figure.metric: figure.value for figure in published(self.benchmark.name) if figure.model == PAPERS_BEST_CHAT
        }
        unit = f"of {MAX_SCORE}"
        if self.benchmark.name != VIDEO_CHATGPT_NAME:
            return [
                *(MetricRow("judged_right", right.mean(kind), "%", right.count(kind)) for kind in right.kinds),
                *(MetricRow("judged_score", scores.mean(kind), unit, scores.count(kind)) for kind in scores.kinds),
            ]
        metrics = [
            MetricRow(aspect, scores.mean(aspect), unit, scores.count(aspect), published=papers.get(aspect))
            for aspect in scores.kinds
        ]
        if len(metrics) == sum(map(len, VIDEO_CHATGPT.values())):  # the mean of some aspects is none of all
            mean = sum(metric.value for metric in metrics) / len(metrics)
            items = min(metric.items for metric in metrics)
            metrics.append(MetricRow("mean", mean, unit, items, published=papers.get("mean")))
        return metrics


class _Means:
    """Running means by kind, in the order in which kinds appear."""

    def __init__(self) -> None:
        self._sums: dict[str, list[float]] = {}

    def add(self, kind: str, value: float) -> None:
        total = self._sums.setdefault(kind, [0.0, 0])
        total[0] += value
        total[1] += 1

    @property
    def kinds(self) -> list[str]:
        return list(self._sums)

    def count(self, kind: str) -> int:
        return int(self._sums[kind][1])

    def mean(self, kind: str) -> float:
        total, count = self._sums[kind]
        return total / count


def _asked(item: Item) -> list[Any]:
    """Returns what decides an answer beside the chat."""
    span = (item.start_seconds, item.end_seconds)
    return [item.video, span, item.question, item.other_question, item.texts, item.label]


def _chunks(questions: Iterable[_Numbered]) -> Iterator[list[_Numbered]]:
    left = iter(questions)
    while chunk := list(islice(left, ROWS_PER_COMMIT)):
        yield chunk
