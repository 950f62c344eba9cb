"""The speed of this machine, measured in a few seconds on small copies of the main steps of a run, with random numbers.

In: a profile and the sizes of its data. Out: a Device with the speeds of the measured steps, and the seconds that each
artifact takes in addition. Each step runs at the batch size of the run, since small batches are slow. Other steps are
estimated at the lowest measured speed.
"""

import functools
import importlib.util
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ..config.profile import Profile
from ..data.dataset import Dataset, Split
from ..networks.classifiers import make_network
from ..networks.fitting import BatchLoss, Recipe, train_network
from ..pipeline import teacher
from ..pipeline.fit_student import fit, weighted_kl
from ..pipeline.lessons import Lessons
from ..pipeline.relabel import PIECE, teacher_logits
from ..pipeline.views import VIEW_KNOBS, draw_views, views_of
from ..randomness import torch_rng
from ..store.artifacts import Store, Workspace
from ..threads import threads
from .calibration import device_of_speeds
from .flops import classifier, prior_of
from .sizes import Device, Images, device_of

EACH = 0.15  # shortest time in seconds over which a step is repeated
MOST = 2e10  # most operations of a measured batch, so that a large network does not take long
ALSO = {  # steps that compute the same as a measured one
    "train": ("sre2l", "cda", "tesla"),
    "relabel": ("rded", "rded_crops"),
    "synthesize": ("generate",),
}


def machine_of(profile: Profile, images: Images) -> Device:
    """The device of a profile: this processor with its measured speeds, or the GPU of `device_of`.

    A prior is measured if the run fits it and its packages are installed.
    """
    if profile.device != "cpu":
        return device_of(profile)
    p = profile.replace(accumulate=1)
    with tempfile.TemporaryDirectory() as folder:
        work = Workspace(Path(folder))
        with threads(1):
            speeds = {"train": _student(work, p, images), "relabel": p.threads * _labels(p, images)}
        with threads(p.threads):
            speeds["teacher"] = _teacher(work, p, images)
            if p.prior == "pretrain" and importlib.util.find_spec("diffusers"):
                speeds |= _prior(work, p, images)
        overhead = _seconds(functools.partial(_empty, Store(Path(folder) / "store")))
    speeds |= {other: speeds[step] for step, others in ALSO.items() if step in speeds for other in others}
    return device_of_speeds("this machine", speeds, artifact=overhead, workers=p.workers)


def _seconds(call: Callable[[], object]) -> float:
    """Seconds of a call, after a first call that is not timed."""
    call()
    began, n = time.perf_counter(), 0
    while not n or time.perf_counter() - began < EACH:
        call()
        n += 1
    return (time.perf_counter() - began) / n


def _batch(wanted: int, operations: float) -> int:
    """Number of images in a measured batch."""
    return max(2, min(wanted, int(MOST / operations)))


def _noise(n: int, p: Profile, images: Images, side: int) -> Dataset:
    """Random images instead of the training images."""
    pixels = torch.randint(0, 256, (n, images.channels, side, side), generator=torch_rng(0, "noise"), dtype=torch.uint8)
    split, names = Split(torch.arange(n) % images.n_classes, [""] * n, pixels, side), [""] * images.n_classes
    half = (0.5,) * images.channels
    return Dataset("", split, split, split, names, names, names, side, images.channels, half, half, "")


def _network(name: str, images: Images, side: int) -> nn.Module:
    return make_network(name, images.n_classes, images.channels, side, torch_rng(0, "network"))


def _student(work: Workspace, p: Profile, images: Images) -> float:
    """Operations per second of the costliest student, including views and optimiser."""
    shape = (images.n_classes, images.channels, p.image_size)
    name = max(p.students, key=lambda name: classifier(name, *shape).training)
    operations = classifier(name, *shape).training
    batch = _batch(p.batch_size, operations)
    data = _noise(4 * batch, p, images, p.image_size)

    def targets(epoch: int, views: object) -> Callable:
        return lambda rows, seen: seen.new_full((len(rows), images.n_classes), -math.log(images.n_classes))

    one = p.replace(batch_size=batch, epochs=1)
    lessons = Lessons(data.train.pixels, torch.ones(4 * batch), data, one, 0, targets, 1)
    network, loss = _network(name, images, p.image_size), functools.partial(weighted_kl, temperature=20.0)
    epoch = functools.partial(fit, work, network, lessons, functools.partial(loss, direction="forward"))
    return 4 * batch * operations / _seconds(epoch)


