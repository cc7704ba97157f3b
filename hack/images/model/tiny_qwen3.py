# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["torch==2.13.0", "transformers==5.19.0"]
# ///
"""Write a tiny Qwen3 with random weights and a tokenizer of characters: `tiny_qwen3.py FOLDER`.

It knows nothing, has the same weights on every machine, and generates thousands of tokens a second on a CPU.
"""

import string
import sys

import torch
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

SEED = 0
SPECIAL = ("<|pad|>", "<|end|>")
SYMBOLS = f"{string.ascii_letters}{string.digits}{string.punctuation} \n"


def tokenizer() -> PreTrainedTokenizerFast:
    """One token a character, and no chat template."""
    vocabulary = {token: number for number, token in enumerate((*SPECIAL, *SYMBOLS))}
    characters = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    characters.decoder = decoders.Fuse()
    pad, end = SPECIAL
    return PreTrainedTokenizerFast(
        tokenizer_object=characters,
        pad_token=pad,
        eos_token=end,
        model_max_length=2048,
        clean_up_tokenization_spaces=False,
    )


def model() -> Qwen3ForCausalLM:
    torch.manual_seed(SEED)
    config = Qwen3Config(
        vocab_size=len(SPECIAL) + len(SYMBOLS),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=1,
        dtype=torch.float32,
    )
    return Qwen3ForCausalLM(config)


if __name__ == "__main__":
    tokenizer().save_pretrained(sys.argv[1])
    model().save_pretrained(sys.argv[1])
