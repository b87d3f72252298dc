"""Converts captions to token ids: CLIP's byte-pair encoding, with CLIP's vocabulary or a trained one.

A vocabulary is 256 bytes, the same 256 bytes at the end of a word, one token per merge, then the start and the end
token. The end token has the largest id, because the text tower pools at the position of the largest id. The
`tokenizers` library does the byte-pair encoding; this module cleans text as CLIP does, adds start and end, and pads.
"""

from __future__ import annotations

import gzip
import html
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import ftfy
import tokenizers
import torch
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from internvid.report.whole_file import whole_file

FILE_NAME = "tokenizer.json"

START, END = "<|startoftext|>", "<|endoftext|>"
WORD_END = "</w>"
# CLIP's definition of a word. Case-insensitive matching matters even for lowercased text: "'ſ" matches "'s".
WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
BYTES = 256
MIN_VOCABULARY = 2 * BYTES + 2
# The published list has 262,144 merges. CLIP uses the first ones: 49,408 tokens minus those that are no merge.
CLIP_MERGES = 49_408 - MIN_VOCABULARY

# Marks the last byte of a word during training. Any 256 characters that represent no byte would do.
_FIRST_LAST_BYTE = 0xE000

_PREPARED = str.maketrans({**dict.fromkeys(",.'!?\"()*#:;~"), "-": " ", "/": " "})


def prepare_text(text: str) -> str:
    """Normalises a caption as ViCLIP's training and evaluation do: lowercase, with hardly any punctuation.

    `- /` become spaces, `, . ' ! ? " ( ) * # : ; ~` are removed, `<person>` becomes `person`. The published
    demonstration does not do this.
    """
    return " ".join(text.lower().translate(_PREPARED).replace("<person>", "person").split())


def clean(text: str) -> str:
    """Cleans a text as CLIP does: repairs broken encodings, unescapes HTML entities twice, lowercases."""
    return " ".join(html.unescape(html.unescape(ftfy.fix_text(text))).split()).lower()


