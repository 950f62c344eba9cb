"""MTT: TESLA's exact gradient, on floats, with its own augmentation."""

import numpy as np
import pytest
import torch

from ddoq_core.methods import METHODS
from ddoq_core.methods import mtt as module
from ddoq_core.methods.mtt import Ways
from ddoq_core.methods.shared.learned import floats_of, real_start
from ddoq_core.methods.shared.trajectories import experts
from ddoq_core.methods.shared.unroll import distance_to, unrolled
from ddoq_core.methods.tesla import matching


@pytest.fixture(scope="module")
def run(run_on_squares):
    return run_on_squares(tesla_steps=3, tesla_ipc=[2])


@pytest.fixture(scope="module")
def ways(run):
    return Ways(run, experts(run.store, run.dataset, run.profile, siamese=True))


LABELS = torch.arange(3).repeat_interleave(2)


def matched(run, ways, rate: float):
    rng, images = np.random.default_rng(0), real_start(run, 2, 0)
    start, goal = ways.part(rng)
    loss, way = ways.loss(LABELS, rng), (goal - start).square().sum()
    rates = torch.full((3,), rate)
    return unrolled(loss, (images,), rates, start, distance_to(goal, way)), (loss, images, start, goal)


def test_its_gradient_is_the_exact_one_of_the_row_tesla(run, ways):
    found, (loss, images, start, goal) = matched(run, ways, 0.1)
    tesla = matching(lambda theta, x, i: loss(theta, (x,), i), images, torch.tensor(0.1), start, goal, 3)
    assert tesla.loss == found.value and tesla.images.equal(found.parts[0])
    torch.testing.assert_close(tesla.rate, found.rates.sum())


def test_the_loss_is_one_if_the_student_does_not_move(run, ways):
    assert matched(run, ways, 0.0)[0].value == 1


def test_the_loss_is_nothing_if_the_goal_is_where_the_student_ends(run, ways):
    found, (loss, images, start, _) = matched(run, ways, 0.1)
    way = (found.end - start).square().sum()
    assert unrolled(loss, (images,), torch.full((3,), 0.1), start, distance_to(found.end, way)).value < 1e-10


def test_trajectories_are_augmented_by_dsa_and_are_not_those_of_tesla(run):
    own, theirs = (experts(run.store, run.dataset, run.profile, siamese=siamese) for siamese in (True, False))
    assert (own.step, theirs.step) == ("mtt_experts", "tesla_experts") and own.content != theirs.content


def test_students_of_its_protocol_have_the_learned_rate(run):
    made = run.distilled("mtt", 2)
    assert METHODS["mtt"].own_training(run.profile, made)[1]["learning_rate"] == float(floats_of(made)["rate"])


def test_an_interrupted_set_goes_on_to_the_same_bytes(resumes):
    assert resumes("mtt", module, "unrolled", mtt_steps=5) == 6
