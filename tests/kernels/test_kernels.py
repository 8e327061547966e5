"""Our GPU kernels: played by Triton's interpreter where there is no GPU, and translated for GPUs that are not here."""

import json
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from serve_app.engine.config import EngineConfig
from serve_app.engine.model_runner import ModelRunner
from serve_app.engine.sampler import NEAR_TIE, SamplingRows, sample
from serve_app.engine.sequence import Prompt, SamplingParams, Sequence, Status
from serve_app.kernels import Kernels, load_kernels
from serve_app.model.checkpoint import Checkpoint
from serve_app.model.gpt import LAYER_NORM_EPS, Gpt
from serve_app.model.linear import linear_maker
from tests.engine.reference import load
from tests.engine.support import largest_difference, make_tokens, make_voice

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
NAN = float("nan")


@pytest.fixture(scope="module")
def kernels() -> Kernels:
    return load_kernels()


def _randn(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(DEVICE)


@pytest.mark.parametrize("width", [1_024, 384, 129])
@pytest.mark.parametrize("more_dtype", [None, torch.float32, torch.bfloat16])
def test_sum_and_norm_equal_pytorchs(kernels: Kernels, width: int, more_dtype: torch.dtype | None) -> None:
    x, weight, bias = 5.0 + 3.0 * _randn(3, width), _randn(width, seed=2), _randn(width, seed=3)
    more = None if more_dtype is None else _randn(3, width, seed=4).to(more_dtype)
    expected = x if more is None else x + more
    total, normed = kernels.add_norm(x.clone(), more, weight, bias, LAYER_NORM_EPS, torch.float32)
    assert largest_difference(total.cpu(), expected.cpu()) < 1e-6
    reference = functional.layer_norm(expected, (width,), weight, bias, LAYER_NORM_EPS)
    assert largest_difference(normed.cpu(), reference.cpu()) < 2e-5
    half = kernels.add_norm(x.clone(), more, weight, bias, LAYER_NORM_EPS, torch.bfloat16)[1]
    assert half.dtype is torch.bfloat16
    assert largest_difference(half.float().cpu(), reference.to(torch.bfloat16).float().cpu()) < 0.05


@pytest.mark.parametrize("size", [64, 32])
def test_attention_equals_pytorchs_and_reads_nothing_else(kernels: Kernels, size: int) -> None:
    """Slots of all lengths around the number read at a time; what lies behind them is not a number."""
    heads, slots, positions = 2, 6, 272
    lengths = [0, 1, 127, 128, 129, 260]
    cache = torch.full((slots + 1, 2, heads, positions, size), NAN, device=DEVICE)
    for slot, length in enumerate(lengths):
        cache[slot, :, :, :length] = _randn(2, heads, length, size, seed=slot)
    before, qkv = cache.clone(), _randn(slots, 3, heads, size, seed=9)
    targets = torch.tensor([0, 1, slots, 3, 4, 5], device=DEVICE)  # the third row does not count
    found = kernels.decode_attention(qkv, cache, targets, torch.tensor(lengths, device=DEVICE))
    for row, length in enumerate(lengths):
        q, k, v = (part[:, None] for part in qkv[row])
        keys, values = (torch.cat([before[row, part, :, :length], new], dim=1) for part, new in enumerate((k, v)))
        expected = functional.scaled_dot_product_attention(q, keys, values)[:, 0]
        assert largest_difference(found[row].cpu(), expected.cpu()) < 2e-5, length
        before[targets[row], :, :, length] = qkv[row, 1:]
    assert torch.equal(cache.nan_to_num(7.0), before.nan_to_num(7.0))


def test_rows_attend_alike_in_any_company(kernels: Kernels) -> None:
    cache, qkv = _randn(5, 2, 2, 160, 32), _randn(4, 3, 2, 32, seed=2)
    lengths, targets = torch.tensor([150, 3, 77, 20], device=DEVICE), torch.arange(4, device=DEVICE)
    together = kernels.decode_attention(qkv, cache.clone(), targets, lengths)
    alone = kernels.decode_attention(qkv[:1], cache.clone(), targets[:1], lengths[:1])
    assert torch.equal(together[:1], alone)


def _rows(num: int, vocabulary: int, chance: random.Random) -> SamplingRows:
    return SamplingRows.of(
        [
            SamplingParams(
                temperature=chance.choice((0.1, 0.75, 1.0, 2.0)),
                top_k=chance.choice((0, 1, 2, 50, 64)),
                top_p=chance.choice((0.05, 0.5, 0.85, 1.0)),
                repetition_penalty=chance.choice((1.0, 5.0)),
                seed=chance.getrandbits(63),
                is_greedy=chance.random() < 0.2,
                num_forced_codes=chance.choice((None, 5)),
            )
            for _ in range(num)
        ],
        vocabulary,
        DEVICE,
    )


@pytest.mark.parametrize(
    ("vocabulary", "stop", "num"),
    [(60, 59, 24), (64, 3, 24), pytest.param(1_026, 1_025, 16, marks=pytest.mark.slow)],  # two seconds a row
)
def test_choice_equals_pytorchs(kernels: Kernels, vocabulary: int, stop: int, num: int) -> None:
    """Every kind of sampling, scores in 16 bit with many ties among them, and a seen table with more columns."""
    chance = random.Random(7)
    rows = _rows(num, vocabulary, chance)
    logits = (4.0 * _randn(num, vocabulary)).to(torch.bfloat16).float()
    logits[::5, stop] = 90.0
    logits[1, 7] = -float("inf")
    seen = (torch.rand(num, vocabulary + 5, generator=torch.Generator().manual_seed(3)) < 0.2).to(DEVICE)[
        :, :vocabulary
    ]
    position = torch.arange(num, device=DEVICE) * 17
    codes, ties = kernels.sample(logits.clone(), seen, position, rows.columns, stop, NEAR_TIE)
    expected, near = sample(logits.clone(), seen, position, rows, stop)
    assert codes.tolist() == expected.tolist()
    assert ties.tolist() == near.long().tolist()
    assert len(set(codes.tolist())) > num // 3
    forced = rows.is_forced.tolist()
    assert stop in codes.tolist()
    assert all(code != stop for code, is_forced in zip(codes.tolist(), forced, strict=True) if is_forced)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_score_that_is_no_number_chooses_a_code_that_is(kernels: Kernels) -> None:
    rows = _rows(2, 60, random.Random(1))
    logits = _randn(2, 60)
    logits[0] = NAN
    seen, position = (
        torch.zeros(2, 60, dtype=torch.bool, device=DEVICE),
        torch.zeros(2, dtype=torch.int64, device=DEVICE),
    )
    codes, _ = kernels.sample(logits, seen, position, rows.columns, 59, NEAR_TIE)
    assert 0 <= codes[0].item() < 60
    assert codes[1].item() == sample(logits, seen, position, rows, 59)[0][1].item()


def _spoken(checkpoint: Checkpoint, kernels: Kernels | None, num_steps: int) -> tuple[list[list[int]], Tensor]:
    make_linear = linear_maker(DEVICE, torch.float32, is_int8=False)
    gpt = Gpt(checkpoint.config.gpt, checkpoint.tensors, device=DEVICE, make_linear=make_linear, kernels=kernels)
    config = EngineConfig(max_slots=3)
    runner = ModelRunner(gpt, config, device=DEVICE, cache_dtype=torch.float32, has_fixed_steps=True, kernels=kernels)
    sequences = tuple(
        Sequence(
            seed,
            Prompt(
                make_tokens(8 + 9 * seed, seed),
                make_voice(checkpoint, seed),
                SamplingParams(seed=seed, top_k=(50, 0, 3)[seed]),
            ),
            status=Status.RUNNING,
            slot=(2, 0, 1)[seed],
        )
        for seed in range(3)
    )
    codes = [runner.prefill(sequences).wait().codes]
    for _ in range(num_steps):
        for sequence in sequences:
            sequence.num_codes += 1
        codes.append(runner.decode(sequences).wait().codes)
    return codes, runner.latents(sequences[1]).cpu()


@pytest.mark.parametrize(
    ("has_choice", "num_steps"), [(False, 12), pytest.param(True, 3, marks=pytest.mark.slow)]
)  # the choice is played slowly
def test_speech_is_the_same_with_them(kernels: Kernels, has_choice: bool, num_steps: int) -> None:
    checkpoint, _ = load("synthetic:tiny")
    used = kernels if has_choice else replace(kernels, sample=_as_without)
    codes, latents = _spoken(checkpoint, used, num_steps)
    expected, expected_latents = _spoken(checkpoint, None, num_steps)
    assert codes == expected
    assert largest_difference(latents, expected_latents) < 1e-4


def _as_without(
    logits: Tensor, seen: Tensor, position: Tensor, columns: tuple[Tensor, ...], stop: int, _: float
) -> tuple[Tensor, Tensor]:
    rows = SamplingRows(*columns, max_top_k=logits.shape[1])
    codes, is_near = sample(logits, seen, position, rows, stop)
    return codes, is_near.long()


TRANSLATE = """
import json, sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from serve_app.kernels import add_norm, decode_attention, sample

def found(kernel, types, constants, num_warps, capability):
    signature = {name: types.get(name, "constexpr") for name in kernel.arg_names}
    source = ASTSource(kernel, signature, constexprs={(kernel.arg_names.index(k),): v for k, v in constants.items()})
    made = triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": num_warps})
    return {"shared": made.metadata.shared, "spills": made.asm["ptx"].count(".local"), "binary": len(made.asm["cubin"])}

INT, F32, I64, PF32, FLAG = "i32", "fp32", "*i64", "*fp32", "*i1"
def all_found(capability, half):
    return {
        "add_norm": found(
            add_norm._add_norm,
            dict(x=PF32, delta=half, weight=PF32, bias=PF32, total=PF32, normed=half, width=INT, epsilon=F32),
            dict(HAS_DELTA=True, BLOCK=1024), 4, capability,
        ),
        "decode_attention": found(
            decode_attention._decode_attention,
            dict(qkv=half, cache=half, targets=I64, lengths=I64, out=half, scale=F32,
                 slot_stride=INT, part_stride=INT, head_stride=INT),
            dict(HEADS=16, SIZE=64, BLOCK=128), 8, capability,
        ),
        "sample": found(
            sample._sample,
            dict(logits=PF32, seen=FLAG, temperatures=PF32, top_ks=I64, top_ps=PF32, penalties=PF32, seeds=I64,
                 greedy=FLAG, forced=FLAG, counts=I64, codes=I64, ties=I64,
                 num_ids=INT, seen_stride=INT, stop=INT, near=F32),
            dict(LOG_BLOCK=11), 8, capability,
        ),
    }
print(json.dumps(all_found(int(sys.argv[1]), sys.argv[2])))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("capability", "half"), [(75, "*fp16"), (80, "*bf16"), (89, "*bf16"), (90, "*bf16"), (120, "*bf16")]
)
def test_kernels_translate_for_gpus_that_are_not_here(capability: int, half: str, tmp_path: Path) -> None:
    """From Turing to Blackwell, without spilling registers."""
    environment = {**os.environ, "TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", TRANSLATE, str(capability), half]
    outcome = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300.0, check=False)
    assert outcome.returncode == 0, outcome.stderr[-2_000:]
    for name, found in json.loads(outcome.stdout.splitlines()[-1]).items():
        assert found["binary"] > 1_000, name
        assert found["spills"] == 0, name
        assert found["shared"] <= 48 << 10, name
