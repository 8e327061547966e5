import pytest
import torch
from torch import Tensor
from transformers.generation.logits_process import (
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from serve_app.engine.sampler import NEAR_TIE, SamplingRows, gumbel_noise, sample
from serve_app.engine.sequence import SamplingParams

VOCABULARY, STOP = 96, 95
CPU = torch.device("cpu")


def _rows(params: list[SamplingParams]) -> SamplingRows:
    return SamplingRows.of(params, VOCABULARY, CPU)


def _logits(num_rows: int, seed: int = 0, scale: float = 2.5) -> Tensor:
    return scale * torch.randn(num_rows, VOCABULARY, generator=torch.Generator().manual_seed(seed))


def _seen(ids: list[int]) -> Tensor:
    return torch.zeros(1, VOCABULARY, dtype=torch.bool).index_fill(1, torch.tensor(ids, dtype=torch.int64), True)


def _reference(logits: Tensor, ids: list[int], params: SamplingParams) -> Tensor:
    """Probabilities [ids] by transformers' own processors, in the order of its `generate`."""
    scores = RepetitionPenaltyLogitsProcessor(params.repetition_penalty)(torch.tensor([ids]), logits.clone())
    scores = TemperatureLogitsWarper(params.temperature)(torch.tensor([ids]), scores)
    if params.top_k:
        scores = TopKLogitsWarper(params.top_k)(torch.tensor([ids]), scores)
    if params.top_p < 1.0:
        scores = TopPLogitsWarper(params.top_p)(torch.tensor([ids]), scores)
    return torch.softmax(scores, dim=-1)[0]


def _draws(logits: Tensor, ids: list[int], params: SamplingParams, num_draws: int, first_seed: int = 0) -> Tensor:
    """How often each id is drawn, [ids], over seeds one after another."""
    seeded = [
        SamplingParams(params.temperature, params.top_k, params.top_p, params.repetition_penalty, seed)
        for seed in range(first_seed, first_seed + num_draws)
    ]
    position = torch.full((num_draws,), 11)
    codes, _ = sample(logits.expand(num_draws, -1), _seen(ids).expand(num_draws, -1), position, _rows(seeded), STOP)
    return torch.bincount(codes, minlength=VOCABULARY)


PARAMS = [
    SamplingParams(),
    SamplingParams(temperature=1.0, top_k=0, top_p=1.0, repetition_penalty=1.0),
    SamplingParams(temperature=0.3, top_k=7, top_p=0.95, repetition_penalty=10.0),
    SamplingParams(temperature=1.7, top_k=40, top_p=0.6, repetition_penalty=2.0),
    SamplingParams(temperature=1.2, top_k=0, top_p=0.9, repetition_penalty=0.5),
]


@pytest.mark.parametrize("params", PARAMS, ids=range(len(PARAMS)))
def test_draws_follow_the_distribution_of_transformers(params: SamplingParams) -> None:
    """Chi-square over 40,000 seeds; ids that transformers filters out are never drawn."""
    ids = [1, 5, 5, 40, 77]
    logits = _logits(1, seed=3, scale=1.5)
    expected = _reference(logits, ids, params) * 40_000
    observed = _draws(logits, ids, params, 40_000)
    assert observed[expected == 0].sum() == 0
    is_frequent = expected >= 8
    rest = torch.tensor([expected[~is_frequent].sum(), observed[~is_frequent].sum()])
    pairs = torch.stack([torch.cat([expected[is_frequent], rest[:1]]), torch.cat([observed[is_frequent], rest[1:]])])
    pairs = pairs[:, pairs[0] > 1e-6]
    chi_square = ((pairs[1] - pairs[0]) ** 2 / pairs[0]).sum()
    num_free = pairs.shape[1] - 1
    assert num_free >= 2
    assert chi_square < num_free + 4.5 * (2 * num_free) ** 0.5  # mean and deviations of the distribution


def _favoured(
    monkeypatch: pytest.MonkeyPatch, logits: Tensor, ids: list[int], params: SamplingParams, boosts: Tensor
) -> Tensor:
    """What is chosen [ids] when the noise is nothing but `boosts[i]` for the id i, in a row of its own."""

    def noise(seed: Tensor, position: Tensor, candidates: Tensor) -> Tensor:
        favourites = torch.arange(VOCABULARY)[:, None]
        return torch.where(candidates == favourites, boosts[:, None], torch.zeros(()))

    monkeypatch.setattr("serve_app.engine.sampler.gumbel_noise", noise)
    everyone = logits.expand(VOCABULARY, -1), _seen(ids).expand(VOCABULARY, -1)
    return sample(*everyone, torch.zeros(VOCABULARY, dtype=torch.int64), _rows([params] * VOCABULARY), STOP)[0]


def _random_params(seed: int) -> SamplingParams:
    generator = torch.Generator().manual_seed(seed)
    temperature, top_p, penalty = torch.rand(3, generator=generator).tolist()
    top_k = int(torch.randint(0, VOCABULARY + 20, (), generator=generator))
    return SamplingParams(0.1 + 2 * temperature, top_k, 0.05 + 0.95 * top_p, 0.5 + 9 * penalty)


@pytest.mark.parametrize("seed", range(60))
def test_support_and_probabilities_equal_those_of_transformers(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """An id wins over the best one as soon as its noise makes up for log(best probability / its probability)."""
    params = PARAMS[seed] if seed < len(PARAMS) else _random_params(seed)
    logits, ids = (
        _logits(1, seed),
        torch.randint(0, VOCABULARY, (9,), generator=torch.Generator().manual_seed(seed)).tolist(),
    )
    expected = _reference(logits, ids, params).double()
    kept, best = expected > 0, int(expected.argmax())
    everything = torch.arange(VOCABULARY)
    overwhelming = _favoured(monkeypatch, logits, ids, params, torch.full((VOCABULARY,), 1e6))
    assert torch.equal(overwhelming == everything, kept)
    needed = (expected[best] / expected).log().clamp_max(1e3).float()
    enough = _favoured(monkeypatch, logits, ids, params, needed + 2e-5)
    assert torch.equal(enough[kept], everything[kept])
    too_little = _favoured(monkeypatch, logits, ids, params, needed - 2e-5)
    assert bool((too_little[kept & (everything != best)] == best).all())


def test_greedy_takes_the_best_after_the_penalty() -> None:
    logits = torch.full((1, VOCABULARY), -5.0)
    logits[0, [10, 20]] = torch.tensor([4.0, 3.0])

    def choose(ids: list[int], penalty: float) -> int:
        rows = _rows([SamplingParams(is_greedy=True, repetition_penalty=penalty)])
        return int(sample(logits, _seen(ids), torch.tensor([0]), rows, STOP)[0])

    assert choose([], 5.0) == 10
    assert choose([10], 5.0) == 20
    assert choose([10], 1.2) == 10
    assert choose([10, 20], 5.0) == 10


def test_rows_keep_to_their_own_parameters() -> None:
    """A row's code is the same alone and beside rows of other limits."""
    params = [SamplingParams(seed=seed, top_k=[1, 5, 0, 50][seed % 4], is_greedy=seed % 5 == 0) for seed in range(40)]
    logits, seen, position = _logits(40, 9), torch.zeros(40, VOCABULARY, dtype=torch.bool), torch.arange(40)
    together, _ = sample(logits, seen, position, _rows(params), STOP)
    alone = [
        sample(logits[i : i + 1], seen[i : i + 1], position[i : i + 1], _rows([params[i]]), STOP)[0] for i in range(40)
    ]
    assert torch.equal(together, torch.cat(alone))


def test_equal_scores_rank_by_id_whatever_the_batch() -> None:
    """Scores in bfloat16 are often equal: who else is in the batch must not decide between them."""
    logits = torch.randn(64, VOCABULARY, generator=torch.Generator().manual_seed(2)).mul(2.0).round()
    seen, position = torch.zeros(64, VOCABULARY, dtype=torch.bool), torch.zeros(64, dtype=torch.int64)
    for params in (SamplingParams(is_greedy=True), SamplingParams(top_k=5, top_p=0.5)):
        outcomes = []
        for company in (1, 2, 17, VOCABULARY):
            rows = _rows([params] * 64 + [SamplingParams(top_k=company)])
            everyone = torch.cat([logits, logits[:1]]), torch.cat([seen, seen[:1]]), torch.cat([position, position[:1]])
            outcomes.append(sample(*everyone, rows, STOP)[0][:64])
        assert all(torch.equal(outcome, outcomes[0]) for outcome in outcomes)
        if params.is_greedy:
            assert torch.equal(outcomes[0], logits.argmax(dim=-1))


def test_stop_is_never_chosen_under_a_forced_length() -> None:
    logits = _logits(1, 1)
    logits[0, STOP] = 100.0
    for is_greedy in (True, False):
        free = _rows([SamplingParams(is_greedy=is_greedy)])
        forced = _rows([SamplingParams(is_greedy=is_greedy, num_forced_codes=9)])
        assert sample(logits, _seen([]), torch.tensor([0]), free, STOP)[0].item() == STOP
        assert sample(logits, _seen([]), torch.tensor([0]), forced, STOP)[0].item() != STOP


@pytest.mark.parametrize(("gap", "is_near"), [(NEAR_TIE / 2, True), (NEAR_TIE * 2, False)])
def test_near_tie_is_told(gap: float, is_near: bool) -> None:
    logits = torch.full((1, VOCABULARY), -5.0)
    logits[0, 3], logits[0, 4] = 0.25, 0.25 + gap
    codes, flags = sample(logits, _seen([]), torch.tensor([0]), _rows([SamplingParams(is_greedy=True)]), STOP)
    assert codes.item() == 4
    assert flags.item() is is_near


def test_noise_is_gumbels() -> None:
    """exp(−exp(−noise)) is uniform: 100 bins of 200,000 values, and mean and variance as they must be."""
    noise = gumbel_noise(torch.arange(200), torch.arange(200) % 7, torch.arange(1_000).expand(200, -1))
    assert bool(torch.isfinite(noise).all())
    uniform = torch.exp(-torch.exp(-noise.double())).flatten()
    counts = torch.histc(uniform.float(), 100, 0.0, 1.0)
    chi_square = ((counts - 2_000) ** 2 / 2_000).sum()
    assert 50 < chi_square < 160  # 99 degrees of freedom
    assert abs(noise.mean() - 0.5772) < 0.01
    assert abs(noise.var() - torch.pi**2 / 6) < 0.03


@pytest.mark.parametrize("axis", ["seed", "position", "id"])
def test_noise_of_neighbours_is_independent(axis: str) -> None:
    """Seeds, positions and ids one apart: no correlation, no value twice."""
    count, same = torch.arange(20_000), torch.zeros(20_000, dtype=torch.int64)

    def noise(shift: int) -> Tensor:
        seed, position, ids = (count + shift if axis == name else same for name in ("seed", "position", "id"))
        return gumbel_noise(seed, position, ids[:, None])[:, 0]

    noises = noise(0), noise(1)
    assert len(noises[0].unique()) > 19_900
    correlation = torch.corrcoef(torch.stack(noises))[0, 1]
    assert abs(correlation) < 0.03


def test_noise_is_a_matter_of_seed_position_and_id_alone() -> None:
    seeds, positions = torch.tensor([7, 8, 2**62]), torch.tensor([0, 300, 5])
    ids = torch.stack([torch.randperm(VOCABULARY, generator=torch.Generator().manual_seed(row)) for row in range(3)])
    together = gumbel_noise(seeds, positions, ids)
    for row in range(3):
        order = ids[row].argsort()
        alone = gumbel_noise(seeds[row : row + 1], positions[row : row + 1], torch.arange(VOCABULARY)[None])
        assert torch.equal(together[row][order], alone[0])


def test_seeds_beyond_int64_are_taken() -> None:
    rows = _rows([SamplingParams(seed=2**64 + 5), SamplingParams(seed=-3)])
    assert rows.seed[0].item() == 5
    assert rows.seed[1].item() >= 0
