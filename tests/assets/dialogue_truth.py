"""What the renderer of a video knows, beside what a dialogue says about it."""

import re
from collections.abc import Iterator
from typing import Any

from internvid.dialogue.templates import _similar as named_alike
from internvid.synthetic.plans import VideoPlan
from internvid.synthetic.truth import ShotTruth, Truth

SPAN = r"([\d.]+) to ([\d.]+) s"
MOVES = {"turns": "pan", "tilts": "tilt", "zooms": "zoom"}
COLOURS = "red|orange|yellow|green|blue|purple|pink|turquoise|brown|beige|grey|white|black"
TOLERANCE_SECONDS = 0.15  # a span is written with one decimal


class KnownVideo:
    """A rendered video: its plan and its truth, with times from the first frame."""

    def __init__(self, plan: VideoPlan, truth: Truth) -> None:
        self.plan, self.truth = plan, truth

    def contradictions(self, turn: dict[str, Any]) -> Iterator[str]:
        """Yields what the answer says and the truth does not bear out. Raises KeyError for an unknown kind of turn."""
        judge = {
            "description": self._of_spans,
            "detail": self._of_detail,
            "order": self._of_order,
            "after": self._of_after,
            "length": self._of_length,
            "camera": self._of_camera,
            "motion": self._of_motion,
            "presence": self._of_presence,
        }[turn["kind"]]
        for what in judge(turn["question"], turn["answer"]):
            yield f"{self.plan.name}: {turn['question']} {turn['answer']}: {what}"

    # --- what stands in the answers -------------------------------------------------------------------------------

    def _of_spans(self, question: str, answer: str) -> Iterator[str]:
        parts = re.split(rf"From {SPAN}: ", answer)[1:]
        assert parts
        for start, end, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
            yield from self._clauses(text, self._shots(start, end))

    def _of_detail(self, question: str, answer: str) -> Iterator[str]:
        thing, start, end = re.fullmatch(rf"Where in the picture is the (.+) from {SPAN}\?", question).groups()
        yield from self._clauses(f"There is a {thing} in the picture.", self._shots(start, end))

    def _of_order(self, question: str, answer: str) -> Iterator[str]:
        first, start, end, second, begins = re.fullmatch(
            rf"The part in which (.+), from {SPAN}\. The part in which (.+) begins at ([\d.]+) s\.", answer
        ).groups()
        assert f"the part in which {first}" in question
        assert f"the part in which {second}" in question
        shots, later = self._shots(start, end), self._shots(begins, str(float(begins) + 1))
        yield from self._clauses(f"{first}.", shots)
        yield from self._clauses(f"{second}.", later)
        if any(not [*self._clauses(f"{second}.", [shot])] for shot in self._shots("0", start) if shot not in shots):
            yield f"{second!r} is true before"

    def _of_after(self, question: str, answer: str) -> Iterator[str]:
        yield from self._of_spans(question, answer)
        start = float(re.match(rf"From {SPAN}", answer)[1])
        if label := re.search(r"the part in which (.+)\?", question):
            yield from self._clauses(f"{label[1]}.", self._shots(str(start - 1), str(start)))
        else:
            end = float(re.search(SPAN, question)[2])
            if abs(end - start) > TOLERANCE_SECONDS:
                yield "it does not follow"

    def _of_length(self, question: str, answer: str) -> Iterator[str]:
        start = float(re.search(r"from ([\d.]+) s", question)[1])
        seconds, end = map(float, re.fullmatch(r"([\d.]+) seconds: the next cut is at ([\d.]+) s\.", answer).groups())
        cuts = [0.0, *(self._seconds(frame) for frame in self.truth.cuts)]
        later = [cut for cut in cuts if cut > start + TOLERANCE_SECONDS]
        if min(abs(cut - start) for cut in cuts) > TOLERANCE_SECONDS:
            yield "no cut where it begins"
        if abs(later[0] - end) > TOLERANCE_SECONDS or abs(end - start - seconds) > TOLERANCE_SECONDS:
            yield f"the next cut is at {later[0]}"

    def _of_camera(self, question: str, answer: str) -> Iterator[str]:
        yield from self._clauses(answer.replace("It ", "The camera "), self._shots(*re.search(SPAN, question).groups()))

    def _of_motion(self, question: str, answer: str) -> Iterator[str]:
        yield from self._clauses(f"Something moves {answer.lower()}", self._shots(*re.search(SPAN, question).groups()))

    def _of_presence(self, question: str, answer: str) -> Iterator[str]:
        span = re.search(SPAN.replace(" to ", " (?:to|and) "), answer)
        shots = self._shots(*span.groups()) if span else self._shots("0", "1e9")
        if "black" in question:
            is_faded = bool(self.plan.fade_in or self.plan.fade_out or any(s.join == "fade" for s in self.plan.shots))
            if is_faded != answer.startswith("Yes"):
                yield "a fade makes it black, and nothing else"
            return
        if colour := re.fullmatch(r"Is the picture mostly (\w+) at any time\?", question):
            clause = f"The picture is mostly {colour[1]}."
            is_so = [shot.background_colour == colour[1] for shot in shots]
        else:
            words = re.fullmatch(r"Is there a part in which the camera (.+)\?", question)[1]
            clause = f"The camera {words}."
            is_so = [not [*self._clauses(clause, [shot])] for shot in shots]
        if answer.startswith("Yes"):
            yield from self._clauses(clause, shots)
        elif any(is_so):
            yield "it is so"

    # --- what the truth says of it --------------------------------------------------------------------------------

    def _clauses(self, text: str, shots: list[ShotTruth]) -> Iterator[str]:
        """Yields the clauses of sentences that are true of none of the shots. An unknown clause fails the test."""
        assert shots
        for sentence in re.split(r"(?<=[^\d])\.(?: |$)", text):
            if not sentence:
                continue
            for clause in re.split(r" and (?=there|one|the camera|something)|, and ", sentence.lower()):
                if not any(self._holds(clause, shot) for shot in shots):
                    yield f"{clause!r} of {[(shot.background, shot.background_colour, shot.camera) for shot in shots]}"

    def _holds(self, clause: str, shot: ShotTruth) -> bool:
        colours = {shot.background_colour, *(thing.colour for thing in shot.objects)}
        colours |= {"white"} if shot.background == "slide" else set()  # the colour is that of its band
        if match := re.fullmatch(r"the camera (.+)", clause):
            if match[1] == "stays still":
                return shot.camera == "static"
            words = re.findall(r"(turns|tilts|zooms) (\w+)", match[1])
            assert words, clause
            return shot.camera in [f"{MOVES[verb]} {way}" for verb, way in words]
        if match := re.fullmatch(r"something moves (?:to the )?(\w+)\.?", clause):
            return any(thing.direction == match[1] for thing in shot.objects)
        if match := re.fullmatch(r"there is an? (round|square) (\w+) region in the picture", clause):
            shapes = {"round": ("circle", "balloon"), "square": ("square",)}[match[1]]
            return any(thing.shape in shapes and thing.colour in named_alike(match[2]) for thing in shot.objects)
        if "turned to the camera" in clause:
            return any(thing.shape == "person" for thing in shot.objects)
        if clause == "there is text in the picture":
            return shot.has_text
        named = re.findall(COLOURS, clause)
        assert re.match(r"the picture is|at [\d.]+ s it is", clause), clause
        # What is drawn besides, sky and furniture, the truth does not name.
        return not named or any(colours & named_alike(colour) for colour in named)

    def _shots(self, start: str, end: str) -> list[ShotTruth]:
        first = self.truth.shots[0].start_seconds
        return [
            shot
            for shot in self.truth.shots
            if shot.start_seconds - first < float(end) - 0.3 and shot.end_seconds - first > float(start) + 0.3
        ]

    def _seconds(self, frame: int) -> float:
        first = self.truth.shots[0].start_seconds
        return next(shot.start_seconds for shot in self.truth.shots if shot.start_frame == frame) - first
