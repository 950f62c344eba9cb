"""Core-sets: rows of real images that a rule has chosen."""

import pytest
import torch

from ddoq_core.config.profile import Profile
from ddoq_core.errors import InputError
from ddoq_core.methods import METHODS, SMALL
from ddoq_core.methods.el2n import errors_of, rated
from ddoq_core.methods.grand import gradient_norms
from ddoq_core.methods.shared import coreset
from ddoq_core.methods.shared.coreset import class_features, features_and_logits, last_layer_gradients
from ddoq_core.methods.shared.trajectories import experts, trajectory, vector_network
from ddoq_core.networks.classifiers import make_network
from ddoq_core.randomness import torch_rng
from ddoq_core.runs.run import Run

ROWS = ("herding", "k_centre", "craig", "el2n", "grand", "easy")


@pytest.fixture(scope="module")
def run(squares, tmp_path_factory):
    """A run on the squares."""
    values = SMALL | {"image_size": 16, "teacher_epochs": 2, "threads": 1, "ipc": [3]}
    made = Run(Profile.of(values | {"artifacts": str(tmp_path_factory.mktemp("artifacts"))}))
    made.__dict__["dataset"] = squares
    return made


@pytest.mark.parametrize("name", ROWS)
def test_the_images_are_different_training_images_of_their_class(run, squares, name):
    made = run.distilled(name, 3)
    index = {image_id: i for i, image_id in enumerate(squares.train.ids)}
    kept = torch.tensor([index[row["source"]] for row in made.metadata])
    assert len(kept.unique()) == 9 and squares.train.labels[kept].equal(made.labels)
    assert made.pixels().equal(squares.train.pixels[kept])


def test_the_weights_of_craig_are_the_images_that_each_serves_and_those_of_the_others_are_equal(run):
    counts = run.distilled("craig", 3).counts.reshape(3, 3)
    assert counts.sum(1).tolist() == [12, 12, 12] and METHODS["craig"].weights_of(run.profile) == "proportional"
    assert all(run.distilled(name, 3).counts.unique().tolist() == [1] for name in ROWS if name != "craig")


def test_features_are_what_the_last_layer_is_given():
    network = make_network("convnet-4", 3, 1, 16, torch_rng(0, "t"))
    images = torch.randn(5, 1, 16, 16, generator=torch_rng(0, "images"))
    features, logits = features_and_logits(network, images)
    torch.testing.assert_close(network.classifier(features), logits)
    with pytest.raises(InputError, match="has no linear layer to take features from"):
        features_and_logits(torch.nn.Conv2d(1, 1, 1), images)


def test_each_distillation_has_a_network_of_its_own(run):
    networks = [coreset.feature_network(run, "convnet-4", seed) for seed in (0, 1)]
    assert not class_features(run, networks[0], 0)[1].equal(class_features(run, networks[1], 0)[1])


def rating(run):
    taught = experts(run.store, run.dataset, run.profile)
    images = run.dataset.normalise(run.dataset.train.images(run.dataset.train.of_class(1)))
    return vector_network(run.dataset, run.profile), trajectory(taught, 0)[1], images


def test_el2n_is_the_norm_of_softmax_minus_one_hot_and_at_most_the_root_of_two(run):
    network, theta, images = rating(run)
    torch.nn.utils.vector_to_parameters(theta, network.parameters())
    wanted = (network(images).softmax(1) - torch.eye(3)[1]).norm(dim=1)
    found = errors_of(network, theta, images, 1)
    torch.testing.assert_close(found, wanted)
    assert ((found >= 0) & (found <= 2**0.5)).all()


def test_grand_is_the_norm_of_the_gradient_of_each_image_and_of_the_last_layer_el2n_times_the_features(run):
    network, theta, images = (x.double() for x in rating(run))
    found = gradient_norms(network, theta, images, 1)
    torch.nn.utils.vector_to_parameters(theta, network.parameters())
    network.requires_grad_(True)
    for image, norm in zip(images, found, strict=True):
        loss = torch.nn.functional.cross_entropy(network(image[None]), torch.tensor([1]))
        whole = torch.autograd.grad(loss, tuple(network.parameters()))
        torch.testing.assert_close(torch.cat([g.flatten() for g in whole]).norm(), norm)
        features, logits = features_and_logits(network, image[None])
        last = torch.cat([whole[-2].flatten(), whole[-1]]).norm()
        error = last_layer_gradients(logits.detach(), 1).norm()
        torch.testing.assert_close(last, error * (features.square().sum() + 1).sqrt())


def test_the_hardest_have_the_highest_scores_and_the_easiest_the_lowest(run):
    taught = experts(run.store, run.dataset, run.profile)
    for label in range(3):
        index, scores = rated(run, taught, 0, label, errors_of)
        ids = [run.dataset.train.ids[i] for i in index[scores.argsort(descending=True, stable=True)].tolist()]
        hardest, easiest = (
            [row["source"] for row in run.distilled(name, 3).metadata if row["label"] == label]
            for name in ("el2n", "easy")
        )
        assert hardest == ids[:3] and easiest == ids[::-1][:3]


def test_pictures_of_whole_images_hold_factor_times_factor_of_them_shrunken(run, squares, tmp_path):
    other = Run(run.profile.replace(easy_factor=2, artifacts=str(tmp_path)))
    other.__dict__["dataset"] = squares
    made, alone = other.distilled("easy", 2), run.distilled("easy", 2)
    first = torch.nn.functional.interpolate(
        alone.images()[:1], (8, 8), mode="bicubic", antialias=True
    )  # the easiest image, in the first quarter of the first picture
    assert (made.images()[0, :, :8, :8] - first[0].clamp(0, 1)).abs().max() <= 0.5 / 255 + 1e-6
    assert "source" not in made.metadata[0]
    with pytest.raises(InputError, match=r"ipc = 4 of 2 x 2 images each, but class 0 .* has 12 training images"):
        other.distilled("easy", 4)


def test_more_images_than_a_class_has_are_refused(run, squares):
    with pytest.raises(InputError, match=r'ipc = 13, but class 0 \("left", 0\) has 12 training images; lower ipc'):
        run.distilled("herding", 13)


def test_a_factor_that_does_not_divide_the_side_is_refused(run, squares):
    other = Run(run.profile.replace(easy_factor=3))
    other.__dict__["dataset"] = squares
    with pytest.raises(InputError, match="3 x 3 images of a picture do not fill 16 pixels; change factor"):
        other.distilled("easy", 1)
