"""From captions to token ids: CLIP's byte-pair encoding, with CLIP's vocabulary or one of your own.

A vocabulary is 256 bytes, the same 256 at the end of a word, one token for each merge, then the start and the end
token. The end token has the largest id: the text tower pools where the largest id stands. Pairs are encoded by the
`tokenizers` library; this module cleans text as CLIP does, and frames and pads the ids.
"""

from __future__ import annotations

import gzip
import html
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import ftfy
import tokenizers
import torch
from tokenizers import decoders, models, pre_tokenizers, trainers

from internvid.report.whole_file import whole_file

FILE_NAME = "tokenizer.json"

START, END = "<|startoftext|>", "<|endoftext|>"
WORD_END = "</w>"
# What CLIP calls a word. It matches without regard to case, which lowercased text can still tell: "'ſ" is "'s".
WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
BYTES = 256
SMALLEST_VOCABULARY = 2 * BYTES + 2
# The published list has 262,144 merges, of which CLIP uses the first: 49,408 tokens less those that are no merge.
CLIP_MERGES = 49_408 - SMALLEST_VOCABULARY

# Any 256 characters that no byte is written as will do, to tell a byte at the end of a word while merges are learnt.
_FIRST_LAST_BYTE = 0xE000

_PREPARED = str.maketrans({**dict.fromkeys(",.'!?\"()*#:;~"), "-": " ", "/": " "})


def prepare_text(text: str) -> str:
    """A caption as ViCLIP is trained on it and evaluated with it: lowercase, and hardly any punctuation.

    `- /` become spaces, `, . ' ! ? " ( ) * # : ; ~` go, `<person>` becomes `person`. The published demonstration
    leaves this out.
    """
    return " ".join(text.lower().translate(_PREPARED).replace("<person>", "person").split())


def clean(text: str) -> str:
    """As CLIP cleans what it is given: broken encodings mended, HTML entities resolved twice over, lowercase."""
    return " ".join(html.unescape(html.unescape(ftfy.fix_text(text))).split()).lower()