class Tokenizer:
    """Converts texts to token ids. Special tokens written out in a text are treated as plain text."""

    def __init__(self, vocabulary: dict[str, int], merges: Sequence[tuple[str, str]], *, context_length: int = 32):
        """vocabulary: id of each token, including START and END. context_length: tokens per text.

        Raises ValueError if END does not have the largest id, or ids are missing.
        """
        if sorted(vocabulary.values()) != list(range(len(vocabulary))):
            raise ValueError(f"the ids of {len(vocabulary)} tokens are not 0 to {len(vocabulary) - 1}")
        if START not in vocabulary or vocabulary.get(END) != len(vocabulary) - 1:
            raise ValueError(
                f"the text tower pools at the largest id, so {END} must have id {len(vocabulary) - 1}, and {START} "
                f"must be there; their ids are {vocabulary.get(END)} and {vocabulary.get(START)}"
            )
        if context_length < 3:
            raise ValueError(f"a context of {context_length} tokens has no room for a word between start and end")
        self.context_length = context_length
        self._vocabulary, self._merges = vocabulary, list(merges)
        self._pairs = tokenizers.Tokenizer(
            models.BPE(vocab=vocabulary, merges=self._merges, end_of_word_suffix=WORD_END, continuing_subword_prefix="")
        )
        self._pairs.pre_tokenizer = _words()
        self._pairs.decoder = decoders.ByteLevel()

    @property
    def vocab_size(self) -> int:
        return len(self._vocabulary)

    def __call__(self, texts: Sequence[str]) -> torch.Tensor:
        """Returns [n, context_length] int64: START, the text's ids, END, zeros. Long texts are cut before END."""
        start, end = self._vocabulary[START], self._vocabulary[END]
        ids = torch.zeros(len(texts), self.context_length, dtype=torch.int64)
        for row, encoded in zip(ids, self._pairs.encode_batch_fast([clean(text) for text in texts]), strict=True):
            framed = [start, *encoded.ids[: self.context_length - 2], end]
            row[: len(framed)] = torch.tensor(framed)
        return ids

    def __getstate__(self) -> dict[str, Any]:
        return {"vocabulary": self._vocabulary, "merges": self._merges, "context_length": self.context_length}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def save(self, folder: Path) -> Path:
        """Writes tokenizer.json in the format of the `tokenizers` library, atomically. Returns its path."""
        path = Path(folder) / FILE_NAME
        with whole_file(path) as file:
            file.write(self._pairs.to_str(pretty=True))
        return path

    def save_standalone(self, folder: Path) -> Path:
        """Writes tokenizer.json so that the `tokenizers` library alone prepares, frames, cuts and pads texts.

        Only the repair of broken encodings and HTML entities, which `clean` does, is not in it. Texts are padded with
        END instead of zeros: the text tower pools at the first one. `load` reads this file too.
        """
        alone = tokenizers.Tokenizer.from_str(self._pairs.to_str())
        removed = "".join(chr(character) for character, by in _PREPARED.items() if by is None)
        spaced = "".join(chr(character) for character, by in _PREPARED.items() if by is not None)
        alone.normalizer = normalizers.Sequence(
            [
                normalizers.NFC(),
                normalizers.Lowercase(),
                normalizers.Replace(tokenizers.Regex(f"[{re.escape(removed)}]"), ""),
                normalizers.Replace(tokenizers.Regex(f"[{re.escape(spaced)}]"), " "),
                normalizers.Replace("<person>", "person"),
            ]
        )
        framing = [(token, self._vocabulary[token]) for token in (START, END)]
        alone.post_processor = processors.TemplateProcessing(single=f"{START} $A {END}", special_tokens=framing)
        alone.enable_truncation(self.context_length)
        alone.enable_padding(pad_id=self._vocabulary[END], pad_token=END, length=self.context_length)
        path = Path(folder) / FILE_NAME
        with whole_file(path) as file:
            file.write(alone.to_str(pretty=True))
        return path

    @classmethod
    def load(cls, folder: Path, context_length: int = 32) -> Tokenizer:
        """Reads the file that `save` wrote. Raises FileNotFoundError, and ValueError for another kind of tokenizer."""
        path = Path(folder) / FILE_NAME
        try:
            model = json.loads(path.read_text(encoding="utf-8"))["model"]
            return cls(*_vocabulary_and_merges(model), context_length=context_length)
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is no tokenizer of CLIP's type: {error}") from error

    @classmethod
    def clip_from_merges(cls, path: Path, context_length: int = 32) -> Tokenizer:
        """Reads CLIP's tokenizer from its published list of merges, bpe_simple_vocab_16e6.txt, gzipped or not.

        Raises FileNotFoundError, and ValueError for a file that is no list of merges.
        """
        content = Path(path).read_bytes()
        try:
            text = (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode()
        except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
            raise ValueError(f"{path} cannot be read as a list of merges: {error}") from error
        lines = [line.split() for line in text.splitlines()[1 : 1 + CLIP_MERGES]]  # the first line names its version
        if not lines or any(len(line) != 2 for line in lines):
            raise ValueError(f"{path} is no list of merges: each line after the first must be two tokens")
        try:
            return cls._from_merges([(left, right) for left, right in lines], context_length)
        except ValueError as error:
            raise ValueError(f"{path} is no list of merges: {error}") from error

    @classmethod
    def clip_from_folder(cls, folder: Path | str, context_length: int = 32) -> Tokenizer:
        """Reads the tokenizer of a CLIP checkpoint of `transformers`. folder: its folder or hub id.

        Raises OSError if there is none, ValueError for a tokenizer of another type.
        """
        from transformers import AutoTokenizer  # slow to import

        loaded = AutoTokenizer.from_pretrained(str(folder))
        content = json.loads(loaded.backend_tokenizer.to_str()) if hasattr(loaded, "backend_tokenizer") else {}
        try:
            vocabulary, merges = _vocabulary_and_merges(content.get("model") or {})
            return cls(vocabulary, merges, context_length=context_length)
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"the tokenizer of {folder} is not of CLIP's type: {error}") from error

    @classmethod
    def trained_on(cls, texts: Iterable[str], *, vocab_size: int, context_length: int = 32) -> Tokenizer:
        """Learns a vocabulary of at most `vocab_size` tokens from captions.

        The result depends on the captions only, not on their order, the process or its threads. A pair that occurs
        once is not merged, so few captions give a smaller vocabulary. Raises ValueError below 514 tokens, the number
        that single bytes need.
        """
        if vocab_size < MIN_VOCABULARY:
            raise ValueError(f"{vocab_size} tokens are too few: single bytes are {MIN_VOCABULARY} already")
        learner = tokenizers.Tokenizer(models.BPE())
        learner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        # With the library's own end-of-word suffix, symbols are numbered in the order of a hash table, which differs
        # between processes, and ties between pairs are broken by number. Marker characters avoid that.
        trainer = trainers.BpeTrainer(
            vocab_size=2 * BYTES + vocab_size - MIN_VOCABULARY, min_frequency=2, show_progress=False
        )
        learner.train_from_iterator(_marked(texts), trainer)
        learnt = json.loads(learner.to_str())["model"]["merges"][: vocab_size - MIN_VOCABULARY]
        return cls._from_merges([(_unmarked(left), _unmarked(right)) for left, right in learnt], context_length)

    @classmethod
    def _from_merges(cls, merges: Sequence[tuple[str, str]], context_length: int) -> Tokenizer:
        """Numbers the tokens as CLIP does. Raises ValueError for a merge of unknown tokens."""
        characters = _characters()
        tokens = [*characters, *(character + WORD_END for character in characters)]
        tokens += [left + right for left, right in merges]
        # Two merges may give the same token; it keeps the id of the first one.
        vocabulary = {token: number for number, token in enumerate(dict.fromkeys([*tokens, START, END]))}
        unknown = [token for pair in merges for token in pair if token not in vocabulary]
        if unknown:
            raise ValueError(f"it merges {unknown[0]!r}, which is no token")
        return cls(vocabulary, merges, context_length=context_length)


