"""What a search asks for, as the address of its page says it: every view of the results can be shared."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlencode

from resources.explorer.clip_index import Filters, Range, WrongFilter

MAX_TEXT = 1_000  # characters that are searched for
MAX_PAGE = 10_000
SORTS = ("best", "order", "newest", "longest", "shortest", "most-motion", "least-motion")
_ID = re.compile(r"[0-9A-Za-z_.-]{1,200}")
_BOUNDS = ("min", "max")


@dataclass(frozen=True)
class SearchState:
    """text, like (a clip_id), picture (its name): at most one of them ranks the clips. sort: a name of SORTS, or
    highest- or lowest- and the name of a score.
    """

    text: str = ""
    like: str | None = None
    picture: str | None = None
    filters: Filters = field(default_factory=Filters)
    sort: str = "best"
    page: int = 1

    @property
    def is_ranked(self) -> bool:
        return bool(self.text or self.like or self.picture)

    @property
    def is_filtered(self) -> bool:
        return bool(self.filters.words or self.filters.ranges or self.filters.video)

    def address(self) -> str:
        """Returns the page's address, from the root on; `parsed` reads it."""
        query = urlencode(list(self.parameters()))
        return f"/?{query}" if query else "/"

    def parameters(self) -> Iterable[tuple[str, str]]:
        """Yields names and values of the address. Pages of the same search have the same parameters."""
        given = {"q": self.text, "like": self.like, "picture": self.picture, "video": self.filters.video}
        yield from ((name, value) for name, value in given.items() if value)
        for name, values in self.filters.words.items():
            yield from ((name, value) for value in values)
        for name, bounds in self.filters.ranges.items():
            for bound, value in zip(_BOUNDS, bounds, strict=True):
                if value is not None:
                    yield f"{bound}.{name}", f"{value:.6g}"
        if self.sort != "best":
            yield "sort", self.sort
        if self.page > 1:
            yield "page", str(self.page)

    def at_page(self, page: int) -> SearchState:
        return replace(self, page=page)

    def without_example(self) -> SearchState:
        return replace(self, like=None, picture=None, page=1)

    def without_text(self) -> SearchState:
        return replace(self, text="", page=1)

    def without_filters(self) -> SearchState:
        return replace(self, filters=Filters(), page=1)

    def without_video(self) -> SearchState:
        return replace(self, filters=replace(self.filters, video=None), page=1)

    def without_value(self, name: str, value: str) -> SearchState:
        left = {facet: tuple(v for v in values if (facet, v) != (name, value)) for facet, values in self._words()}
        words = {facet: values for facet, values in left.items() if values}
        return replace(self, filters=replace(self.filters, words=words), page=1)

    def without_range(self, name: str) -> SearchState:
        ranges = {measure: bounds for measure, bounds in self.filters.ranges.items() if measure != name}
        return replace(self, filters=replace(self.filters, ranges=ranges), page=1)

    def _words(self) -> Iterable[tuple[str, Sequence[str]]]:
        return self.filters.words.items()


def parsed(query: Iterable[tuple[str, str]], facets: Sequence[str], measures: Mapping[str, str]) -> SearchState:
    """Reads the parameters of an address. Raises WrongFilter for a name or value that cannot be.

    facets, measures: names that the lake has.
    """
    given: dict[str, list[str]] = {}
    for name, value in query:
        if value != "":
            given.setdefault(name, []).append(value)
    single = {name: _only(given, name) for name in ("q", "like", "picture", "video", "sort", "page")}
    words: dict[str, Sequence[str]] = {}
    ranges: dict[str, Range] = {}
    for name, values in given.items():
        bound, dot, measure = name.partition(".")
        if name in single:
            continue
        if name in facets:
            words[name] = tuple(dict.fromkeys(values))
        elif dot and bound in _BOUNDS and measure in measures:
            lowest, highest = ranges.get(measure, (None, None))
            number = _number(name, _only(given, name) or "")
            ranges[measure] = (number, highest) if bound == "min" else (lowest, number)
        else:
            raise WrongFilter(f"clips are not filtered by {name[:80]!r}")
    for name in ("like", "picture", "video"):
        if single[name] is not None and not _ID.fullmatch(single[name] or ""):
            raise WrongFilter(f"{name} must be an id")
    text = " ".join((single["q"] or "").split())
    if len(text) > MAX_TEXT:
        raise WrongFilter(f"at most {MAX_TEXT:,} characters are searched for")
    example = single["like"] or single["picture"]
    return SearchState(
        text="" if example else text,
        like=single["like"],
        picture=None if single["like"] else single["picture"],
        filters=Filters(words, ranges, single["video"]),
        sort=_sort(single["sort"], measures),
        page=_page(single["page"]),
    )


def sorted_by(sort: str) -> tuple[str | None, bool]:
    """Returns the measure and whether the highest comes first. Measure None: the order of the lake, or its reverse."""
    direction, _, score = sort.partition("-")
    if direction in ("highest", "lowest"):
        return f"score.{score}", direction == "highest"
    measures = {"longest": "seconds", "shortest": "seconds", "most-motion": "motion", "least-motion": "motion"}
    return measures.get(sort), sort in ("newest", "longest", "most-motion")


def _only(given: Mapping[str, list[str]], name: str) -> str | None:
    values = given.get(name, [])
    if len(values) > 1:
        raise WrongFilter(f"{name[:80]!r} is there more than once")
    return values[0] if values else None


def _number(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise WrongFilter(f"{name} must be a number, not {text[:80]!r}") from None
    if not math.isfinite(number):
        raise WrongFilter(f"{name} must be a number, not {text[:80]!r}")
    return number


def _sort(text: str | None, measures: Mapping[str, str]) -> str:
    sort = text or "best"
    direction, _, score = sort.partition("-")
    if sort in SORTS or (direction in ("highest", "lowest") and f"score.{score}" in measures):
        return sort
    raise WrongFilter(f"clips are not sorted by {sort[:80]!r}")


def _page(text: str | None) -> int:
    if text is None:
        return 1
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MAX_PAGE):
        raise WrongFilter(f"page must be a number from 1 to {MAX_PAGE:,}, not {text[:80]!r}")
    return int(text)
