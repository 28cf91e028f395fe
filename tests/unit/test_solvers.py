from __future__ import annotations

import collections
import itertools
import math
from typing import Any

import pytest
import torch

from impasto.solvers.adam import Adam, AveragedAdam
from impasto.solvers.lbfgs import LBFGS

SHAPE = (1, 3, 6, 7)


def bowl(curvatures: torch.Tensor, centre: torch.Tensor):
    """A quadratic with its minimum at ``centre``: (loss, gradient) of an image."""

    def evaluate(image: torch.Tensor) -> tuple[float, torch.Tensor]:
        difference = image - centre
        return 0.5 * (curvatures * difference.square()).sum().item(), curvatures * difference

    return evaluate


@pytest.fixture
def problem():
    torch.manual_seed(0)
    curvatures = 10 ** torch.empty(SHAPE).uniform_(-1.5, 1.5)
    return bowl(curvatures, torch.rand(SHAPE) * 0.8 + 0.1)


def minimize(solver, evaluate, steps: int) -> list[float]:
    image, losses = torch.full(SHAPE, 0.5), []
    for _ in range(steps):
        loss, gradient = evaluate(image)
        losses.append(loss)
        image = solver.step(image, loss, gradient)
        assert image.min() >= 0
        assert image.max() <= 1
    return losses


def test_adam_agrees_with_torch():
    torch.manual_seed(0)
    image = torch.rand(SHAPE) * 0.2 + 0.4
    ours, theirs = image.clone(), image.clone().requires_grad_()
    adam = Adam(0.003, 0.9, 0.99, 0.1, "torch")
    reference = torch.optim.Adam([theirs], lr=0.003, betas=(0.9, 0.99), eps=0.1)
    for _ in range(20):
        gradient = torch.randn(SHAPE)
        theirs.grad = gradient
        reference.step()
        ours = adam.step(ours, 0.0, gradient)
    torch.testing.assert_close(ours, theirs.detach())


def test_adam_with_tensorflows_epsilon():
    """Keras' update, written out for one pixel."""
    adam = Adam(0.02, 0.99, 0.999, 0.1, "tensorflow")
    x, m, v = 0.5, 0.0, 0.0
    image = torch.full((1, 1, 1, 1), x)
    for t, g in enumerate([3.0, -1.0, 0.5], start=1):
        image = adam.step(image, 0.0, torch.full((1, 1, 1, 1), g))
        m, v = 0.99 * m + 0.01 * g, 0.999 * v + 0.001 * g * g
        alpha = 0.02 * math.sqrt(1 - 0.999**t) / (1 - 0.99**t)
        x -= alpha * m / (math.sqrt(v) + 0.1)
    assert image.item() == pytest.approx(x, abs=1e-6)


def test_the_two_epsilons_differ():
    gradient = torch.full(SHAPE, 0.01)
    first, second = (
        Adam(0.02, 0.99, 0.999, 0.1, form).step(torch.full(SHAPE, 0.5), 0.0, gradient)
        for form in ("tensorflow", "torch")
    )
    assert not torch.allclose(first, second)


def test_lbfgs_solves_a_badly_scaled_bowl(problem):
    losses = minimize(LBFGS(), problem, 60)
    assert losses[-1] < 1e-4 * losses[0]


def test_lbfgs_needs_far_fewer_steps_than_gradient_descent(problem):
    image = torch.full(SHAPE, 0.5)
    for _ in range(60):
        loss, gradient = problem(image)
        image = (image - gradient / 32).clamp(0, 1)  # as long as the largest curvature allows
    assert minimize(LBFGS(), problem, 60)[-1] < 0.01 * loss


def test_lbfgs_stops_at_the_edge_of_the_range():
    centre = torch.full(SHAPE, 1.5)
    centre[..., ::2] = 0.3
    evaluate = bowl(torch.ones(SHAPE), centre)
    solver, image = LBFGS(), torch.full(SHAPE, 0.5)
    for _ in range(20):
        image = solver.step(image, *evaluate(image))
    torch.testing.assert_close(image, centre.clamp(0, 1), atol=1e-4, rtol=0)


def test_lbfgs_goes_back_half_way_when_the_loss_rises():
    solver = LBFGS()
    start = torch.full(SHAPE, 0.5)
    gradient = torch.ones(SHAPE)
    ahead = solver.step(start, 1.0, gradient)
    back = solver.step(ahead, 2.0, -gradient)
    torch.testing.assert_close(back, (start + ahead) / 2)


def test_lbfgs_starts_anew_from_the_last_good_image_when_no_length_helps():
    solver = LBFGS()
    start, gradient = torch.full(SHAPE, 0.5), torch.ones(SHAPE)
    image = solver.step(start, 1.0, gradient)
    for _ in range(10):
        image = solver.step(image, 2.0, -gradient)
    assert (image < start).all(), "it should still go down the last good gradient"


def averaged() -> AveragedAdam:
    return AveragedAdam(0.02, 0.002, 40, decay=0.9)