def _words() -> Any:
    """Splits cleaned text into words, and represents each byte as a character."""
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def _characters() -> list[str]:
    """Returns the characters that represent the 256 bytes, in CLIP's order: printable ones first."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return [chr(byte) for byte in printable] + [chr(BYTES + number) for number in range(BYTES - len(printable))]


def _marked(texts: Iterable[str]) -> Iterator[str]:
    """Yields cleaned captions as words separated by spaces; the last byte of each word is a marker character."""
    last = {character: chr(_FIRST_LAST_BYTE + number) for number, character in enumerate(_characters())}
    words = _words()
    for text in texts:
        yield " ".join(word[:-1] + last[word[-1]] for word, _ in words.pre_tokenize_str(clean(text)))


def _unmarked(token: str) -> str:
    number = ord(token[-1]) - _FIRST_LAST_BYTE
    return token[:-1] + _characters()[number] + WORD_END if 0 <= number < BYTES else token


def _vocabulary_and_merges(model: dict[str, Any]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Reads vocabulary and merges from the library's JSON. Raises ValueError for a tokenizer that is not CLIP-like."""
    if model.get("type") != "BPE" or model.get("end_of_word_suffix") != WORD_END:
        raise ValueError(f"its model is {model.get('type')}, not byte pairs with {WORD_END} at the end of a word")
    # Older files write a merge as one string.
    merges = [tuple(merge.split(" ")) if isinstance(merge, str) else tuple(merge) for merge in model["merges"]]
    return model["vocab"], [(left, right) for left, right in merges]
