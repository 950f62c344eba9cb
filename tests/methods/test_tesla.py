"""TESLA: the gradient of trajectory matching, at the memory of one step."""

import types

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from ddoq_core.config.profile import Profile
from ddoq_core.data.dataset import Dataset, Split
from ddoq_core.errors import InputError
from ddoq_core.methods import tesla as module
from ddoq_core.methods.method import MethodRun
from ddoq_core.methods.shared import trajectories
from ddoq_core.methods.shared.trajectories import experts
from ddoq_core.methods.tesla import METHOD, matching, tesla
from ddoq_core.networks.classifiers import make_network
from ddoq_core.randomness import torch_rng
from ddoq_core.store import checkpoints
from ddoq_core.store.artifacts import Store

from ..stand_ins import stand_in

SIZE = 8
NAMES = ["left", "middle", "right"]
PROFILE = Profile(
    image_size=SIZE, tesla_network="convnet-4", tesla_experts=2, tesla_epochs=3, tesla_iterations=12, tesla_steps=4,
    tesla_rate=30.0, tesla_first_rate=0.2, threads=1,
)  # fmt: skip


def squares(test_seed: int = 0) -> Dataset:
    """Three classes, a bright bar at the left, in the middle, at the right; the held-out parts can be other ones."""

    def split(part: str, per_class: int, seed: int = 0) -> Split:
        rng = torch_rng(seed, "squares", part)
        images = torch.randint(0, 60, (3 * per_class, 1, SIZE, SIZE), generator=rng)
        labels = torch.arange(3).repeat(per_class)
        for image, label in zip(images, labels.tolist(), strict=True):
            image[:, 2:6, 3 * label : 3 * label + 2] += 180
        labels = labels[torch.randperm(len(labels), generator=rng)] if seed else labels
        return Split(labels, [f"{part}/{i}" for i in range(len(labels))], images.to(torch.uint8), SIZE)

    return Dataset(
        "squares", split("train", 40), split("validation", 3, test_seed), split("test", 6, test_seed),
        class_ids=["0", "1", "2"], class_names=NAMES, prompts=NAMES, image_size=SIZE, channels=1,
        mean=(0.2,), std=(0.25,), key="squares",
    )  # fmt: skip


def contents(folder) -> dict[str, bytes]:
    """Every file that belongs to an artifact's identity."""
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != "run.json"
    }


@pytest.fixture(scope="module", autouse=True)
def fast_experts():
    """Experts that learn in nine steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trajectories, "EXPERT_RATE", 0.5)
        yield


@pytest.fixture(scope="module")
def dataset():
    """The squares."""
    return squares()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store that the tests share."""
    return Store(tmp_path_factory.mktemp("artifacts"))


@pytest.fixture(scope="module")
def made(store, dataset):
    """Two images per class."""
    return tesla(store, dataset, PROFILE, ipc=2, distill_seed=0)


def case(steps: int) -> types.SimpleNamespace:
    """A small network in float64, six images of which each step sees four, and where to start and to arrive."""
    network = make_network("convnet-4", 3, 1, SIZE, torch_rng(1, "init")).double()
    names = {name: (p.shape, p.numel()) for name, p in network.named_parameters()}
    labels = torch.arange(3).repeat(2)
    rows = [torch.randperm(6, generator=torch_rng(2, "rows", i))[:4] for i in range(steps)]

    def loss(theta, images, i):
        parts = theta.split([n for _, n in names.values()])
        state = {name: part.reshape(shape) for (name, (shape, _)), part in zip(names.items(), parts, strict=True)}
        return F.cross_entropy(functional_call(network, state, (images[rows[i]],)), labels[rows[i]])

    start = nn.utils.parameters_to_vector(network.parameters()).detach()
    way = torch.randn(start.shape, dtype=torch.float64, generator=torch_rng(3, "way"))
    images = torch.randn((6, 1, SIZE, SIZE), dtype=torch.float64, generator=torch_rng(4, "images"))
    rate = torch.tensor(0.1, dtype=torch.float64)
    return types.SimpleNamespace(loss=loss, images=images, rate=rate, start=start, goal=start + 0.05 * way, steps=steps)


