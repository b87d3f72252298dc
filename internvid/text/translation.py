"""Translates texts into English with a language model, which learns the source language in one of three ways.

Translation models were trained on sentences, so they get one sentence at a time; a model that follows instructions
gets as much of the text as it can read. Longer texts are split, and the translations of the parts are joined.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from internvid.text.generated import Generated
from internvid.text.languages import NAMES, NLLB_CODES
from internvid.text.splitting import sentences, split_text

if TYPE_CHECKING:
    from internvid.text.language_model import LanguageModel

TEXT, LANGUAGE = "{text}", "{language}"  # placeholders of a template
VERSION = "1"  # of splitting and joining texts: increment it with every change


class UnknownLanguage(Exception):
    """The model cannot translate from the language. The message lists its languages, where they are known."""


class _PromptFormat(ABC):
    """How a model receives the text and its language."""

    splits_sentences = True
    first_token: int | None = None  # first token of English answers, for models that select the language by it

    def __init__(self, model: LanguageModel) -> None:
        self.model = model

    @abstractmethod
    def tokens(self, text: str, language: str) -> list[int]:
        """Returns the prompt as token ids. language: ISO 639-1 code. Raises UnknownLanguage."""


class _SingleLanguageFormat(_PromptFormat):
    """Models such as Marian: the weights are for one language, or for a group that the model itself distinguishes."""

    def __init__(self, model: LanguageModel, languages: Sequence[str]) -> None:
        super().__init__(model)
        self.languages = languages

    def tokens(self, text: str, language: str) -> list[int]:
        if language not in self.languages:
            raise UnknownLanguage(f"the model translates from {', '.join(self.languages)}, not from {language}")
        return self.model.tokens(text)


class _LanguageCodeFormat(_PromptFormat):
    """NLLB and M2M100: one token selects the source language, another the target language."""

    def __init__(self, model: LanguageModel, codes: dict[str, str], english: int) -> None:
        """codes: the tokeniser's language codes by ISO 639-1 code. english: token id of English."""
        super().__init__(model)
        self.codes, self.first_token = codes, english

    def tokens(self, text: str, language: str) -> list[int]:
        if language not in self.codes:
            raise UnknownLanguage(f"the model does not translate from {NAMES.get(language, language)}")
        code = self.codes[language]
        if self.model.tokenizer.src_lang != code:
            self.model.tokenizer.src_lang = code
        return self.model.tokens(text)


class _TemplateFormat(_PromptFormat):
    """A model that follows instructions."""

    splits_sentences = False

    def __init__(self, model: LanguageModel, template: str) -> None:
        super().__init__(model)
        self.template = template

    def tokens(self, text: str, language: str) -> list[int]:
        if LANGUAGE in self.template and language not in NAMES:
            raise UnknownLanguage(
                f"{language!r} is no known ISO 639-1 code, and the template needs the language's name"
            )
        prompt = self.template.replace(LANGUAGE, NAMES.get(language, language))
        return self.model.tokens(prompt.replace(TEXT, text))


class WritingTranslator:
    """Translates texts into English.

    template: prompt for a model that follows instructions, with {text} and optionally {language}; None for a
    translation model. languages: source languages (ISO 639-1 codes) of a model without language codes; empty: inferred
    from its tokeniser or its name.
    """

    def __init__(
        self, model: LanguageModel, *, name: str, template: str | None = None, languages: Sequence[str] = ()
    ) -> None:
        """name: of the model. Raises ValueError if the languages of the model cannot be inferred."""
        self.model = model
        self.format = _prompt_format(model, name, template, languages)
        # English may take more tokens than the source text, and the answer must not be truncated.
        self.max_prompt_length = (
            min(model.max_prompt_length, model.max_new_tokens // 2)
            if self.format.splits_sentences
            else model.max_prompt_length
        )

    def translate(self, texts: Sequence[tuple[str, str]]) -> list[Generated | Exception]:
        """Translates each (text, ISO 639-1 code), in order. A failed text gets `UnknownLanguage` or another error."""
        texts_in_parts: list[list[str] | Exception] = []
        prompts = []
        for text, language in texts:
            try:
                text_parts = self._parts(text, language)
                prompts += [self.format.tokens(part, language) for part in text_parts if _has_words(part)]
            except (UnknownLanguage, ValueError) as error:
                texts_in_parts.append(error)
            else:
                texts_in_parts.append(text_parts)
        written = iter(self.model.write(prompts, first_token=self.format.first_token))
        answers: list[Generated | Exception] = []
        for parts_or_error in texts_in_parts:
            if isinstance(parts_or_error, Exception):
                answers.append(parts_or_error)
                continue
            # A part without words, such as "♪♪", needs no translation.
            answers.append(_joined([next(written) if _has_words(part) else Generated(part) for part in parts_or_error]))
        return answers

    def _parts(self, text: str, language: str) -> list[str]:
        def fits(part: str) -> bool:
            return len(self.format.tokens(part, language)) <= self.max_prompt_length

        if not self.format.splits_sentences:
            return split_text(text, fits, language)
        stripped = [sentence.strip() for sentence in sentences(text, language)]
        return [part for sentence in stripped if sentence for part in split_text(sentence, fits, language)]


def _prompt_format(model: LanguageModel, name: str, template: str | None, languages: Sequence[str]) -> _PromptFormat:
    if template is not None:
        return _TemplateFormat(model, template)
    vocabulary = model.tokenizer.get_vocab()
    if "eng_Latn" in vocabulary:
        codes = {code: nllb for code, nllb in NLLB_CODES.items() if nllb in vocabulary}
        return _LanguageCodeFormat(model, codes, vocabulary["eng_Latn"])
    m2m100_codes = getattr(model.tokenizer, "lang_code_to_id", {})
    if "en" in m2m100_codes:
        return _LanguageCodeFormat(model, {code: code for code in NAMES if code in m2m100_codes}, m2m100_codes["en"])
    if model.is_causal:
        raise ValueError(f"{name} follows instructions: it needs a template with {TEXT} in it")
    return _SingleLanguageFormat(model, languages or _language_from_name(model, name))


def _language_from_name(model: LanguageModel, name: str) -> list[str]:
    """Infers the source language of a model for one pair from its tokeniser or its name, such as opus-mt-de-en."""
    name_match = re.search(r"opus-mt-(?:tc-(?:big|base)-)?(\w+)[-_](\w+)$", name)
    source = getattr(model.tokenizer, "source_lang", None) or (name_match and name_match[1])
    target = getattr(model.tokenizer, "target_lang", None) or (name_match and name_match[2])
    if target is not None and target not in ("en", "eng"):
        raise ValueError(f"{name} translates into {target}, not into English")
    if source not in NAMES:
        raise ValueError(f"the source language of {name} cannot be inferred: set languages, as ISO 639-1 codes")
    return [source]


def _has_words(text: str) -> bool:
    return any(character.isalnum() for character in text)


def _joined(parts: Sequence[Generated | Exception]) -> Generated | Exception:
    """Joins the answers of a text's parts. Returns the first error if there is one."""
    if errors := [part for part in parts if isinstance(part, Exception)]:
        return errors[0]
    written = [part for part in parts if isinstance(part, Generated)]
    return Generated(
        " ".join(part.text for part in written),
        "truncated" if any(part.status == "truncated" for part in written) else "success",
        sum(part.prompt_tokens or 0 for part in written),
        sum(part.output_tokens or 0 for part in written),
    )
