"""A folder in diffusers' layout, of which a prior asks for its parts."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import diffusers
import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from torch import nn

from .autoencoder import KINDS

N = TypeVar("N", bound=nn.Module)
# a file of weights, or one of several, and which variant of the weights it holds: diffusers' names, new and old
WEIGHTS = r"(?:diffusion_pytorch_)?model(?:\.(\w+))?(?:-\d{5}-of-\d{5})?(?:\.(\w+))?\.safetensors"
PREFERRED = ("", "fp16", "bf16", "ema")  # of several variants the first of these; "" has no mark


@dataclass(frozen=True)
class PriorFolder:
    """Where the parts are, and how they are to be read."""

    path: Path
    index: dict  # model_index.json
    device: str
    dtype: torch.dtype  # of weights and activations
    negative_prompt: str  # what guidance leads away from, for priors that read texts

    def part(self, kind: type[N], name: str, *, channels_last: bool = True) -> N:
        """One network, in evaluation mode, from safetensors only; convolutions are fastest `channels_last` on a GPU."""
        how = {"torch_dtype": self.dtype, "local_files_only": True, "use_safetensors": True}
        how["variant"] = weights_variant(self.path / name) or None
        module = kind.from_pretrained(self.path / name, **how).to(self.device).eval().requires_grad_(False)
        faster = channels_last and self.device != "cpu"
        return module.to(memory_format=torch.channels_last) if faster else module

    def common(self) -> dict:
        """What every `LatentDiffusion` has: autoencoder and noise schedule."""
        kind = getattr(diffusers, self.index["scheduler"][1])
        if not issubclass(kind, diffusers.SchedulerMixin):
            raise TypeError(f"{kind.__name__} is no scheduler")
        config = dict(kind.load_config(self.path / "scheduler", local_files_only=True))
        return {"vae": self.part(self._autoencoder(), "vae"), "scheduler_class": kind, "scheduler_config": config}

    def _autoencoder(self) -> type[AutoencoderKL | AutoencoderTiny]:
        name = AutoencoderKL.load_config(self.path / "vae", local_files_only=True).get("_class_name", "AutoencoderKL")
        if name not in KINDS:
            raise TypeError(f"its autoencoder is a {name}, but one of {', '.join(KINDS)} is needed")
        return KINDS[name]


def weights_variant(folder: Path) -> str:
    """The variant of a network's weights that is read: without a mark, or what else there is, such as fp16.

    Raises:
        FileNotFoundError: no file of weights in safetensors.
    """
    names = sorted(path.name for path in folder.iterdir())
    found = {m[1] or m[2] or "" for m in (re.fullmatch(WEIGHTS, name) for name in names) if m}
    if not found:
        what = f"{folder.name}/ holds {', '.join(names[:3]) or 'nothing'}, and no weights in safetensors"
        raise FileNotFoundError(f"{what}; diffusers' save_pretrained writes them")
    return next(variant for variant in (*PREFERRED, *sorted(found)) if variant in found)
