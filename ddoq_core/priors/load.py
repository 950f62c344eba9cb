"""The generative prior of Algorithm 4: its interface, and how to read one from a folder in diffusers' layout.

In: a folder (or, for Stable Diffusion, the name of a model on the Hugging Face hub). Out: a GenerativePrior.
"""

import hashlib
import importlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from torch import Tensor

from ..config.declared import priors
from ..config.profile import Profile
from ..errors import InputError
from ..store.artifacts import Artifact
from ..store.manifest import sha256_of

if TYPE_CHECKING:
    from .folder import PriorFolder
    from .latent_diffusion import LatentDiffusion

# knobs of a profile that `load_prior` uses
KNOBS = ("device", "precision", "negative_prompt", "compiled", "autoencoder_path")
REGISTRY = {pipeline: name for name, pipeline in priors().items()}  # by the class named in model_index.json
PRECISIONS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
FITTED = "dit"  # the prior that `pretrain` makes is read as a DiT
SIZE = ("diffusion_width", "diffusion_layers", "diffusion_patch")  # knobs: size of the transformer that it trains
GIVEN = "autoencoder"  # key in model_index.json: digest of the given autoencoder that a prior was trained on
HUB, HUB_ID = "https://huggingface.co/", r"[\w.-]+/[\w.-]+"
# files of a model on the hub: its description, and its weights, without other precisions (.fp16) and without EMA
FETCHED = ("*.json", "*.txt", "*model.safetensors", "*model-?????-of-?????.safetensors")
MOVED = {"runwayml/stable-diffusion-v1-5": "stable-diffusion-v1-5/stable-diffusion-v1-5"}


# replaces the predicted clean latents; also gets the share of the steps that is left, from 1 down
Guide = Callable[[Float[Tensor, "b c h w"], float], Float[Tensor, "b c h w"]]


@runtime_checkable
class GenerativePrior(Protocol):
    """The interface that Algorithm 4 needs of a latent diffusion model."""

    latent_shape: tuple[int, int, int]
    channels: int
    image_size: int

    def encode(
        self, images: Float[Tensor, "b C H W"], rng: Sequence[torch.Generator] | None = None
    ) -> Float[Tensor, "b c h w"]:
        """Latents of images in [0, 1], with about unit variance: the posterior's mean, or one draw per generator."""

    def decode(self, latents: Float[Tensor, "b c h w"], *, graph: bool = False) -> Float[Tensor, "b C H W"]:
        """Images in [0, 1] from latents; with a graph they may leave [0, 1]."""

    def embed(self, classes: Sequence[dict]) -> Tensor:
        """Conditioning of the classes of a class table, one row each."""

    def denoise(
        self, latents: Float[Tensor, "b c h w"] | None, conditioning: Tensor, *, strength: float = 1.0, guidance: float,
        steps: int, noise: Sequence[torch.Generator], sampler: str = "checkpoint", guide: Guide | None = None,
        graph: bool = False,
    ) -> Float[Tensor, "b c h w"]:  # fmt: skip
        """Add noise to latents up to `strength` and run the reverse process; without latents, from pure noise."""


def check_kept(profile: Profile) -> None:
    """Raise InputError if the prior needs latents and they are not kept."""
    if profile.prior_of_latents and not profile.keep_latents:
        raise InputError(f"prior = {profile.prior} needs the latents; set keep_latents=true")


def prior_modules(profile: Profile) -> tuple[str, ...]:
    """The module that reads and runs the prior of a profile; its source is in the keys of what the prior makes."""
    return (_module(FITTED if profile.prior == "pretrain" else profile.prior),)


def _module(prior: str) -> str:
    return f"{__package__}.{prior.replace('-', '_')}"


def _file_of(pipeline: str) -> ModuleType:
    """The module of a prior; only the prior in use is imported."""
    return importlib.import_module(_module(REGISTRY[pipeline]))


def load_prior(
    path: str | Path, device: str = "cpu", precision: str = "float32", negative_prompt: str = "",
    compiled: bool = False, autoencoder_path: str = "",
) -> GenerativePrior:  # fmt: skip
    """Load the prior in a folder with one of the layouts of REGISTRY.

    Args:
        precision: of weights and activations: float32, float16 or bfloat16; the last two are for a GPU.
        negative_prompt: guidance moves away from it (Stable Diffusion only).
        compiled: compile the network with torch.compile.
        autoencoder_path: an autoencoder that replaces the folder's own; a prior that was trained here on a given
            autoencoder keeps it.
    Raises:
        InputError: the folder is missing or of another kind, its weights are not safetensors, or the autoencoder has
            other latents; the message names them.
    """
    from .folder import PriorFolder  # imports diffusers, which takes seconds

    path = Path(path)
    index = _model_index(path)
    opened = PriorFolder(path, index, device, PRECISIONS[precision], negative_prompt)
    try:
        prior = _file_of(index["_class_name"]).from_folder(opened)
    except (OSError, ValueError, RuntimeError, KeyError, AttributeError, TypeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"the prior in {path} cannot be loaded ({reason}); check prior_path") from error
    if autoencoder_path and not index.get(GIVEN):
        prior = _with_autoencoder(prior, autoencoder_path, opened)
    if compiled:
        prior.network.compile()
    return prior