def test_the_average_is_nearer_to_the_minimum_than_noisy_steps():
    """Each gradient is of a bowl that is shifted at random, as with views of a picture."""
    torch.manual_seed(0)
    centre = torch.rand(1, 3, 8, 8) / 2 + 0.25
    solver, image = AveragedAdam(0.02, 0.01, 300, decay=0.9), torch.full_like(centre, 0.5)
    for _ in range(300):
        image = solver.step(image, 0.0, image - centre - 0.3 * torch.randn_like(image))
    assert solver.lr == pytest.approx(0.01, rel=0.01)
    assert (solver.result(image) - centre).norm() < (image - centre).norm()


@pytest.mark.parametrize("make", [lambda: Adam(0.01), lambda: averaged(), LBFGS])
def test_state_goes_on_bit_for_bit(make, problem):
    whole, first, second = make(), make(), make()
    image = torch.full(SHAPE, 0.5)
    resumed = image
    for step in range(12):
        image = whole.step(image, *problem(image))
        if step == 6:
            second.load(first.state()())
        resumed = (first if step < 6 else second).step(resumed, *problem(resumed))
    assert torch.equal(image, resumed)


@pytest.mark.parametrize("make", [lambda: Adam(0.01), LBFGS])
def test_restart_halves_the_step_and_forgets(make, problem):
    fresh, restarted = make(), make()
    minimize(restarted, problem, 5)
    restarted.restart()
    image = torch.full(SHAPE, 0.5)
    loss, gradient = problem(image)
    full = fresh.step(image, loss, gradient) - image
    half = restarted.step(image, loss, gradient) - image
    torch.testing.assert_close(half, full / 2, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("make", [lambda: Adam(0.01), LBFGS])
def test_a_zero_gradient_changes_nothing(make):
    solver, image = make(), torch.full(SHAPE, 0.5)
    for _ in range(3):
        assert torch.equal(solver.step(image, 0.0, torch.zeros(SHAPE)), image)


@pytest.mark.parametrize("later_steps", [0, 1, 2, 7])
def test_a_state_stays_valid_when_the_solver_goes_on(later_steps, problem):
    """L-BFGS reuses its memory: an old state must not come out wrong."""
    solver, image = LBFGS(history=3), torch.full(SHAPE, 0.5)
    for _ in range(6):
        image = solver.step(image, *problem(image))
    state, before = solver.state(), solver.state()()
    for _ in range(later_steps):
        image = solver.step(image, *problem(image))
    later = state()
    assert later["order"] == before["order"]
    for slot in before["order"]:
        assert torch.equal(later["vectors"][slot], before["vectors"][slot])
    for name in ("sy", "yy"):
        assert torch.equal(later[name], before[name])


def test_nothing_is_copied_for_states_that_nobody_holds(problem):
    solver, image = LBFGS(history=3), torch.full(SHAPE, 0.5)
    states: collections.deque[Any] = collections.deque(maxlen=2)
    for _ in range(9):
        image = solver.step(image, *problem(image))
        states.append(solver.pairs.state())
        assert not any(state.saved for state in states)


def test_the_inner_products_give_the_textbooks_direction(problem):
    """The two loops over vectors, as in Nocedal & Wright, algorithm 7.4."""
    solver, image = LBFGS(history=4), torch.full(SHAPE, 0.5)
    points = []
    for _ in range(9):
        loss, gradient = problem(image)
        points.append((image.flatten().double(), gradient.flatten().double()))
        image = solver.step(image, loss, gradient)
    pairs = [(b[0] - a[0], b[1] - a[1]) for a, b in itertools.pairwise(points)][-4:]
    loss, gradient = problem(image)
    pairs = [*pairs[1:], (image.flatten() - points[-1][0], gradient.flatten() - points[-1][1])]
    q, alphas = gradient.flatten().double(), []
    for s, y in reversed(pairs):
        alphas.append(s @ q / (s @ y))
        q = q - alphas[-1] * y
    s, y = pairs[-1]
    q = q * (s @ y) / (y @ y)
    for (s, y), alpha in zip(pairs, reversed(alphas), strict=True):
        q = q + (alpha - y @ q / (s @ y)) * s
    assert ((image > 0) & (image < 1)).all(), "no pixel is at its bound here"
    ahead = solver.step(image, loss, gradient).flatten().double()
    expected = (image.flatten() - q).clamp(0, 1)
    torch.testing.assert_close(ahead, expected, atol=1e-4, rtol=1e-3)


def test_lbfgs_finds_the_way_down_where_its_first_step_is_far_too_long():
    """Close to the minimum, and nothing known about the curvature: it tries nearer and nearer."""
    goal = torch.full((1, 3, 8, 8), 0.5)
    image = goal + 1e-5 * torch.linspace(-1, 1, goal.numel()).view_as(goal)
    solver = LBFGS()
    first = float((image - goal).square().sum())
    losses = []
    for _ in range(40):
        losses.append(float((image - goal).square().sum()))
        image = solver.step(image, losses[-1], 2 * (image - goal))
    assert min(losses) < first / 100


def test_a_shorter_history_releases_the_memory_of_the_longer_one():
    solver, image = LBFGS(1.0, history=20), torch.rand(1, 3, 8, 8)
    for _ in range(4):
        image = solver.step(image, float(image.square().sum()), 2 * image)
    solver.limit_history(30)
    assert solver.pairs.vectors.shape[0] == 21
    solver.limit_history(3)
    for _ in range(4):
        image = solver.step(image, float(image.square().sum()), 2 * image)
    assert solver.pairs.vectors.shape[0] == 4
