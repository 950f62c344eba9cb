"""DD, RTP and HaBa: what is learned through an unrolled training, and what a student of it does."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ddoq_core.errors import InputError
from ddoq_core.methods import METHODS, dd, haba, rtp
from ddoq_core.methods.dd import by_xavier, learned_steps, step_loss
from ddoq_core.methods.haba import hallucinated, near_identities
from ddoq_core.methods.method import SetSize
from ddoq_core.methods.mtt import Ways
from ddoq_core.methods.rtp import addressed, addresses_of_class, stretched, table_loss
from ddoq_core.methods.shared.learned import floats_of, fresh_network
from ddoq_core.methods.shared.trajectories import experts
from ddoq_core.methods.shared.unroll import distance_to, unrolled
from ddoq_core.networks.classifiers import make_network
from ddoq_core.randomness import torch_rng
from ddoq_core.runs.jobs import Student, train_student
from ddoq_core.store.artifacts import Workspace

from ..stand_ins import stand_in


def normal(*shape: int, name: str = "x") -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch_rng(0, name))


LABELS = torch.arange(3).repeat_interleave(2)  # two sets of one image of each class


def small() -> torch.nn.Module:
    return make_network("convnet-4", 3, 1, 8, torch_rng(1, "t")).double().requires_grad_(False)


def trained(images: torch.Tensor, rates: torch.Tensor) -> torch.Tensor:
    network = small()
    start = torch.nn.utils.parameters_to_vector(network.parameters())
    end = distance_to(torch.zeros_like(start), torch.tensor(1.0, dtype=torch.float64))
    return unrolled(step_loss(network, LABELS, 2), (images,), rates, start, end).end


def test_the_order_of_the_sets_matters_and_that_of_the_images_in_a_set_does_not():
    images, rates = normal(6, 1, 8, 8), torch.full((6,), 0.3, dtype=torch.float64)
    sets = images.view(3, 2, 1, 8, 8)
    assert (trained(images, rates) - trained(sets.flip(1).reshape(6, 1, 8, 8), rates)).norm() > 1e-3
    network = small()
    start = torch.nn.utils.parameters_to_vector(network.parameters())
    own = step_loss(network, LABELS, 2)
    order = torch.tensor([4, 5, 2, 3, 0, 1])  # classes change places, each in its set
    other = step_loss(network, LABELS[order], 2)
    for i in range(2):
        torch.testing.assert_close(own(start, (images,), i), other(start, (images[order],), i))


def test_one_step_of_a_linear_network_with_a_squared_loss_is_known_in_closed_form():
    """theta = a x: its squared distance to g has the gradient 2 (a x - g) a in x and 2 (a x - g) x in a."""
    x, g = normal(3), normal(3, name="g")
    rate = torch.tensor([0.7], dtype=torch.float64)
    end = distance_to(g, torch.tensor(1.0, dtype=torch.float64))
    found = unrolled(lambda theta, parts, i: -(theta * parts[0]).sum(), (x,), rate, torch.zeros_like(x), end)
    torch.testing.assert_close(found.parts[0], 2 * (0.7 * x - g) * 0.7)
    torch.testing.assert_close(found.rates[0], 2 * (0.7 * x - g) @ x)


def test_a_students_training_is_the_learned_steps_and_nothing_else(run_on_squares):
    run = run_on_squares(dd_steps=3)
    made, network = run.distilled("dd", 2), fresh_network(run_on_squares(), "convnet-8", 0, "student")
    kept, by_hand = floats_of(made), by_xavier(copy.deepcopy(network), torch_rng(0, "xavier"))
    assert kept["rates"].shape == (6,) and (kept["rates"] > 0).all()
    learned_steps(stand_in(Workspace), network, made, run.dataset, run.profile, (0,))
    images = run.dataset.normalise(kept["images"])
    for i, rate in enumerate(kept["rates"]):
        by_hand.zero_grad()
        F.cross_entropy(by_hand(images[[i % 2, 2 + i % 2, 4 + i % 2]]), torch.arange(3)).backward()
        for parameter in by_hand.parameters():
            parameter.data -= rate * parameter.grad
    for mine, true in zip(network.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(mine, true)


def test_xaviers_law_has_a_variance_by_both_ends_and_no_biases(run_on_squares):
    network = fresh_network(run_on_squares(), "convnet-64", 0, "x")
    norms = {name: p.clone() for name, p in network.named_parameters() if p.ndim == 1}
    layers = [m for m in by_xavier(network, torch_rng(0, "x")).modules() if hasattr(m, "weight") and m.weight.ndim > 1]
    for layer in layers[1:]:
        fan_in, fan_out = layer.weight[0].numel(), layer.weight[:, 0].numel()
        assert layer.weight.var().item() == pytest.approx(2 / (fan_in + fan_out), rel=0.15)
    assert all(layer.bias is None or not layer.bias.any() for layer in layers)
    kept = [name for name, p in network.named_parameters() if p.ndim == 1 and p.equal(norms[name])]
    assert any("weight" in name for name in kept)  # the norms


def test_from_a_known_network_dd_learns_to_train_that_one_whatever_the_students_own_seed(
    run_on_squares, squares, monkeypatch
):
    monkeypatch.setattr("ddoq_core.runs.jobs._dataset_of", lambda profile: squares)
    run = run_on_squares(dd_steps=40, dd_known=True, dd_network="convnet-8", students=["convnet-8"])
    summary = run.distilled("dd", 2).artifact.json("learned.json")
    assert summary["end_loss"] < 0.97 * summary["start_loss"]
    students = [train_student(run.job(Student("dd", 2, "convnet-8", "own", 0, seed))) for seed in (5, 6)]
    weights = [(s.path / "student.safetensors").read_bytes() for s in students]
    assert weights[0] == weights[1]


def test_buffers_cannot_be_unrolled(run_on_squares):
    with pytest.raises(InputError, match="dd_network = convnet-4-bn has buffers"):
        run_on_squares(dd_network="convnet-4-bn").distilled("dd", 2)


def test_addressed_by_single_rows_the_bases_are_the_images():
    bases = normal(4, 1, 8, 8)
    assert addressed(bases, torch.eye(4, dtype=torch.float64), 1).equal(bases)
    assert addressed(bases, torch.eye(4, dtype=torch.float64), 2).shape == (4, 1, 16, 16)


def test_with_addresses_that_select_and_no_momentum_the_tables_are_dds_pixels():
    """And classes with the same addresses have the same images."""
    network, images = small(), normal(6, 1, 8, 8)
    start = torch.nn.utils.parameters_to_vector(network.parameters())
    end = distance_to(torch.zeros_like(start), torch.tensor(1.0, dtype=torch.float64))
    rates = torch.full((4,), 0.2, dtype=torch.float64)
    rows = torch.stack([torch.arange(i % 2, 6, 2) for i in range(4)])
    labels = torch.arange(3).expand(4, -1)
    selecting = torch.eye(6, dtype=torch.float64)
    plain = unrolled(step_loss(network, LABELS, 2), (images,), rates, start, end)
    tables = unrolled(table_loss(network, labels, rows, 1), (images, selecting), rates, start, end)
    torch.testing.assert_close(tables.parts[0], plain.parts[0])
    torch.testing.assert_close(tables.end, plain.end)
    same = addressed(images, selecting[[0, 0]], 1)
    assert same[0].equal(same[1])


def test_tables_hold_no_more_floats_than_the_images_that_they_stand_for():
    for ipc, classes, pixels, bases in ((1, 10, 1024, 16), (10, 10, 3072, 16), (2, 3, 256, 2)):
        r = addresses_of_class(ipc, classes, pixels, bases)
        held = bases * pixels // 4 + classes * r * bases
        assert held <= ipc * pixels * classes < held + classes * bases
        assert r > ipc
    with pytest.raises(InputError, match="rtp_bases = 64 leave no room for addresses at ipc = 1; lower rtp_bases"):
        addresses_of_class(1, 3, 256, 64)


def test_a_student_of_tables_sees_all_their_images_and_hallucinators_one_for_each_base(run_on_squares):
    run = run_on_squares(tesla_ipc=[2])
    tables = floats_of(run.distilled("rtp", 2))
    images, labels = rtp._shown(tables, run.dataset, 2, (0, "e"))
    r = addresses_of_class(2, 3, 256, run.profile.rtp_bases)
    assert len(images) == 3 * r and torch.bincount(labels).tolist() == [r] * 3
    bases = floats_of(run.distilled("haba", 2))
    first, labels = haba._shown(bases, run.dataset, 2, (0, "e", 0))
    assert first.shape == (6, 1, 16, 16) and labels.tolist() == [0, 0, 1, 1, 2, 2]
    others = [haba._shown(bases, run.dataset, 2, (0, "e", i))[0] for i in range(1, 6)]
    assert any(not first.equal(other) for other in others)


def test_pictures_of_tables_have_the_contrast_of_the_data(run_on_squares):
    """Their floats have little: at eight bits they would be grey."""
    run = run_on_squares()
    made, data = run.distilled("rtp", 2), run.dataset.normalise(run.dataset.train.images(torch.arange(36)))
    faint = addressed(*(floats_of(made)[name] for name in ("bases", "addresses")), 2)
    assert faint.std() < 0.2 * data.std()
    assert stretched(faint).flatten(1).std(1).tolist() == pytest.approx([1] * len(faint), abs=1e-3)
    assert run.dataset.normalise(made.images()).std() > 0.5 * data.std()


def test_hallucinators_stay_near_the_identity_at_the_rate_of_the_bases(run_on_squares):
    """At one rate for both, kernels of size 1 jump by 8 in a step, and all pixels leave [0, 1]."""
    run = run_on_squares(tesla_ipc=[2], mtt_steps=30, mtt_rate=10.0)
    kept = floats_of(run.distilled("haba", 2))
    start = near_identities(len(kept["conv"]), 1, 16, 0.0, torch_rng(0, "t"))
    assert (kept["conv"] - start[0]).abs().max() < 0.5 and (kept["conv"] - start[0]).abs().max() > 0


def test_identities_change_no_base():
    bases = normal(4, 2, 8, 8)
    made = tuple(t.double() for t in near_identities(3, 2, 8, 0.0, torch_rng(0, "t")))
    inner = hallucinated((bases, *made), 1)[..., 1:-1, 1:-1]
    torch.testing.assert_close(inner, bases[..., 1:-1, 1:-1])  # a border of one pixel is lost without padding


def test_one_identity_hallucinator_has_the_gradient_of_mtt_inside(run_on_squares):
    run = run_on_squares(tesla_ipc=[2], tesla_steps=3)
    ways = Ways(run, experts(run.store, run.dataset, run.profile, siamese=True))
    bases = torch.zeros(6, 1, 16, 16)
    bases[..., 2:-2, 2:-2] = torch.randn(6, 1, 12, 12, generator=torch_rng(0, "bases"))
    parts = (bases, *near_identities(1, 1, 16, 0.0, torch_rng(0, "t")))
    found = []
    for learned, images_of in (((bases,), None), (parts, lambda parts, i: hallucinated(parts, 0))):
        rng = np.random.default_rng(0)
        start, goal = ways.part(rng)
        end = distance_to(goal, (goal - start).square().sum())
        loss = ways.loss(LABELS, rng, images_of)
        found.append(unrolled(loss, learned, torch.full((3,), 0.1), start, end))
    assert found[0].value == pytest.approx(found[1].value, rel=1e-5)
    inside = [f.parts[0][..., 1:-1, 1:-1] for f in found]
    torch.testing.assert_close(inside[0], inside[1], rtol=1e-3, atol=1e-6)
    assert all(part.abs().max() > 0 for part in found[1].parts)  # hallucinators learn too


def test_the_contrast_is_one_for_equal_hallucinations_and_less_for_others(run_on_squares):
    network = fresh_network(run_on_squares(), "convnet-4", 0, "t")
    one, other = (torch.randn(4, 1, 16, 16, generator=torch_rng(i, "x")) for i in range(2))
    assert float(haba.contrast(network, one, one)) == pytest.approx(1, abs=1e-5)
    assert float(haba.contrast(network, one, other)) < 0.99


@pytest.mark.parametrize(("name", "module", "steps"), [("dd", dd, "dd"), ("rtp", rtp, "rtp"), ("haba", haba, "mtt")])
def test_an_interrupted_set_goes_on_to_the_same_bytes(resumes, name, module, steps):
    assert resumes(name, module, "unrolled", **{f"{steps}_steps": 5, "tesla_ipc": [2]}) == 6


def test_the_protocols_are_the_published_ones(run_on_squares):
    run = run_on_squares(tesla_ipc=[2])
    assert METHODS["rtp"].protocol(run.profile.replace(epochs=100), SetSize(2, 3))[1]["epochs"] == 300
    haba_set = run.distilled("haba", 2)
    changes = METHODS["haba"].own_training(run.profile, haba_set)[1]
    assert (
        changes["learning_rate"] == float(floats_of(haba_set)["rate"])
        and METHODS["haba"].protocol is METHODS["mtt"].protocol
    )
