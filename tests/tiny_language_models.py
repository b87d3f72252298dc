"""Language models of the real classes, with tokenisers, random and tiny: each saved to a folder, as from a hub."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import sentencepiece
import torch
import transformers
from transformers.convert_slow_tokenizer import bytes_to_unicode

LETTERS = "abcdefghijklmnopqrstuvwxyzäöüßéABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;!?-(){}\"'"
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tiny_t5(folder: Path, context: int = 512) -> Path:
    """Reads letter by letter."""
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -20.0), ("▁", -2.0), *((letter, -3.0) for letter in LETTERS)]
    tokenizer = transformers.T5Tokenizer(vocab=vocabulary, extra_ids=0, model_max_length=context)
    torch.manual_seed(0)
    config = transformers.T5Config(
        vocab_size=len(tokenizer),
        d_model=32,
        d_kv=16,
        d_ff=64,
        num_layers=1,
        num_heads=2,
        decoder_start_token_id=0,
        initializer_factor=3.0,  # at 1 a random model says the same whatever it reads
        tie_word_embeddings=False,
    )
    return _save(_talkative(transformers.T5ForConditionalGeneration(config), range(3)), tokenizer, folder)


def tiny_chat(folder: Path, context: int = 512) -> Path:
    """A causal model with a chat template, that reads byte by byte."""
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    vocabulary = {token: number for number, token in enumerate([*bytes_to_unicode().values(), *special])}
    tokenizer = transformers.Qwen2Tokenizer(
        vocab=vocabulary,
        merges=[],
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=special[1:],
        chat_template=CHAT_TEMPLATE,
        model_max_length=context,
    )
    torch.manual_seed(0)
    config = transformers.Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=context,
        initializer_range=0.5,
        eos_token_id=vocabulary["<|im_end|>"],
        pad_token_id=vocabulary["<|endoftext|>"],
        bos_token_id=None,
    )
    bytes_without_letters = [number for token, number in vocabulary.items() if token not in LETTERS]
    model = _talkative(transformers.Qwen2ForCausalLM(config), bytes_without_letters)
    # As chat models come: answers are drawn by chance, unless told not to.
    model.generation_config.update(do_sample=True, temperature=0.7, top_p=0.8, top_k=20)
    return _save(model, tokenizer, folder)


def tiny_marian(folder: Path, source: str | None = "de", target: str | None = "en", seed: int = 0) -> Path:
    pieces = _sentencepiece(folder)
    vocabulary = {piece: number for number, piece in enumerate(["</s>", "<unk>", *pieces, "<pad>"])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    spm = str(folder / "sentencepiece.bpe.model")
    tokenizer = transformers.MarianTokenizer(
        spm, spm, str(folder / "vocab.json"), source_lang=source, target_lang=target
    )
    torch.manual_seed(seed)
    pad = vocabulary["<pad>"]
    config = transformers.MarianConfig(
        vocab_size=len(vocabulary),
        **_SMALL,
        max_position_embeddings=64,
        pad_token_id=pad,
        eos_token_id=0,
        bos_token_id=0,
        decoder_start_token_id=pad,
        forced_eos_token_id=0,
    )
    model = _talkative(transformers.MarianMTModel(config), [0, 1, pad])
    # As opus-mt models come.
    model.generation_config.update(num_beams=2, bad_words_ids=[[pad]], forced_eos_token_id=0, max_length=64)
    return _save(model, tokenizer, folder)


def tiny_nllb(folder: Path) -> Path:
    """Reads letter by letter."""
    vocabulary = {token: number for number, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", "▁", *LETTERS])}
    languages = ["eng_Latn", "deu_Latn", "fra_Latn"]
    tokenizer = transformers.NllbTokenizer(
        vocab=vocabulary, merges=[], extra_special_tokens=languages, model_max_length=64
    )
    return _save(_m2m100(len(tokenizer)), tokenizer, folder)


def tiny_m2m100(folder: Path) -> Path:
    pieces = _sentencepiece(folder)
    vocabulary = {piece: number for number, piece in enumerate(["<s>", "<pad>", "</s>", "<unk>", *pieces])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    tokenizer = transformers.M2M100Tokenizer(str(folder / "vocab.json"), str(folder / "sentencepiece.bpe.model"))
    return _save(_m2m100(len(vocabulary) + 108), tokenizer, folder)  # 100 languages and 8 made-up words


_SMALL = {
    "d_model": 32,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "init_std": 0.5,  # at the usual 0.02 a random model says the same whatever it reads
    "tie_word_embeddings": False,
}


def _m2m100(vocabulary_size: int) -> transformers.M2M100ForConditionalGeneration:
    torch.manual_seed(0)
    config = transformers.M2M100Config(
        vocab_size=vocabulary_size,
        **_SMALL,
        max_position_embeddings=64,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=2,
    )
    return _talkative(
        transformers.M2M100ForConditionalGeneration(config), [*range(4), *range(4 + len(LETTERS) + 1, vocabulary_size)]
    )


def _sentencepiece(folder: Path) -> Iterable[str]:
    """Trains letters of a model into the folder. Returns its pieces without the special ones."""
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / "sentencepiece.bpe"
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([" ".join(LETTERS), LETTERS, "ein Hund läuft über die Wiese. Er bellt!"] * 3),
        model_prefix=str(model),
        model_type="char",
        vocab_size=len(LETTERS) + 4,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    trained = sentencepiece.SentencePieceProcessor(model_file=f"{model}.model")
    return [trained.id_to_piece(number) for number in range(3, trained.get_piece_size())]


def _talkative(model: transformers.PreTrainedModel, unlikely: Iterable[int]) -> transformers.PreTrainedModel:
    """The model, made to write letters rather than these tokens: left to chance it may begin with the end."""
    with torch.no_grad():
        model.get_output_embeddings().weight[list(unlikely)] *= 0.01
    return model


def _save(model: transformers.PreTrainedModel, tokenizer: transformers.PreTrainedTokenizerBase, folder: Path) -> Path:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_llama(folder: Path, context: int = 512) -> Path:
    """A causal model without a chat template, that reads byte by byte."""
    special = ["<s>", "</s>"]
    vocabulary = {token: number for number, token in enumerate([*bytes_to_unicode().values(), *special])}
    tokenizer = transformers.Qwen2Tokenizer(  # its bytes, under a Llama
        vocab=vocabulary, merges=[], eos_token="</s>", pad_token="</s>", model_max_length=context
    )
    torch.manual_seed(1)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=context,
        initializer_range=0.5,
        eos_token_id=vocabulary["</s>"],
        bos_token_id=None,
    )
    return _save(transformers.LlamaForCausalLM(config), tokenizer, folder)
