"""The generative prior of Algorithm 4: what is asked of it, and how one is read from a folder in diffusers' layout.

In: a folder (or, for Stable Diffusion, the name of a model on the Hugging Face hub). Out: a GenerativePrior.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import diffusers
import torch
from diffusers import AutoencoderKL, DiTTransformer2DModel, UNet2DConditionModel
from jaxtyping import Float
from safetensors import SafetensorError
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from ..errors import InputError
from ..profile import Profile
from ..store import Artifact, sha256_of
from .dit import DiTPrior
from .stable_diffusion import StableDiffusionPrior

KNOBS = ("device", "precision", "negative_prompt", "compiled")  # of a profile that `load_prior` takes
PARTS = {  # pipelines that can be read: their name in profiles, and the folders that belong to them
    "DiTPipeline": ("dit", ("transformer", "vae", "scheduler")),
    "StableDiffusionPipeline": ("stable-diffusion", ("unet", "vae", "scheduler", "tokenizer", "text_encoder")),
}
PRECISIONS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
HUB_ID = r"[\w.-]+/[\w.-]+"


class GenerativePrior(Protocol):
    """What Algorithm 4 asks of a latent diffusion model."""

    latent_shape: tuple[int, int, int]
    channels: int
    image_size: int

    def encode(
        self, images: Float[Tensor, "b C H W"], rng: Sequence[torch.Generator] | None = None
    ) -> Float[Tensor, "b c h w"]:
        """Latents of images in [0, 1], of about unit variance: the posterior's mean, or one draw per generator."""

    def decode(self, latents: Float[Tensor, "b c h w"]) -> Float[Tensor, "b C H W"]:
        """Images in [0, 1] of latents."""

    def embed(self, classes: Sequence[dict]) -> Tensor:
        """Conditioning of the classes of a class table, one row each."""

    def denoise(
        self, latents: Float[Tensor, "b c h w"] | None, conditioning: Tensor, *, strength: float = 1.0, guidance: float,
        steps: int, noise: Sequence[torch.Generator], sampler: str = "checkpoint",
    ) -> Float[Tensor, "b c h w"]:  # fmt: skip
        """Noise latents to `strength` and run the reverse process back; from pure noise if there are none."""


def load_prior(
    path: str | Path,
    device: str = "cpu",
    precision: str = "float32",
    negative_prompt: str = "",
    compiled: bool = False,
) -> DiTPrior | StableDiffusionPrior:
    """The prior in a folder of the `DiTPipeline` or `StableDiffusionPipeline` layout.

    Args:
        precision: of weights and activations: float32, float16 or bfloat16; the last two are for a GPU.
        negative_prompt: what guidance leads away from (Stable Diffusion only).
        compiled: compile the network with torch.compile.
    Raises:
        InputError: no such folder, one of another kind, or weights that are not safetensors; the line names them.
    """
    path = Path(path)
    index = _model_index(path)
    how = {"torch_dtype": PRECISIONS[precision], "local_files_only": True, "use_safetensors": True}

    def part(kind: type, name: str) -> torch.nn.Module:
        module = kind.from_pretrained(path / name, **how).to(device).eval().requires_grad_(False)
        return module.to(memory_format=torch.channels_last) if device != "cpu" and kind is not CLIPTextModel else module

    try:
        scheduler_class = getattr(diffusers, index["scheduler"][1])
        if not issubclass(scheduler_class, diffusers.SchedulerMixin):
            raise TypeError(f"{scheduler_class.__name__} is no scheduler")
        config = dict(scheduler_class.load_config(path / "scheduler", local_files_only=True))
        common = {"vae": part(AutoencoderKL, "vae"), "scheduler_class": scheduler_class, "scheduler_config": config}
        if index["_class_name"] == "DiTPipeline":
            names = index.get("id2label") or {}
            labels = tuple(names[key] for key in sorted(names, key=int))
            prior = DiTPrior(transformer=part(DiTTransformer2DModel, "transformer"), class_names=labels, **common)
        else:
            prior = StableDiffusionPrior(
                unet=part(UNet2DConditionModel, "unet"), text_encoder=part(CLIPTextModel, "text_encoder"),
                tokenizer=CLIPTokenizer.from_pretrained(path / "tokenizer", local_files_only=True),
                negative_prompt=negative_prompt, **common,
            )  # fmt: skip
    except (OSError, ValueError, RuntimeError, KeyError, AttributeError, TypeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"the prior in {path} cannot be loaded ({reason}); mend prior_path") from error
    if compiled:
        prior.network.compile()
    return prior


def prior_artifact(profile: Profile) -> Artifact:
    """The folder prior_path as an artifact, named by the content of its files; a name on the hub is fetched first.

    Raises:
        InputError: no such folder, or one of another kind than `prior` says.
    """
    kinds = {kind: name for name, (kind, _) in PARTS.items()}
    if not profile.prior_path:
        raise InputError(
            f"prior = {profile.prior} needs prior_path; set it to a folder in the {kinds[profile.prior]} layout"
        )
    path = _folder(profile.prior_path)
    found = _model_index(path)["_class_name"]
    kind, folders = PARTS[found]
    if kind != profile.prior:
        raise InputError(f"{path} holds a {found}, but prior = {profile.prior}; set prior={kind} or mend prior_path")
    files = [path / "model_index.json", *(f for d in folders for f in sorted((path / d).rglob("*")))]
    content = [[str(f.relative_to(path)), sha256_of(f)] for f in files if f.is_file()]
    return Artifact(path, "prior", hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16])


def _folder(prior_path: str) -> Path:
    """The folder itself, or a snapshot of the model of that name on the hub, without what is not needed of it."""
    path = Path(prior_path)
    if path.exists() or not re.fullmatch(HUB_ID, prior_path):
        return path
    from huggingface_hub import snapshot_download

    wanted = ["model_index.json", *(f"{d}/*" for _, folders in PARTS.values() for d in folders)]
    try:
        return Path(snapshot_download(prior_path, allow_patterns=wanted, ignore_patterns=["*.bin", "*non_ema*"]))
    except Exception as error:  # of many kinds: no network, no such name, no access
        reason = " ".join(str(error).split())[:150]
        raise InputError(
            f"prior_path = {prior_path} is no folder, and the hub does not give a model of that name ({reason}); "
            f"mend prior_path"
        ) from error


def _model_index(path: Path) -> dict:
    """What model_index.json says, which must be a pipeline of PARTS."""
    layout = "a prior is a folder with model_index.json beside the folders of its parts (diffusers' layout)"
    if not path.is_dir():
        raise InputError(f"no folder {path}; {layout}; mend prior_path")
    try:
        index = json.loads((path / "model_index.json").read_text())
        kind = index["_class_name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        inside = ", ".join(sorted(p.name for p in path.iterdir())[:8]) or "nothing"
        raise InputError(f"{path} holds no readable model_index.json (found: {inside}); {layout}") from error
    if kind not in PARTS:
        raise InputError(f"{path} holds a {kind}, but a prior is one of {', '.join(PARTS)}; mend prior_path")
    missing = [d for d in PARTS[kind][1] if not (path / d).is_dir()]
    if missing:
        raise InputError(f"{path} lacks the folder {missing[0]}/ of a {kind}; fetch the model again")
    return index
