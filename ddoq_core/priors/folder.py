"""A folder in diffusers' layout, of which a prior asks for its parts."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import diffusers
import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from torch import nn

from .autoencoder import KINDS

N = TypeVar("N", bound=nn.Module)


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
