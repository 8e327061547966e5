import pytest
import torch
from torch import Tensor
from torch.nn import functional

from serve_app.model.device import Compute
from serve_app.model.linear import Activation, DenseLinear, Int8Linear, equal_rows, linear_maker
from tests.engine.support import BFLOAT16, CPU, FLOAT32, INT8, largest_difference

INPUTS, OUTPUTS = 96, 128  # outputs a multiple of 64, as in every model: no ragged ends of vectors
ROW_COUNTS = [1, 2, 7, 8, 9, 16, 17, 31, 32, 33, 200]  # both sides of every path's limits
INT8_TOLERANCE = 0.06 if torch.cpu._is_vnni_supported() else 0.1  # inputs of 7 bit there


def _layer(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(OUTPUTS, INPUTS, generator=generator) / INPUTS**0.5, torch.randn(OUTPUTS, generator=generator)


def _rows(num_rows: int) -> Tensor:
    return torch.randn(num_rows, INPUTS, generator=torch.Generator().manual_seed(num_rows))


def _expected(x: Tensor, activation: Activation, bias: Tensor | None) -> Tensor:
    y = functional.linear(x.double(), _layer()[0].double(), None if bias is None else bias.double())
    return (functional.gelu(y, approximate="tanh") if activation == "gelu" else y).float()


@pytest.mark.parametrize("num_rows", ROW_COUNTS)
@pytest.mark.parametrize("activation", ["none", "gelu"])
@pytest.mark.parametrize(
    ("compute", "tolerance"),
    [(FLOAT32, 1e-5), (BFLOAT16, 0.05), (INT8, INT8_TOLERANCE)],
    ids=["float32", "bfloat16", "int8"],
)
def test_product_is_the_plain_one(num_rows: int, activation: Activation, compute: Compute, tolerance: float) -> None:
    weight, bias = _layer()
    make = linear_maker(compute.device, compute.dtype, is_int8=compute.is_int8)
    x = _rows(num_rows)
    assert largest_difference(make(weight, bias, activation)(x).float(), _expected(x, activation, bias)) < tolerance
    assert largest_difference(make(weight, None, activation)(x).float(), _expected(x, activation, None)) < tolerance


def test_dense_product_is_the_plain_one() -> None:
    weight, bias = _layer()
    x = _rows(5)
    assert largest_difference(DenseLinear(weight, bias, "gelu")(x), _expected(x, "gelu", bias)) < 1e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_maker_keeps_the_number_format(dtype: torch.dtype) -> None:
    make = linear_maker(CPU, dtype, is_int8=False)
    assert make(*_layer(), "none")(_rows(3)).dtype is dtype


def test_int8_row_is_bitwise_the_same_in_any_company() -> None:
    layer = linear_maker(CPU, torch.float32, is_int8=True)(*_layer(), "gelu")
    rows = _rows(40)
    alone = torch.cat([layer(row[None]) for row in rows])
    loud = torch.cat([rows, 1e4 * torch.ones(1, INPUTS)])  # a scale shared by the rows would be spoilt by it
    assert torch.equal(layer(rows), alone)
    assert torch.equal(layer(loud)[:40], alone)


def test_int8_row_of_zeros_gives_the_bias() -> None:
    weight, bias = _layer()
    layer = linear_maker(CPU, torch.float32, is_int8=True)(weight, bias, "none")
    torch.testing.assert_close(layer(torch.zeros(1, INPUTS))[0], bias)


def test_int8_keeps_a_scale_for_each_output() -> None:
    weight = _layer()[0] * torch.logspace(-3, 3, OUTPUTS)[:, None]
    layer = linear_maker(CPU, torch.float32, is_int8=True)(weight, None, "none")
    x = _rows(16)
    expected = functional.linear(x, weight)
    relative = (layer(x) - expected).norm(dim=0) / expected.norm(dim=0)
    assert relative.max() < 0.03


def test_weight_may_be_a_transposed_view() -> None:
    """As transformers' Conv1D keeps it."""
    weight, bias = _layer()
    x = _rows(4)
    for compute in (FLOAT32, INT8):
        make = linear_maker(CPU, compute.dtype, is_int8=compute.is_int8)
        turned = make(weight.T.contiguous().T, bias, "none")(x)
        assert torch.equal(turned, make(weight, bias, "none")(x))


def test_int8_without_vnni_cannot_overflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """There two neighbouring products are added in 16 bit: inputs of 7 bit keep the largest such sum below its end."""
    weight, rows = torch.full((OUTPUTS, INPUTS), 0.7), torch.ones(3, INPUTS)
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: False)
    layer = Int8Linear(weight, None, "none")
    assert 2 * 127 * (2 * layer._max_level + 1) < 2**15
    assert largest_difference(layer(rows), functional.linear(rows, weight)) < 1e-3
    x = _rows(9)
    assert largest_difference(Int8Linear(*_layer(), "none")(x), _expected(x, "none", _layer()[1])) < 0.1


@pytest.mark.parametrize("num_slots", [16] if torch.cpu._is_avx512_supported() else [1, 4, 16, 32])
def test_float32_row_is_bitwise_the_same_wherever_it_stands(num_slots: int) -> None:
    """Among as many rows as deterministic mode takes for so many slots."""
    layer = linear_maker(CPU, torch.float32, is_int8=False)(*_layer(), "gelu")
    multiple = equal_rows(CPU)
    rows = _rows(-(-num_slots // multiple) * multiple)
    for turn in range(1, len(rows)):
        assert torch.equal(layer(rows.roll(turn, 0)), layer(rows).roll(turn, 0))
