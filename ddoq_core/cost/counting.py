"""Operations and parameters of the real networks, counted on torch's meta device, where tensors have only shapes.

In: the names of a profile. Out: counts for `flops`. A multiply-add is two operations; only matrix products,
convolutions and attention are counted.
"""

import importlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, DDIMScheduler, ModelMixin
from torch import nn
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from ..config.profile import Profile
from ..data.dataset import Dataset, Split
from ..errors import InputError
from ..networks.classifiers import make_network
from ..priors import pretrain
from ..priors.autoencoder import (
    AutoencoderTAEF2,
    autoencoder_place,
    images_of,
    latents_of,
    read_autoencoder,
    shrinking,
)
from ..priors.dit import DiTPrior
from ..priors.folder import N, PriorFolder
from ..priors.latent_diffusion import LatentDiffusion
from ..priors.load import prior_modules
from ..randomness import torch_rng
from .counts import Classifier, Prior

META = torch.device("meta")
STEPS = 50  # of the schedule whose timesteps are counted
TRAINED_TOGETHER = 2  # images in a counted training step, since batch norm needs more than one value per channel


def flops(call: Callable[[], object]) -> int:
    """Operations of one call."""
    with FlopCounterMode(display=False, custom_mapping={torch.ops.aten.convolution_backward: _backward}) as counter:
        call()
    return counter.get_total_flops()


def _backward(out, x, weight, bias, stride, padding, dilation, transposed, more, groups, mask, **_) -> int:
    """Each gradient of a convolution costs as much as the convolution; torch's own count ignores the groups."""
    return sum(mask[:2]) * conv_flop_count(x, weight, out, transposed=transposed)


def n_parameters(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def activations(network: nn.Module, images: torch.Tensor) -> int:
    """Bytes that autograd keeps from a forward pass: each storage once, without those of the network itself."""
    own = {tensor.untyped_storage()._cdata for tensor in [*network.parameters(), *network.buffers()]}
    kept = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage  # kept alive, so that no other storage gets its address
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        network(images)
    return sum(storage.nbytes() for storage in kept.values())


def count_classifier(name: str, n_classes: int, channels: int, image_size: int) -> Classifier:
    """Costs of the network with this name; InputError for an unknown name, or images of a size it does not take."""
    with META:
        network = make_network(name, n_classes, channels, image_size, torch_rng(0, "never drawn"))
        images = torch.empty(TRAINED_TOGETHER, channels, image_size, image_size)
    try:
        kept = activations(network, images) // TRAINED_TOGETHER
        training = flops(lambda: network(images).sum().backward()) // TRAINED_TOGETHER
        with torch.no_grad():
            forward = flops(lambda: network.eval()(images)) // TRAINED_TOGETHER
    except (RuntimeError, ValueError, AssertionError) as error:
        raise InputError(f"{name} does not take images of {image_size} pixels; change image_size") from error
    return Classifier(n_parameters(network), forward, training, kept)


def count_parts(name: str, prior: LatentDiffusion) -> Prior:
    """Operations on one image, and parameters, of a prior with networks on the meta device."""
    image = torch.empty(1, prior.channels, prior.image_size, prior.image_size, device=META)
    latent, t = torch.empty(1, *prior.latent_shape, device=META), torch.zeros(1, dtype=torch.long, device=META)
    with torch.no_grad():
        encode, decode = flops(lambda: prior.encode(image)), flops(lambda: prior.decode(latent))
        embed, condition = flops(prior.any_condition), prior.any_condition()
        call = flops(lambda: prior.predicted(latent, t, condition))
    scheduler = prior.scheduler_class.from_config(prior.scheduler_config)
    scheduler.set_timesteps(STEPS)
    networks = [part for part in vars(prior).values() if isinstance(part, nn.Module)]

    def reconstruct() -> None:
        images_of(prior.vae, latents_of(prior.vae, image, None)).sum().backward()

    return Prior(
        name, prior.latent_shape, prior.image_size, n_parameters(*networks),
        max(n_parameters(prior.vae), n_parameters(prior.network)), encode, decode, call, embed,
        train_autoencoder=flops(reconstruct),
        train_network=flops(lambda: prior.predicted(latent, t, condition).sum().backward()),
        order=scheduler.order, extra=len(scheduler.timesteps) - STEPS * scheduler.order,
    )  # fmt: skip


def count_prior(profile: Profile, channels: int) -> Prior:
    """The prior of a profile, fitted by the run or read from its folder; InputError as in `flops.prior_of`."""
    if profile.prior == "pretrain":
        return count_parts("fitted during the run", fitted_prior(profile, channels, META))
    if profile.prior == "exact":
        return _exact(profile, channels)
    path = Path(profile.prior_path)
    if not profile.prior_path or not path.is_dir():
        raise InputError(f"the cost of prior = {profile.prior} is counted from its folder; set prior_path to one")
    try:
        index = json.loads((path / "model_index.json").read_text())
        (module,) = prior_modules(profile)
        shapes = _Shapes(path, index, META.type, torch.float32, "")
        prior = importlib.import_module(module).from_folder(shapes)
        return count_parts("that of prior_path", replace(prior, vae=_given_autoencoder(profile) or prior.vae))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} holds no configuration of a {profile.prior} prior ({' '.join(str(error).split())[:150]}); "
            "check prior_path, or leave it empty to count the published prior"
        ) from error


