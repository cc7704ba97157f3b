"""How large an engine's key-value cache is made."""

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from kubeswarm_workers.rollout.engine import BLOCK_TOKENS, MIN_CACHE_BYTES, cache_bytes
from kubeswarm_workers.rollout.sampling import EngineSpec

#: SmolLM2-135M: 2 x 30 layers x 3 heads x 64 x 2 bytes a token.
MODEL = SimpleNamespace(num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3, hidden_size=576)
TOKEN_BYTES = 23_040


@given(sequences=st.integers(1, 512), max_tokens=st.integers(1, 8192), context=st.integers(64, 32_768))
def test_holds_a_rounds_completions_and_a_prompt_between_its_bounds(
    sequences: int, max_tokens: int, context: int
) -> None:
    spec = EngineSpec("", "bfloat16", context, sequences, max_tokens, 1.0, "")
    needed = (sequences * -(-max_tokens // BLOCK_TOKENS) + -(-context // BLOCK_TOKENS)) * BLOCK_TOKENS * TOKEN_BYTES
    made = cache_bytes(MODEL, spec, 2, most=2**62)
    assert max(needed, MIN_CACHE_BYTES) <= made
    assert cache_bytes(MODEL, spec, 2, most=made - 1) == made - 1