def _with_autoencoder(prior: "LatentDiffusion", place: str, opened: "PriorFolder") -> "LatentDiffusion":
    """The prior with another autoencoder for the same latents, as TAESD is for Stable Diffusion."""
    from .autoencoder import autoencoder_place, read_autoencoder, shrinking

    vae = read_autoencoder(autoencoder_place(place)).to(opened.device, opened.dtype).requires_grad_(False)
    ours, there = ((v.config.latent_channels, shrinking(v)) for v in (vae, prior.vae))
    if ours != there:
        raise InputError(
            f"the autoencoder in {place} has {ours[0]} channels at 1/{ours[1]} of the side, but the latents of "
            f"{opened.path} have {there[0]} at 1/{there[1]}; set autoencoder_path to one with the same latents"
        )
    return replace(prior, vae=vae)


def prior_artifact(profile: Profile) -> Artifact:
    """The folder prior_path, or that of a model on the hub, as an artifact named by the content of its files.

    Raises:
        InputError: the folder is missing, or is of another kind than `prior`.
    """
    if not profile.prior_path:
        raise InputError(
            f"prior = {profile.prior} needs prior_path; set it to a folder in the {priors()[profile.prior]} layout"
        )
    path = _folder(profile.prior_path)
    found = _model_index(path)["_class_name"]
    kind = REGISTRY[found]
    if kind != profile.prior:
        raise InputError(f"{path} holds a {found}, but prior = {profile.prior}; set prior={kind} or check prior_path")
    files = [path / "model_index.json", *(f for d in _file_of(found).FOLDERS for f in sorted((path / d).rglob("*")))]
    content = [[str(f.relative_to(path)), sha256_of(f)] for f in files if f.is_file()]
    if profile.autoencoder_path:
        from .autoencoder import autoencoder_digest, autoencoder_place

        content.append([GIVEN, autoencoder_digest(autoencoder_place(profile.autoencoder_path))])
    key = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
    return Artifact(path, "prior", key, content=key)


def _folder(prior_path: str) -> Path:
    """The folder itself, or a snapshot of the model of that name on the hub with one variant of each part's weights."""
    path, name = Path(prior_path), prior_path.removeprefix(HUB).rstrip("/")
    if path.exists() or not re.fullmatch(HUB_ID, name):
        return path
    from huggingface_hub import snapshot_download

    parts = sorted({d for pipeline in REGISTRY for d in _file_of(pipeline).FOLDERS})
    wanted = ["model_index.json", *(f"{d}/{pattern}" for d in parts for pattern in FETCHED)]
    try:
        found = Path(snapshot_download(name, allow_patterns=wanted))
        networks = [d for d in parts if (found / d / "config.json").is_file()]
        if half := [f"{d}/*.fp16*safetensors" for d in networks if not any((found / d).glob("*.safetensors"))]:
            snapshot_download(name, allow_patterns=half)
        return found
    except Exception as error:  # of many kinds: no network, no such name, no access
        reason = " ".join(str(error).split())[:150]
        mend = f"it has moved: set prior_path={MOVED[name]}" if name in MOVED else "check prior_path"
        raise InputError(
            f"prior_path = {prior_path} is not a folder, and the hub has no model of that name ({reason}); {mend}"
        ) from error


def _model_index(path: Path) -> dict:
    """The content of model_index.json, which must name a pipeline of REGISTRY."""
    layout = "a prior is a folder with model_index.json beside the folders of its parts (diffusers' layout)"
    if not path.is_dir():
        raise InputError(f"no folder {path}; {layout}; check prior_path")
    try:
        index = json.loads((path / "model_index.json").read_text())
        kind = index["_class_name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        inside = ", ".join(sorted(p.name for p in path.iterdir())[:8]) or "nothing"
        raise InputError(f"{path} has no readable model_index.json (found: {inside}); {layout}") from error
    if kind not in REGISTRY:
        raise InputError(f"{path} holds a {kind}, but a prior is one of {', '.join(REGISTRY)}; check prior_path")
    missing = [d for d in _file_of(kind).FOLDERS if not (path / d).is_dir()]
    if missing:
        raise InputError(f"{path} lacks the folder {missing[0]}/ of a {kind}; download the model again")
    return index
