import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from serve_app.model.config import VocoderConfig
from serve_app.model.frames import FrameGrid
from tests.engine.support import largest_difference

CONFIG = VocoderConfig()
SPEEDS = [0.5, 0.73, 0.8, 1.0, 1.1, 1.25, 1.5, 1.999, 2.0]
WIDTH = 6


def _latents(num_latents: int) -> Tensor:
    return torch.randn(num_latents, WIDTH, generator=torch.Generator().manual_seed(num_latents))


def _reference(latents: Tensor, speed: float) -> Tensor:
    """As `Xtts.inference` and `HifiDecoder.forward` stretch them, [frames, width]."""
    x = latents.T[None]
    if speed != 1.0:
        x = functional.interpolate(x, scale_factor=1.0 / max(speed, 0.05), mode="linear")
    x = functional.interpolate(x, scale_factor=[1_024 / 256], mode="linear")
    x = functional.interpolate(x, scale_factor=[24_000 / 22_050], mode="linear")
    return x[0].T


@pytest.mark.parametrize("speed", SPEEDS)
@pytest.mark.parametrize("num_latents", [6, 7, 17, 100, 301, 602])
def test_frames_equal_the_reference(num_latents: int, speed: float) -> None:
    latents, grid = _latents(num_latents), FrameGrid(CONFIG, speed)
    expected = _reference(latents, speed)
    assert grid.num_frames(num_latents) == len(expected)
    assert largest_difference(grid.frames(latents, 0, len(expected)), expected) < 2e-6


@pytest.mark.parametrize("num_latents", [2, 3])
@pytest.mark.parametrize("speed", SPEEDS)
def test_frames_of_very_short_speech_are_as_many_as_the_references(num_latents: int, speed: float) -> None:
    assert FrameGrid(CONFIG, speed).num_frames(num_latents) == len(_reference(_latents(num_latents), speed))


@settings(max_examples=150, deadline=None)
@given(st.integers(2, 120), st.floats(0.5, 2.0), st.data())
def test_any_run_of_frames_is_cut_from_the_whole(num_latents: int, speed: float, data: st.DataObject) -> None:
    latents, grid = _latents(num_latents), FrameGrid(CONFIG, speed)
    num_frames = grid.num_frames(num_latents)
    start = data.draw(st.integers(0, num_frames - 1))
    stop = data.draw(st.integers(start + 1, num_frames))
    whole = grid.frames(latents, 0, num_frames)
    assert torch.equal(grid.frames(latents, start, stop), whole[start:stop])


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 80), st.integers(1, 40), st.floats(0.5, 2.0))
def test_settled_frames_stay_whatever_comes(num_latents: int, num_more: int, speed: float) -> None:
    latents, grid = _latents(num_latents + num_more), FrameGrid(CONFIG, speed)
    num_settled = grid.num_settled(num_latents)
    assert 0 <= num_settled <= grid.num_frames(num_latents)
    if num_settled:
        early = grid.frames(latents[:num_latents], 0, num_settled)
        assert torch.equal(early, grid.frames(latents, 0, num_settled))


@pytest.mark.parametrize("speed", SPEEDS)
def test_no_settled_frame_is_held_back(speed: float) -> None:
    """The first frame that is not settled does change when the next latent is another."""
    latents, grid = _latents(40), FrameGrid(CONFIG, speed)
    other = latents.clone()
    other[20:] += 1.0
    num_settled = grid.num_settled(20)
    assert num_settled > 0
    frame = (num_settled, num_settled + 1)
    assert not torch.equal(grid.frames(latents, *frame), grid.frames(other, *frame))


@pytest.mark.parametrize("speed", SPEEDS)
def test_a_single_code_is_heard_at_every_speed(speed: float) -> None:
    """The reference fails here above speed 1: it rounds one latent down to none."""
    latents, grid = _latents(1), FrameGrid(CONFIG, speed)
    num_frames = grid.num_frames(1)
    assert num_frames >= 4
    assert largest_difference(grid.frames(latents, 0, num_frames), latents.expand(num_frames, WIDTH)) < 1e-6


def test_equal_rates_need_no_second_stretch() -> None:
    config = VocoderConfig(input_sample_rate_hz=24_000)
    assert FrameGrid(config, 1.0).num_frames(10) == 40
