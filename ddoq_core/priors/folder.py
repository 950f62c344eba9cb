"""A folder in diffusers' layout, from which a prior reads its parts."""

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
# a file of weights, or one of several, and the variant of the weights in it: diffusers' names, new and old
WEIGHTS = r"(?:diffusion_pytorch_)?model(?:\.(\w+))?(?:-\d{5}-of-\d{5})?(?:\.(\w+))?\.safetensors"
PREFERRED = ("", "fp16", "bf16", "ema")  # the first of these variants that exists is read; "" has no mark


@dataclass(frozen=True)
class PriorFolder:
    """The location of the parts, and how to read them."""

    path: Path
    index: dict  # model_index.json
    device: str
    dtype: torch.dtype  # of weights and activations
    negative_prompt: str  # guidance moves away from it; for priors that read texts

    def part(self, kind: type[N], name: str, *, channels_last: bool = True) -> N:
        """One network in evaluation mode, from safetensors only; on a GPU convolutions are fastest `channels_last`."""
        how = {"torch_dtype": self.dtype, "local_files_only": True, "use_safetensors": True}
        how["variant"] = weights_variant(self.path / name) or None
        module = kind.from_pretrained(self.path / name, **how).to(self.device).eval().requires_grad_(False)
        faster = channels_last and self.device != "cpu"
        return module.to(memory_format=torch.channels_last) if faster else module

    def common(self) -> dict:
        """The parts of every `LatentDiffusion`: autoencoder and noise schedule."""
        kind = getattr(diffusers, self.index["scheduler"][1])
        if not issubclass(kind, diffusers.SchedulerMixin):
            raise TypeError(f"{kind.__name__} is not a scheduler")
        config = dict(kind.load_config(self.path / "scheduler", local_files_only=True))
        return {"vae": self.part(self._autoencoder(), "vae"), "scheduler_class": kind, "scheduler_config": config}

    def _autoencoder(self) -> type[AutoencoderKL | AutoencoderTiny]:
        name = AutoencoderKL.load_config(self.path / "vae", local_files_only=True).get("_class_name", "AutoencoderKL")
        if name not in KINDS:
            raise TypeError(f"its autoencoder is a {name}, but it must be one of {', '.join(KINDS)}")
        return KINDS[name]


def weights_variant(folder: Path) -> str:
    """The variant of a network's weights to read: the one without a mark, or another that exists, such as fp16.

    Raises:
        FileNotFoundError: no file of weights in safetensors.
    """
    names = sorted(path.name for path in folder.iterdir())
    found = {m[1] or m[2] or "" for m in (re.fullmatch(WEIGHTS, name) for name in names) if m}
    if not found:
        what = f"{folder.name}/ holds {', '.join(names[:3]) or 'nothing'}, but no weights in safetensors"
        raise FileNotFoundError(f"{what}; write them with diffusers' save_pretrained")
    return next(variant for variant in (*PREFERRED, *sorted(found)) if variant in found)
