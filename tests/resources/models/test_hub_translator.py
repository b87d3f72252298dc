"""Translations by tiny language models of the real classes, through the provider, from their folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny_language_models import tiny_chat, tiny_m2m100, tiny_marian, tiny_nllb, tiny_t5
from transformers.models.m2m_100.tokenization_m2m_100 import FAIRSEQ_LANGUAGE_CODES as M2M100_CODES
from transformers.models.nllb.tokenization_nllb import FAIRSEQ_LANGUAGE_CODES as NLLB_CODES_OF_MODEL

from internvid.text.generated import Generated
from internvid.text.language_model import load
from internvid.text.languages import NAMES, NLLB_CODES
from resources.incremental.faults import ModelUnavailable
from resources.models.hub_translator import HubTranslator
from resources.models.translator import Untranslated

GERMAN = "Ein Hund bellt. Eine Katze schläft auf der Wiese! Sie sieht den Hund. ♪♪"
MAKERS = {"marian": tiny_marian, "nllb": tiny_nllb, "m2m100": tiny_m2m100, "chat": tiny_chat}
TEMPLATE = "From {language}: {text}"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("models")
    return {name: make(place / name) for name, make in MAKERS.items()}


def provider(folder: Path, **settings: Any) -> HubTranslator:
    if folder.name == "chat":
        settings = {"template": TEMPLATE} | settings
    return HubTranslator(weights=str(folder), device="cpu", **{"generation": {"max_new_tokens": 48}} | settings)


@pytest.mark.parametrize("kind", MAKERS)
def test_texts_are_translated_together_as_one_by_one(folders, kind):
    texts = [("ein Hund", "de"), (GERMAN, "de"), ("Die Wiese ist grün. Sie ist schön.", "de")]
    together = provider(folders[kind], batch=3).translate(texts)
    assert together == [provider(folders[kind], batch=1).translate([text])[0] for text in texts]
    assert all(isinstance(english, Generated) and english.text for english in together)
    assert len({english.text for english in together}) == 3


@pytest.mark.parametrize("kind", ["marian", "nllb", "m2m100"])
def test_sentences_are_translated_by_themselves_and_joined_in_order(folders, kind):
    translator = provider(folders[kind])
    sentences = ["Ein Hund bellt.", "Eine Katze schläft auf der Wiese!", "Sie sieht den Hund."]
    (whole,) = translator.translate([(GERMAN, "de")])
    parts = translator.translate([(sentence, "de") for sentence in sentences])
    assert whole.text == " ".join([*(part.text for part in parts), "♪♪"])
    assert whole.prompt_tokens == sum(part.prompt_tokens for part in parts)
    assert whole.output_tokens == sum(part.output_tokens for part in parts)


def test_a_sentence_that_is_too_long_is_split_between_words_and_none_is_lost(folders):
    translator = provider(folders["marian"])  # 64 positions, 24 tokens at a time, a token a letter
    words = [f"wort{number}" for number in range(20)]
    parts = translator._translator._parts(" ".join(words), "de")
    assert len(parts) > 4
    assert " ".join(parts).split() == words
    assert all(len(translator._language_model.tokens(part)) <= 24 for part in parts)
    (english,) = translator.translate([(" ".join(words), "de")])
    assert english.text == " ".join(part.text for part in translator.translate([(part, "de") for part in parts]))


@pytest.mark.parametrize("kind", ["nllb", "m2m100"])
def test_tokens_say_which_language_is_read_and_that_english_is_written(folders, kind):
    translator = provider(folders[kind])
    prompt_format, tokenizer = translator._translator.format, translator._language_model.tokenizer
    names = {"nllb": ("deu_Latn", "fra_Latn", "eng_Latn"), "m2m100": ("__de__", "__fr__", "__en__")}[kind]
    german, french, english = tokenizer.convert_tokens_to_ids(list(names))
    assert prompt_format.first_token == english
    assert [prompt_format.tokens("a", language)[0] for language in ("de", "fr", "de")] == [german, french, german]
    model = load(translator.hub_model, translator.torch_device, translator.torch_dtype).model
    begun = []
    hook = model.get_decoder().register_forward_pre_hook(
        lambda _module, args, given: begun.append(given["input_ids"][:, -1].tolist()), with_kwargs=True
    )
    of_german, of_french = translator.translate([("ein Hund", "de"), ("ein Hund", "fr")])
    hook.remove()
    assert begun[:2] == [[2, 2], [english, english]]
    assert of_german.text != of_french.text
    assert not any(name in answer.text for name in names for answer in (of_german, of_french))


def test_languages_that_a_model_does_not_know_are_untranslated_with_the_reason(folders):
    for kind, reason in (
        ("marian", "the model translates from de, not from fr"),
        ("nllb", "the model does not translate from Italian"),
        ("m2m100", "the model does not translate from Esperanto"),
        ("chat", "'qq' is no known ISO 639-1 code, and the template needs the language's name"),
    ):
        unknown = {"marian": "fr", "nllb": "it", "m2m100": "eo", "chat": "qq"}[kind]
        known, unknown_one = provider(folders[kind]).translate([("ein Hund", "de"), ("un chien", unknown)])
        assert isinstance(known, Generated)
        assert isinstance(unknown_one, Untranslated)
        assert str(unknown_one) == reason


def test_a_chat_model_is_told_the_languages_name_and_reads_the_whole_text(folders):
    translator = provider(folders["chat"])
    prompt_format, tokenizer = translator._translator.format, translator._language_model.tokenizer
    assert tokenizer.decode(prompt_format.tokens("Hallo {language}. Du!", "de")) == (
        "<|im_start|>user\nFrom German: Hallo {language}. Du!<|im_end|>\n<|im_start|>assistant\n"
    )
    assert translator._translator._parts(GERMAN, "de") == [GERMAN]


def test_what_was_stopped_at_the_limit_is_truncated_though_marian_forces_an_end(folders):
    (stopped,) = provider(folders["marian"], generation={"max_new_tokens": 8}).translate([("a", "de")])
    assert (stopped.status, stopped.output_tokens) == ("truncated", 8)
    ending = {"max_new_tokens": 40, "exponential_decay_length_penalty": [2, 3.0]}
    (ended,) = provider(folders["marian"], generation=ending).translate([("ein Hund", "de")])
    assert ended.status == "success"


def test_the_language_of_a_pair_is_in_its_files_its_name_or_the_settings(tmp_path):
    nameless = tiny_marian(tmp_path / "mine", source=None, target=None)
    with pytest.raises(ModelUnavailable, match="the source language of mine cannot be inferred: set languages"):
        provider(nameless).prepare()
    (english,) = provider(nameless, languages=["fr", "it"]).translate([("un chien", "it")])
    assert isinstance(english, Generated)
    named = nameless.rename(tmp_path / "opus-mt-fr-en")
    french, german = provider(named).translate([("un chien", "fr"), ("ein Hund", "de")])
    assert isinstance(french, Generated)
    assert isinstance(german, Untranslated)
    into_german = named.rename(tmp_path / "opus-mt-en-de")
    with pytest.raises(ModelUnavailable, match="opus-mt-en-de translates into de, not into English"):
        provider(into_german).prepare()


def test_models_that_cannot_be_told_what_to_do_are_refused(folders, tmp_path):
    chat = HubTranslator(weights=str(folders["chat"]), device="cpu")
    with pytest.raises(ModelUnavailable, match="chat follows instructions: it needs a template"):
        chat.prepare()
    with pytest.raises(ModelUnavailable, match="max_new_tokens: 64 is more than the model's 64 positions"):
        provider(folders["marian"], generation={"max_new_tokens": 64}).translate([("ein Hund", "de")])
    with pytest.raises(ValueError, match=r"must say by \{text\}"):
        HubTranslator(weights=str(folders["chat"]), template="translate!")


def test_a_model_that_was_trained_for_one_pair_needs_no_more_than_its_language(tmp_path):
    (english,) = provider(tiny_t5(tmp_path / "t5"), languages=["de"]).translate([("ein Hund", "de")])
    assert isinstance(english, Generated)


def test_the_table_of_languages_names_what_the_models_have():
    assert set(NLLB_CODES.values()) <= set(NLLB_CODES_OF_MODEL)
    iso = {code for code in M2M100_CODES["m2m100"] if len(code) == 2}
    assert iso - set(NAMES) == {"ns"}  # Northern Sotho, which has no code of two letters


def test_the_version_says_what_decides_the_words(folders):
    marian = provider(folders["marian"])
    assert marian.version == f"{marian.hub_model.version}+max_new_tokens=48+sentences-1"
    assert provider(folders["marian"], languages=["de"]).version != marian.version
    assert HubTranslator(weights="facebook/nllb-200-distilled-600M").version == (
        "facebook/nllb-200-distilled-600M@main+max_new_tokens=256+sentences-1"
    )