def _labels(p: Profile, images: Images) -> float:
    """Operations per second of the teacher on views, on one thread."""
    side, operations = p.picture_size, classifier(p.teacher, images.n_classes, images.channels, p.picture_size).forward
    n = _batch(PIECE, operations)
    data, network = _noise(n, p, images, side), _network(p.teacher, images, side).eval()
    views = draw_views(n, side, 0, 0, **p.subset(*VIEW_KNOBS))
    call = functools.partial(views_of, data.train.pixels, views, views.order)
    return n * operations / _seconds(lambda: teacher_logits(network, data, call()))


def _teacher(work: Workspace, p: Profile, images: Images) -> float:
    """Operations per second of training a classifier on real images."""
    operations = classifier(p.teacher, images.n_classes, images.channels, p.picture_size).training
    recipe = teacher.RECIPE
    n = _batch(min(recipe.batch, images.n), operations)
    data, network = _noise(n, p, images, p.picture_size), _network(p.teacher, images, p.picture_size)

    def loss(rows: Tensor) -> Float[Tensor, ""]:
        return F.cross_entropy(network(data.normalise(data.train.images(rows))), data.train.labels[rows])

    return n * operations / _seconds(_epoch(work, network, loss, n, recipe))


def _epoch(work: Workspace, network: nn.Module, loss: BatchLoss, n: int, recipe: Recipe) -> Callable[[], None]:
    """A call that trains for one epoch."""
    return lambda: train_network(work, network, lambda epoch: loss, n, recipe, epochs=1, name="cost", key=(0, "cost"))


def _prior(work: Workspace, p: Profile, images: Images) -> dict[str, float]:
    """Operations per second of fitting the prior, of encoding with it, and of drawing pictures."""
    from ..priors import pretrain  # imports diffusers, which needs the extra `pipeline`
    from .counting import fitted_prior

    prior, counts = fitted_prior(p, images.channels, torch.device("cpu")), prior_of(p, images.channels)
    n = min(images.n, pretrain.TRANSFORMER.batch)
    n = _batch(n, counts.train_autoencoder)
    data = _noise(n, p, images, p.picture_size)
    pictures = data.train.images(range(n))
    latents, t = torch.randn(n, *prior.latent_shape, generator=torch_rng(0, "latents")), torch.tensor(500)
    classes = prior.any_condition().expand(n)

    def reconstruct(rows: Tensor) -> Float[Tensor, ""]:
        return prior.vae.decode(prior.vae.encode(pictures[rows]).latent_dist.mean).sample.square().mean()

    def predict(rows: Tensor) -> Float[Tensor, ""]:
        return prior.predicted(latents[rows], t, classes[rows]).square().mean()

    seconds = p.diffusion_epochs * _seconds(_epoch(work, prior.transformer, predict, n, pretrain.TRANSFORMER))
    operations = p.diffusion_epochs * counts.train_network
    if not p.prior_of_latents:
        seconds += p.vae_epochs * _seconds(_epoch(work, prior.vae, reconstruct, n, pretrain.AUTOENCODER))
        operations += p.vae_epochs * counts.train_autoencoder
    with torch.no_grad():
        drawn = n * counts.call / _seconds(lambda: prior.predicted(latents, t, classes))
        encoded = n * counts.encode / _seconds(lambda: prior.encode(pictures))
    return {"prior": n * operations / seconds, "synthesize": drawn, "encode": encoded}


def _empty(store: Store) -> None:
    """A new artifact with one small file."""
    store.make("empty", lambda work: work.json("made.json", {}), parameters={"at": time.perf_counter_ns()})