def unrolled(c: types.SimpleNamespace, constant: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Eq. 4 and its gradient from one graph of all steps; `constant` cuts it at every theta, as TESLA is published."""
    images, rate = c.images.clone().requires_grad_(), c.rate.clone().requires_grad_()
    theta = c.start.clone().requires_grad_()
    for i in range(c.steps):
        at = theta.detach().requires_grad_() if constant else theta
        (g,) = torch.autograd.grad(c.loss(at, images, i), at, create_graph=True)
        theta = theta - rate * g
    objective = (theta - c.goal).square().sum() / (c.goal - c.start).square().sum()
    return objective.detach(), *torch.autograd.grad(objective, (images, rate))


def agree(c: types.SimpleNamespace, *, exact: bool) -> None:
    mine = matching(**vars(c), exact=exact)
    for value, true in zip((mine.loss, mine.images, mine.rate), unrolled(c, constant=not exact), strict=True):
        torch.testing.assert_close(torch.as_tensor(value, dtype=torch.float64), true, rtol=1e-12, atol=1e-14)


def peak_of_graphs(steps: int) -> int:
    """Most bytes that autograd keeps at a time for backward passes, while a match of so many steps is computed."""
    c, alive, peak = case(steps), 0, 0

    class Kept:
        def __init__(self, tensor):
            nonlocal alive, peak
            self.tensor = tensor.detach()
            alive += tensor.nbytes
            peak = max(peak, alive)

        def __del__(self):
            nonlocal alive
            alive -= self.tensor.nbytes

    with torch.autograd.graph.saved_tensors_hooks(Kept, lambda kept: kept.tensor):
        matching(**vars(c))
    return peak


def test_the_gradient_is_that_of_the_unrolled_equation_4_to_float64_precision():
    agree(case(6), exact=True)


def test_with_the_students_parameters_constant_it_is_the_published_gradient_of_tesla():
    agree(case(6), exact=False)


def test_the_published_gradient_is_not_that_of_equation_4():
    c = case(6)
    exact, published = matching(**vars(c)), matching(**vars(c), exact=False)
    assert exact.loss == published.loss
    assert (exact.images - published.images).norm() > 0.01 * exact.images.norm()


def test_both_gradients_agree_for_a_single_step():
    c = case(1)
    assert matching(**vars(c)).images.equal(matching(**vars(c), exact=False).images)


def test_the_memory_of_the_graphs_does_not_grow_with_the_number_of_steps():
    assert peak_of_graphs(5) == peak_of_graphs(50) > 0


def test_experts_learn_the_training_images(store, dataset):
    artifact = experts(store, dataset, PROFILE)
    network = trajectories.vector_network(dataset, PROFILE)
    for expert in range(PROFILE.tesla_experts):
        way = trajectories.trajectory(artifact, expert)
        assert len(way) == PROFILE.tesla_epochs + 1
        shown = dataset.train.images(range(len(dataset.train))), dataset.train.labels, lambda images: images
        before, after = (float(trajectories.vector_loss(network, dataset, way[i], *shown)) for i in (0, -1))
        assert after < 0.97 * before


def test_the_objective_falls_while_the_images_are_learned(store, dataset):
    longer = tesla(store, dataset, PROFILE.replace(tesla_iterations=80), ipc=1, distill_seed=0)
    learned = longer.artifact.json("learned.json")
    assert learned["end_loss"] < 0.95 * learned["start_loss"]


def test_a_set_has_all_its_images_in_the_range_of_pixels_and_apart_from_where_they_started(store, dataset, made):
    assert made.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert made.counts.equal(torch.ones(6, dtype=torch.int64))
    assert {row["file_name"] for row in made.metadata} <= set(contents(made.artifact.path))
    first = module.random_real(store, dataset, PROFILE, ipc=2, distill_seed=0)
    assert not made.pixels().equal(first.pixels())


def test_images_are_projected_to_the_range_of_pixels_after_every_step(store, dataset, monkeypatch):
    seen = []

    def spy(loss, images, *arguments):
        seen.append((float(images.min()), float(images.max())))
        return matching(loss, images, *arguments)

    monkeypatch.setattr(module, "matching", spy)
    tesla(store, dataset, PROFILE.replace(tesla_rate=1e4), ipc=1, distill_seed=0)
    assert min(low for low, _ in seen) == 0
    assert max(high for _, high in seen) == 1


def test_another_seed_makes_another_set(store, dataset, made):
    assert not made.pixels().equal(tesla(store, dataset, PROFILE, ipc=2, distill_seed=1).pixels())


def test_an_interrupted_set_goes_on_to_the_same_bytes(tmp_path, dataset, made, monkeypatch):
    other, calls = Store(tmp_path), []
    monkeypatch.setattr(checkpoints, "EVERY", 0)

    def failing(*arguments):
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return matching(*arguments)

    monkeypatch.setattr(module, "matching", failing)
    with pytest.raises(KeyboardInterrupt):
        tesla(other, dataset, PROFILE, ipc=2, distill_seed=0)
    again = tesla(other, dataset, PROFILE, ipc=2, distill_seed=0)
    assert len(calls) == PROFILE.tesla_iterations + 1
    assert contents(again.artifact.path) == contents(made.artifact.path)


def test_interrupted_experts_go_on_to_the_same_bytes_and_none_is_trained_twice(store, dataset, tmp_path, monkeypatch):
    whole, begun, trajectory = experts(store, dataset, PROFILE), [], trajectories._trajectory

    def failing(dataset, profile, expert, step):
        begun.append(expert)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return trajectory(dataset, profile, expert, step)

    monkeypatch.setattr(trajectories, "_trajectory", failing)
    other = Store(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        experts(other, dataset, PROFILE)
    assert contents(experts(other, dataset, PROFILE).path) == contents(whole.path)
    assert begun == [0, 1, 1]


def test_held_out_images_and_labels_change_no_byte_of_a_set(tmp_path, made):
    poisoned = tesla(Store(tmp_path), squares(test_seed=5), PROFILE, ipc=2, distill_seed=0)
    assert contents(poisoned.artifact.path) == contents(made.artifact.path)


def test_the_published_protocol_trains_with_hard_labels_at_the_learned_rate(made):
    target, knobs = METHOD.own_training(PROFILE, made)
    assert target == "hard"
    assert knobs["learning_rate"] == made.artifact.json("learned.json")["rate"]
    assert PROFILE.replace(**knobs).epochs == 10 * PROFILE.epochs


def test_a_network_with_running_statistics_is_refused(store, dataset):
    with pytest.raises(InputError, match=r"tesla_network = convnet-4-bn has buffers .* set tesla_network=convnet-32"):
        experts(store, dataset, PROFILE.replace(tesla_network="convnet-4-bn"))


def test_a_run_asks_for_its_data_alone_and_for_the_levels_of_its_knob(store, dataset, made):
    run = stand_in(MethodRun, profile=PROFILE, store=store, dataset=dataset)
    assert METHOD.distill(run, 2, 0).artifact == made.artifact
    assert METHOD.runs_at(PROFILE.replace(tesla_ipc=[2]), 2)
    assert not METHOD.runs_at(PROFILE.replace(tesla_ipc=[2]), 1)
