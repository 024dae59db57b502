"""Flow matching on Gaussians, where velocity, path and loss are known."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from tspbench.systems.gen_tse import flow  # noqa: E402

MEAN, SPREAD, SIGMA = 1.5, 0.4, 0.1


def moments(t):
    """Mean and variance of the states at time t, between noise and N(MEAN, SPREAD²)."""
    left = 1 - (1 - SIGMA) * t
    return t * MEAN, left**2 + (t * SPREAD) ** 2


def exact(x, t):
    """The expected velocity of what is at x at time t: a regression of Gaussians."""
    t = t[:, None]
    mean, variance = moments(t)
    slope = (t * SPREAD**2 - (1 - SIGMA) * (1 - (1 - SIGMA) * t)) / variance
    return MEAN + slope * (x - mean)


def solution(noise):
    """Where the exact velocity carries noise: every state keeps its place in the distribution."""
    return MEAN + math.sqrt(moments(1.0)[1]) * noise


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_eulers_method_finds_the_exact_solution_at_first_order(schedule: str) -> None:
    noise = torch.linspace(-3, 3, 25, dtype=torch.float64)[:, None]
    errors = [
        (flow.solve(exact, noise, steps, schedule) - solution(noise)).abs().max().item() for steps in (50, 100, 200)
    ]
    assert errors[-1] < 0.03
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(2, rel=0.1)


def test_one_step_of_a_point_mass_is_exact() -> None:
    """All data in one place: paths are straight, so one step arrives."""
    noise = torch.randn(5, 3, 2, dtype=torch.float64)
    data = torch.tensor([0.3, -2.0], dtype=torch.float64)
    arrived = flow.solve(lambda x, t: (data - x) / (1 - t).view(-1, 1, 1).clamp(min=1e-9), noise, 1)
    torch.testing.assert_close(arrived, data.expand_as(noise))


def test_the_loss_of_the_exact_velocity_is_the_variance_that_is_left() -> None:
    data = MEAN + SPREAD * torch.randn(400_000, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    found = flow.matching_loss(exact, data, SIGMA).item()
    t = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    left, whole = 1 - (1 - SIGMA) * t, SPREAD**2 + (1 - SIGMA) ** 2
    covariance = t * SPREAD**2 - (1 - SIGMA) * left
    expected = (whole - covariance**2 / moments(t)[1]).mean().item()
    assert found == pytest.approx(expected, rel=0.01)
    torch.manual_seed(0)
    assert flow.matching_loss(lambda x, t: exact(x, t) + 0.2, data, SIGMA).item() == pytest.approx(
        found + 0.04, rel=0.02
    )


def test_a_small_network_learns_the_gaussian() -> None:
    torch.manual_seed(0)
    parts = [torch.nn.Linear(2, 48), torch.nn.SiLU(), torch.nn.Linear(48, 48), torch.nn.SiLU(), torch.nn.Linear(48, 1)]
    net = torch.nn.Sequential(*parts)
    optimiser = torch.optim.Adam(net.parameters(), lr=5e-3)

    def velocity(x, t):
        return net(torch.cat([x, t[:, None]], dim=1))

    for step in range(800):
        optimiser.param_groups[0]["lr"] = 5e-3 * (1 - step / 800)
        optimiser.zero_grad()
        flow.matching_loss(velocity, MEAN + SPREAD * torch.randn(512, 1), SIGMA).backward()
        optimiser.step()
    noise = torch.linspace(-2, 2, 401)[:, None]
    with torch.no_grad():
        found = flow.solve(velocity, noise, 100)
    assert (found - solution(noise)).abs().max() < 0.15


def test_both_schedules_begin_and_end_alike() -> None:
    times = torch.linspace(0, 1, 11)
    for schedule in ("linear", "cosine"):
        found = flow.warped(times, schedule)
        assert found[0] == 0
        assert found[-1] == pytest.approx(1)
        assert (found.diff() > 0).all()