def _exact(profile: Profile, channels: int) -> Prior:
    """The autoencoder of autoencoder_path, or TAEF2 if that is empty; the score is counted with the data."""
    side = profile.picture_size
    vae = _given_autoencoder(profile)
    if vae is None:
        with META:
            vae = AutoencoderTAEF2()
    shape, n = (vae.config.latent_channels, *[side // shrinking(vae)] * 2), n_parameters(vae)
    with torch.no_grad():
        image, latent = (torch.empty(1, *of, device=META) for of in ((channels, side, side), shape))
        encode, decode = flops(lambda: latents_of(vae, image, None)), flops(lambda: images_of(vae, latent))
    return Prior(
        f"the exact score of the latents, which is not fitted, and {type(vae).__name__}", shape, side, n, n,
        encode, decode, call=0, embed=0, train_autoencoder=0, train_network=0, order=1, extra=0,
    )  # fmt: skip


def _given_autoencoder(profile: Profile) -> AutoencoderKL | AutoencoderTiny | None:
    """The autoencoder of autoencoder_path, on the meta device."""
    place = profile.autoencoder_path
    return read_autoencoder(autoencoder_place(place)).to(META) if place else None


def fitted_prior(profile: Profile, channels: int, device: torch.device) -> DiTPrior:
    """The prior that the run fits, before its first step; InputError for invalid sizes."""
    none = Split(torch.empty(0, dtype=torch.int64), [], [], profile.picture_size)
    known = {"name": "", "class_ids": [], "class_names": [], "prompts": [], "mean": (), "std": (), "key": ""}
    images = Dataset(
        train=none, validation=none, test=none, image_size=profile.picture_size, channels=channels, **known
    )  # only its sizes matter
    here, side = profile.replace(device="cpu"), profile.picture_size
    given = _given_autoencoder(profile)
    vae = given or pretrain.make_autoencoder(images, here).to(device)
    pretrain.check_sizes(profile, images, shrinking(vae))
    transformer = pretrain.make_transformer((vae.config.latent_channels, *[side // shrinking(vae)] * 2), here)
    schedule = {"scheduler_class": DDIMScheduler, "scheduler_config": pretrain.SCHEDULE}
    return DiTPrior(vae=vae, transformer=transformer.to(device), **schedule)


class _Shapes(PriorFolder):
    """A folder of a prior; only its configurations are read, not its weights."""

    def part(self, kind: type[N], name: str, *, channels_last: bool = True) -> N:
        where = {"pretrained_model_name_or_path": self.path / name, "local_files_only": True}
        with META:
            if issubclass(kind, ModelMixin):
                return kind.from_config(kind.load_config(**where))
            return kind(kind.config_class.from_pretrained(**where))
