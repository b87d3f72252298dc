"""Into English by a language model, in whichever of three ways the model is told which language it reads.

Models that translate were trained on sentences, so they get one sentence at a time; a model that follows instructions
gets as much of the text as it can read. What is too long is split, and its parts' translations are joined.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from internvid.text.generated import Generated
from internvid.text.languages import NAMES, NLLB_CODES
from internvid.text.splitting import sentences, text_in_parts

if TYPE_CHECKING:
    from internvid.text.language_model import LanguageModel

TEXT, LANGUAGE = "{text}", "{language}"  # where a template takes them
VERSION = "1"  # of how texts are split and joined: count it up with any change


class UnknownLanguage(Exception):
    """The model does not know the language; the text says which it knows."""


class _Way(ABC):
    """How a model is told what to translate."""

    by_sentence = True
    first_token: int | None = None  # what English begins with, for models that are told so

    def __init__(self, model: LanguageModel) -> None:
        self.model = model

    @abstractmethod
    def tokens(self, text: str, language: str) -> list[int]:
        """What the model reads. language: ISO 639-1 code. Raises UnknownLanguage."""


class _FromOneLanguage(_Way):
    """Marian and the like: the weights are of one language, or of a group that they tell apart themselves."""

    def __init__(self, model: LanguageModel, languages: Sequence[str]) -> None:
        super().__init__(model)
        self.languages = languages

    def tokens(self, text: str, language: str) -> list[int]:
        if language not in self.languages:
            raise UnknownLanguage(f"the model translates from {', '.join(self.languages)}, not from {language}")
        return self.model.tokens(text)


class _FromCode(_Way):
    """NLLB and M2M100: a token names the language that is read, another the one that is to be written."""

    def __init__(self, model: LanguageModel, codes: dict[str, str], english: int) -> None:
        """codes: of the tokeniser, by ISO 639-1. english: the token."""
        super().__init__(model)
        self.codes, self.first_token = codes, english

    def tokens(self, text: str, language: str) -> list[int]:
        if language not in self.codes:
            raise UnknownLanguage(f"the model does not translate from {NAMES.get(language, language)}")
        code = self.codes[language]
        if self.model.tokenizer.src_lang != code:
            self.model.tokenizer.src_lang = code
        return self.model.tokens(text)


class _ByTemplate(_Way):
    """A model that follows instructions."""

    by_sentence = False

    def __init__(self, model: LanguageModel, template: str) -> None:
        super().__init__(model)
        self.template = template

    def tokens(self, text: str, language: str) -> list[int]:
        if LANGUAGE in self.template and language not in NAMES:
            raise UnknownLanguage(f"nobody knows what language {language!r} is")
        told = self.template.replace(LANGUAGE, NAMES.get(language, language))
        return self.model.tokens(told.replace(TEXT, text))


class WritingTranslator:
    """template: what a model that follows instructions is told, with {text} and, if it is to be told, {language} in it;
    None for a model that was trained to translate. languages: ISO 639-1 codes of what a model without codes for
    languages reads; where they are empty, as its tokeniser or its name says.
    """

    def __init__(
        self, model: LanguageModel, *, name: str, template: str | None = None, languages: Sequence[str] = ()
    ) -> None:
        """name: of the model. Raises ValueError where it cannot be told which language the model reads or writes."""
        self.model = model
        self.way = _way(model, name, template, languages)
        # English may take more tokens than what it says in another language, and has to come to its end.
        self.room = min(model.room, model.max_new_tokens // 2) if self.way.by_sentence else model.room

    def translate(self, texts: Sequence[tuple[str, str]]) -> list[Generated | Exception]:
        """English of each (text, ISO 639-1 code), in order; `UnknownLanguage` or another error for one without."""
        parts: list[list[str] | Exception] = []
        prompts = []
        for text, language in texts:
            try:
                of_text = self._parts(text, language)
                prompts += [self.way.tokens(part, language) for part in of_text if _has_words(part)]
            except (UnknownLanguage, ValueError) as error:
                parts.append(error)
            else:
                parts.append(of_text)
        written = iter(self.model.write(prompts, first_token=self.way.first_token))
        answers: list[Generated | Exception] = []
        for of_text_or_error in parts:
            if isinstance(of_text_or_error, Exception):
                answers.append(of_text_or_error)
                continue
            # What has no words, as "♪♪", is English already.
            answers.append(
                _joined([next(written) if _has_words(part) else Generated(part) for part in of_text_or_error])
            )
        return answers

    def _parts(self, text: str, language: str) -> list[str]:
        def fits(part: str) -> bool:
            return len(self.way.tokens(part, language)) <= self.room

        if not self.way.by_sentence:
            return text_in_parts(text, fits, language)
        of_text = [sentence.strip() for sentence in sentences(text, language)]
        return [part for sentence in of_text if sentence for part in text_in_parts(sentence, fits, language)]


def _way(model: LanguageModel, name: str, template: str | None, languages: Sequence[str]) -> _Way:
    if template is not None:
        return _ByTemplate(model, template)
    vocabulary = model.tokenizer.get_vocab()
    if "eng_Latn" in vocabulary:
        codes = {code: nllb for code, nllb in NLLB_CODES.items() if nllb in vocabulary}
        return _FromCode(model, codes, vocabulary["eng_Latn"])
    of_m2m100 = getattr(model.tokenizer, "lang_code_to_id", {})
    if "en" in of_m2m100:
        return _FromCode(model, {code: code for code in NAMES if code in of_m2m100}, of_m2m100["en"])
    if model.is_causal:
        raise ValueError(f"{name} follows instructions: it needs a template with {TEXT} in it")
    return _FromOneLanguage(model, languages or _languages_of_pair(model, name))


def _languages_of_pair(model: LanguageModel, name: str) -> list[str]:
    """The language that a model of one pair reads, by its tokeniser or its name: opus-mt-de-en."""
    named = re.search(r"opus-mt-(?:tc-(?:big|base)-)?(\w+)[-_](\w+)$", name)
    source = getattr(model.tokenizer, "source_lang", None) or (named and named[1])
    target = getattr(model.tokenizer, "target_lang", None) or (named and named[2])
    if target is not None and target not in ("en", "eng"):
        raise ValueError(f"{name} translates into {target}, not into English")
    if source not in NAMES:
        raise ValueError(f"which language {name} reads cannot be told: set languages, as ISO 639-1 codes")
    return [source]


def _has_words(text: str) -> bool:
    return any(character.isalnum() for character in text)


def _joined(parts: Sequence[Generated | Exception]) -> Generated | Exception:
    """The parts of a text as one; the error of one that has one."""
    if errors := [part for part in parts if isinstance(part, Exception)]:
        return errors[0]
    written = [part for part in parts if isinstance(part, Generated)]
    return Generated(
        " ".join(part.text for part in written),
        "truncated" if any(part.status == "truncated" for part in written) else "success",
        sum(part.prompt_tokens or 0 for part in written),
        sum(part.output_tokens or 0 for part in written),
    )
