import pytest
import torch
from torch import Tensor
from torch.nn import functional

from serve_app.engine.kv_cache import KvCache
from serve_app.model.checkpoint import Checkpoint
from serve_app.model.device import Compute
from serve_app.model.gpt import Gpt
from tests.engine.reference import greedy, load, second_pass
from tests.engine.support import BFLOAT16, CPU, FLOAT32, INT8, largest_difference, make_gpt, make_tokens, make_voice

NUM_TOKENS, NUM_CODES = 21, 30


@torch.inference_mode()
def _forced(checkpoint: Checkpoint, codes: list[int], compute: Compute = FLOAT32) -> tuple[Tensor, Tensor]:
    """Latents [codes, width] and logits [codes, ids] of given codes: the prefix at once, then a code at a time."""
    gpt = make_gpt(checkpoint, compute)
    prompt = greedy(make_tokens(NUM_TOKENS, 1), make_voice(checkpoint, 1), len(codes))
    cache = KvCache(gpt.config, 3, device=CPU, dtype=compute.cache_dtype)
    rows = gpt.embed_prefix(prompt.voice.cond_latents, torch.tensor(prompt.text_tokens))
    latents = [gpt.latents(gpt.hidden(rows, cache.prefill([1], [len(rows)]))[-1:])]
    for position, code in enumerate(codes[:-1]):
        x = gpt.embed_codes(torch.tensor([code]), torch.tensor([position + 1]))
        latents.append(gpt.latents(gpt.hidden(x, cache.decode([1], [len(rows) + position]))))
    together = torch.cat(latents)
    return together, gpt.logits(together)


def _codes() -> list[int]:
    return torch.randint(0, 1_024, (NUM_CODES,), generator=torch.Generator().manual_seed(5)).tolist()


@pytest.mark.parametrize("model", ["synthetic:tiny", "synthetic:full:2"])
def test_latents_and_logits_of_given_codes_equal_coquis(model: str) -> None:
    checkpoint, coqui = load(model)
    codes = _codes()
    latents, logits = _forced(checkpoint, codes)
    prompt = greedy(make_tokens(NUM_TOKENS, 1), make_voice(checkpoint, 1), len(codes))
    expected = second_pass(coqui, prompt, codes)
    assert largest_difference(latents, expected) < 1e-4
    expected_logits = coqui.gpt.mel_head(expected)
    assert largest_difference(logits[:, :1_024], expected_logits[:, :1_024]) < 1e-4  # the others lie near −1000


def test_prefix_equals_coquis() -> None:
    checkpoint, coqui = load("synthetic:tiny")
    tokens, voice = make_tokens(NUM_TOKENS, 2), make_voice(checkpoint, 2)
    coqui.gpt.compute_embeddings(voice.cond_latents[None], torch.tensor([tokens]))  # keeps the prefix for `generate`
    rows = make_gpt(checkpoint).embed_prefix(voice.cond_latents, torch.tensor(tokens))
    assert largest_difference(rows[:-1], coqui.gpt.gpt_inference.cached_prefix_emb[0]) < 1e-6


def test_rows_at_once_equal_rows_one_by_one() -> None:
    """The cache and its positions: a prefix read in one go leaves what reading it row by row leaves."""
    checkpoint, _ = load("synthetic:tiny")
    gpt = make_gpt(checkpoint)
    rows = gpt.embed_prefix(make_voice(checkpoint, 3).cond_latents, torch.tensor(make_tokens(8, 3)))
    cache = KvCache(gpt.config, 2, device=CPU, dtype=torch.float32)
    at_once = gpt.hidden(rows, cache.prefill([0], [len(rows)]))
    one_by_one = [gpt.hidden(row[None], cache.decode([1], [position])) for position, row in enumerate(rows)]
    assert largest_difference(at_once, torch.cat(one_by_one)) < 1e-4


@pytest.mark.parametrize(("compute", "tolerance"), [(BFLOAT16, 0.15), (INT8, 0.15)], ids=["bfloat16", "int8"])
def test_shorter_numbers_stay_near_float32(compute: Compute, tolerance: float) -> None:
    """Latents spread by 1: a wrong scale or a lost bias would show."""
    checkpoint, _ = load("synthetic:tiny")
    exact, exact_logits = _forced(checkpoint, _codes())
    near, near_logits = _forced(checkpoint, _codes(), compute)
    assert 0.8 < exact.std() < 1.2
    assert largest_difference(near, exact) < tolerance
    likeness = functional.cosine_similarity(near_logits[:, :1_024], exact_logits[:, :1_024])
    assert likeness.min() > 0.998


def test_audio_positions_count_from_the_start_code() -> None:
    checkpoint, _ = load("synthetic:tiny")
    gpt: Gpt = make_gpt(checkpoint)
    codes = torch.tensor([7, 7])
    first, second = gpt.embed_codes(codes, torch.tensor([0, 1]))
    table = checkpoint.tensors["gpt.mel_pos_embedding.emb.weight"]
    torch.testing.assert_close(second - first, table[1] - table[0])
