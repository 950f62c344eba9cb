"""SRe²L: images that invert a trained network, batch by batch."""

import pytest
import torch

from ddoq_core.config.profile import Profile
from ddoq_core.data.dataset import Dataset, Split
from ddoq_core.errors import InputError
from ddoq_core.methods import sre2l as module
from ddoq_core.methods.method import MethodRun
from ddoq_core.methods.sre2l import METHOD, blocks, losses, squeeze
from ddoq_core.pipeline.teacher import fit_classifier, load_teacher
from ddoq_core.randomness import torch_rng
from ddoq_core.store.artifacts import Store

from ..stand_ins import stand_in

SIZE = 16
PROFILE = Profile.of(
    {"image_size": SIZE, "teacher": "convnet-8", "inversion_network": "convnet-8-bn", "teacher_epochs": 12,
     "inversion_iterations": 20, "inversion_statistics": 0.1, "threads": 1}
)  # fmt: skip


def squares(test_seed: int = 0) -> Dataset:
    """Three classes: a bright square at the left, in the middle, at the right; the test part may be another."""

    def split(part: str, per_class: int, seed: int = 0) -> Split:
        rng = torch_rng(seed, "squares", part)
        images = torch.randint(0, 60, (3 * per_class, 1, SIZE, SIZE), generator=rng)
        labels = torch.arange(3).repeat(per_class)
        for image, label in zip(images, labels.tolist(), strict=True):
            image[:, 5:11, 5 * label : 5 * label + 5] += 180
        if seed:
            images, labels = 255 - images, labels.flip(0)
        return Split(labels, [f"{part}/{i}" for i in range(len(labels))], images.to(torch.uint8), SIZE)

    return Dataset(
        "squares", split("train", 60), split("validation", 3), split("test", 6, test_seed),
        class_ids=["0", "1", "2"], class_names=["left", "middle", "right"], prompts=["a", "b", "c"], image_size=SIZE,
        channels=1, mean=(0.2,), std=(0.25,), key="squares",
    )  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store that holds the network."""
    return Store(tmp_path_factory.mktemp("artifacts"))


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    """Two images of each class in a batch, so that there are several."""
    monkeypatch.setattr(module, "BATCH", 6)


def run_in(store, profile=PROFILE, dataset=None):
    """As much of a run as the method asks for."""
    return stand_in(MethodRun, profile=profile, store=store, dataset=dataset or squares(), teacher=None)


def contents(distilled):
    """Every file of a distilled set that belongs to its identity."""
    found = sorted(p for p in distilled.artifact.path.rglob("*") if p.is_file() and p.name != "run.json")
    return {str(p.relative_to(distilled.artifact.path)): p.read_bytes() for p in found}


def test_recovery_lowers_the_cross_entropy_and_the_distance_of_the_statistics(store):
    run = run_in(store, PROFILE.replace(inversion_iterations=60))
    made = METHOD.distill(run, 2, 0)
    network = load_teacher(squeeze(run)).requires_grad_(False)
    rows = list(zip(made.labels.tolist(), [0, 1] * 3, strict=True))
    begun = torch.stack([module.noise(run.dataset, 0, "sre2l", 0, c, k) for c, k in rows])
    before = losses(network, begun, made.labels)
    after = losses(network, run.dataset.normalise(made.images()), made.labels)
    assert after[0] < 0.3 * before[0] and after[1] < 0.3 * before[1]


def test_images_fill_the_valid_range_and_every_one_stands_for_itself(store):
    images = METHOD.distill(run_in(store), 2, 0)
    assert images.images().shape == (6, 1, SIZE, SIZE) and images.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert images.images().min() == 0 and images.images().max() > 0.9
    assert images.weights("sqrt").equal(torch.ones(6))


def test_the_statistics_are_those_of_the_whole_batch_and_the_first_layer_counts_ten_times(store):
    network = load_teacher(squeeze(run_in(store))).requires_grad_(False)
    network.features, network.classifier = network.features[:1], torch.nn.Identity()
    images, labels = torch.randn(6, 1, SIZE, SIZE, generator=torch_rng(0, "images")), torch.arange(6) % 3
    conv, norm = network.features[0][:2]
    inputs = conv(images)
    norm.running_mean, norm.running_var = inputs.mean((0, 2, 3)), inputs.var((0, 2, 3), correction=0)
    assert losses(network, images, labels)[1].item() == pytest.approx(0, abs=1e-4)
    norm.running_mean[0] += 3.0
    norm.running_var[1] += 2.0
    assert losses(network, images, labels)[1].item() == pytest.approx(50, rel=1e-4)


def test_a_batch_holds_about_a_hundred_images_and_every_class_equally_often(monkeypatch):
    monkeypatch.setattr(module, "BATCH", 100)

    def sizes(n_classes, ipc):
        return [[len(batch) for batch in block] for block in blocks(n_classes, ipc)]

    assert sizes(10, 1) == sizes(10, 10) == [[100]] and sizes(10, 11) == [[100]] * 2
    assert sizes(1000, 2) == [[100] * 10] * 2 and sizes(150, 1) == [[75, 75]]
    assert list(blocks(1000, 2))[1][1] == [(c, 1) for c in range(100, 200)]


def test_a_larger_set_keeps_a_smaller_one_and_seeds_give_others(store):
    small, large, other = (METHOD.distill(run_in(store), *which) for which in ((1, 0), (3, 0), (1, 1)))
    assert large.images()[::3].equal(small.images())
    assert not small.images().equal(other.images())


def test_the_images_of_a_batch_do_not_depend_on_the_other_batches(store):
    whole = METHOD.distill(run_in(store), 3, 0).images()
    [last] = list(blocks(3, 3))[-1]
    network = load_teacher(squeeze(run_in(store))).requires_grad_(False)
    knobs = PROFILE.subset("device", *module.INVERSION)
    alone = module.invert(network, squares(), last, ("sre2l", 0), module.smallest_crop(SIZE), **knobs)
    assert last[:3] == [(0, 2), (1, 2), (2, 2)]
    assert ((alone[:3] - whole[2::3]).abs() <= 0.5 / 255 + 1e-6).all()


def test_an_interrupted_recovery_keeps_its_batches_and_ends_with_the_same_bytes(store, monkeypatch):
    expected = contents(METHOD.distill(run_in(store), 4, 5))
    run = run_in(store)
    network, invert, calls = squeeze(run), module.invert, []
    other = Store(store.root / "interrupted")

    def once(*arguments, **knobs):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return invert(*arguments, **knobs)

    monkeypatch.setattr(module, "invert", once)
    run = stand_in(MethodRun, profile=PROFILE, store=other, dataset=squares())
    monkeypatch.setattr(module, "squeeze", lambda run: network)
    with pytest.raises(KeyboardInterrupt):
        METHOD.distill(run, 4, 5)
    assert len(list(other.root.glob("sre2l_images/*/*/*.png"))) == 6
    assert contents(METHOD.distill(run, 4, 5)) == expected
    assert len(calls) == 3


def test_nothing_of_the_test_images_reaches_the_distilled_set(store, tmp_path):
    clean = METHOD.distill(run_in(store), 1, 0)
    poisoned = METHOD.distill(run_in(Store(tmp_path), dataset=squares(test_seed=1)), 1, 0)
    assert contents(clean) == contents(poisoned)


def test_a_network_without_batch_norm_is_refused_with_the_knob_to_turn(store):
    message = r"inversion_network = convnet-32 has no BatchNorm, .* set inversion_network=convnet-32-bn"
    with pytest.raises(InputError, match=message):
        METHOD.distill(run_in(store, PROFILE.replace(inversion_network="convnet-32")), 1, 0)


def test_the_teacher_is_inverted_if_it_is_the_network_that_is_asked_for(store):
    run = run_in(store, PROFILE.replace(teacher="convnet-8-bn"))
    run.teacher = fit_classifier(store, run.dataset, run.profile, "convnet-8-bn", 0)
    assert squeeze(run) is run.teacher
    assert squeeze(run_in(store)).key == run.teacher.key


def test_digits_are_not_cropped_and_photographs_are():
    assert module.smallest_crop(32)(0.5) == 1.0
    assert module.smallest_crop(224)(0.5) == 0.08