class Tokenizer:
    """Texts -> token ids. Special tokens that are written out in a text are text like any other."""

    def __init__(self, vocabulary: dict[str, int], merges: Sequence[tuple[str, str]], *, context_length: int = 32):
        """vocabulary: id of each token, START and END among them. context_length: tokens of a text.

        Raises ValueError where END does not have the largest id, or ids are missing.
        """
        if sorted(vocabulary.values()) != list(range(len(vocabulary))):
            raise ValueError(f"the ids of {len(vocabulary)} tokens are not 0 to {len(vocabulary) - 1}")
        if START not in vocabulary or vocabulary.get(END) != len(vocabulary) - 1:
            raise ValueError(
                f"the text tower pools at the largest id, so {END} must have id {len(vocabulary) - 1}, and {START} "
                f"must be there; their ids are {vocabulary.get(END)} and {vocabulary.get(START)}"
            )
        if context_length < 3:
            raise ValueError(f"{context_length} tokens hold no word between start and end")
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
        """[n, context_length] int64: start, the text's ids, end, zeros. A text too long loses its end, not END."""
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
        """Writes tokenizer.json, in the library's own form, whole or not at all. Returns its path."""
        path = Path(folder) / FILE_NAME
        with whole_file(path) as file:
            file.write(self._pairs.to_str(pretty=True))
        return path

    @classmethod
    def load(cls, folder: Path, context_length: int = 32) -> Tokenizer:
        """What `save` wrote. Raises FileNotFoundError without the file, ValueError for one of another tokenizer."""
        path = Path(folder) / FILE_NAME
        try:
            model = json.loads(path.read_text(encoding="utf-8"))["model"]
            return cls(*_pairs_of(model), context_length=context_length)
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is no tokenizer of CLIP's kind: {error}") from error

    @classmethod
    def clip_from_merges(cls, path: Path, context_length: int = 32) -> Tokenizer:
        """CLIP's, from its published list of merges, bpe_simple_vocab_16e6.txt, gzipped or not.

        Raises FileNotFoundError, and ValueError for a file that is no such list.
        """
        packed = Path(path).read_bytes()
        try:
            text = (gzip.decompress(packed) if packed[:2] == b"\x1f\x8b" else packed).decode()
        except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
            raise ValueError(f"{path} cannot be read as a list of merges: {error}") from error
        lines = [line.split() for line in text.splitlines()[1 : 1 + CLIP_MERGES]]  # the first line names its version
        if not lines or any(len(line) != 2 for line in lines):
            raise ValueError(f"{path} is no list of merges: each line after the first must be two tokens")
        try:
            return cls._of_merges([(left, right) for left, right in lines], context_length)
        except ValueError as error:
            raise ValueError(f"{path} is no list of merges: {error}") from error

    @classmethod
    def clip_from_folder(cls, folder: Path | str, context_length: int = 32) -> Tokenizer:
        """That of a CLIP checkpoint of `transformers`, from its own files; a hub id does too.

        Raises OSError where there is none, ValueError for one that is not of CLIP's kind.
        """
        from transformers import AutoTokenizer  # slow to import

        loaded = AutoTokenizer.from_pretrained(str(folder))
        written = json.loads(loaded.backend_tokenizer.to_str()) if hasattr(loaded, "backend_tokenizer") else {}
        try:
            vocabulary, merges = _pairs_of(written.get("model") or {})
            return cls(vocabulary, merges, context_length=context_length)
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"the tokenizer of {folder} is not of CLIP's kind: {error}") from error

    @classmethod
    def trained_on(cls, texts: Iterable[str], *, vocab_size: int, context_length: int = 32) -> Tokenizer:
        """Learns merges from captions: at most so many that there are `vocab_size` tokens.

        Depends on the captions alone: neither on their order nor on the process or its threads. A pair that occurs
        once is not merged, so that few captions make a smaller vocabulary. Raises ValueError below 514 tokens, which
        are those of single bytes.
        """
        if vocab_size < SMALLEST_VOCABULARY:
            raise ValueError(f"{vocab_size} tokens are too few: single bytes are {SMALLEST_VOCABULARY} already")
        learner = tokenizers.Tokenizer(models.BPE())
        learner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        # The library's own end-of-word suffix numbers its symbols in the order of a hash table, which differs from
        # process to process, and ties between pairs are broken by number. Marked characters of our own do not.
        trainer = trainers.BpeTrainer(
            vocab_size=2 * BYTES + vocab_size - SMALLEST_VOCABULARY, min_frequency=2, show_progress=False
        )
        learner.train_from_iterator(_marked(texts), trainer)
        learnt = json.loads(learner.to_str())["model"]["merges"][: vocab_size - SMALLEST_VOCABULARY]
        return cls._of_merges([(_unmarked(left), _unmarked(right)) for left, right in learnt], context_length)

    @classmethod
    def _of_merges(cls, merges: Sequence[tuple[str, str]], context_length: int) -> Tokenizer:
        """Ids as CLIP gives them. Raises ValueError for a merge of tokens that are not there."""
        characters = _characters()
        tokens = [*characters, *(character + WORD_END for character in characters)]
        tokens += [left + right for left, right in merges]
        # Two merges may make the same token, which then stands where the first of them put it.
        vocabulary = {token: number for number, token in enumerate(dict.fromkeys([*tokens, START, END]))}
        unknown = [token for pair in merges for token in pair if token not in vocabulary]
        if unknown:
            raise ValueError(f"it merges {unknown[0]!r}, which is no token")
        return cls(vocabulary, merges, context_length=context_length)


def _words() -> Any:
    """Splits cleaned text into words, and writes each byte of them as a character."""
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def _characters() -> list[str]:
    """What the 256 bytes are written as, in the order that CLIP numbers them: those that can be printed first."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return [chr(byte) for byte in printable] + [chr(BYTES + number) for number in range(BYTES - len(printable))]


def _marked(texts: Iterable[str]) -> Iterator[str]:
    """Cleaned captions as words with spaces between, the last byte of each word as another character."""
    last = {character: chr(_FIRST_LAST_BYTE + number) for number, character in enumerate(_characters())}
    words = _words()
    for text in texts:
        yield " ".join(word[:-1] + last[word[-1]] for word, _ in words.pre_tokenize_str(clean(text)))


def _unmarked(token: str) -> str:
    number = ord(token[-1]) - _FIRST_LAST_BYTE
    return token[:-1] + _characters()[number] + WORD_END if 0 <= number < BYTES else token


def _pairs_of(model: dict[str, Any]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges, of a model as the library writes it. Raises ValueError for one not of CLIP's kind."""
    if model.get("type") != "BPE" or model.get("end_of_word_suffix") != WORD_END:
        raise ValueError(f"its model is {model.get('type')}, not byte pairs with {WORD_END} at the end of a word")
    # Older files write a merge as one string.
    merges = [tuple(merge.split(" ")) if isinstance(merge, str) else tuple(merge) for merge in model["merges"]]
    return model["vocab"], [(left, right) for left, right in merges]
