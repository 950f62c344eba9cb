"""DiT: a class-conditional diffusion transformer (Peebles & Xie 2023) with its autoencoder."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from diffusers import DiTTransformer2DModel
from jaxtyping import Int64
from torch import Tensor

from ..data.imagenet import imagenet_classes
from ..errors import InputError
from .folder import PriorFolder
from .latent_diffusion import LatentDiffusion

PIPELINE = "DiTPipeline"
FOLDERS = ("transformer", "vae", "scheduler")
NULL = 1000  # id of "no class" in the label table, hard-coded in DiTPipeline


@dataclass(frozen=True, eq=False, kw_only=True)
class DiTPrior(LatentDiffusion):
    """The conditioning is a row of a label table."""

    transformer: torch.nn.Module  # DiTTransformer2DModel, or anything with its call
    class_names: tuple[str, ...] = ()  # of its label table, in order

    @property
    def network(self) -> torch.nn.Module:
        """The transformer."""
        return self.transformer

    def embed(self, classes: Sequence[dict]) -> Int64[Tensor, " n_classes"]:
        """The label table's row for each class: by wnid if all classes are ImageNet's, else by name, else by order.

        Raises:
            InputError: a class that is not in the label table.
        """
        known = imagenet_classes()
        if len(self.class_names) in (0, NULL) and all(row["directory"] in known for row in classes):
            return torch.tensor([known[row["directory"]].index for row in classes])
        rows = {n.strip(): i for i, label in enumerate(self.class_names) for n in [label, *label.split(",")]}
        names = [row["name"] for row in classes]
        missing = [n for n in names if n not in rows]
        if not missing:
            return torch.tensor([rows[n] for n in names])
        if len(missing) == len(names) and len(names) in (len(self.class_names), NULL):
            return torch.arange(len(names))
        raise InputError(
            f"the prior does not know the class '{missing[0]}'; name the class folders as in its model_index.json"
        )

    def _both(self, labels: Int64[Tensor, " b"]) -> Int64[Tensor, " 2*b"]:
        return torch.cat([torch.full_like(labels, NULL), labels])

    def any_condition(self) -> Int64[Tensor, " 1"]:
        """A row of the label table."""
        return torch.zeros(1, dtype=torch.long, device=self.device)

    def predicted(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        """The noise that the transformer predicts in x at time t, without a learned variance."""
        return self.transformer(x, timestep=t.expand(len(x)), class_labels=labels).sample[:, : x.shape[1]]


def from_folder(folder: PriorFolder) -> DiTPrior:
    """The prior in a folder with DiTPipeline's layout; its model_index.json may name the classes."""
    names = folder.index.get("id2label") or {}
    labels = tuple(names[key] for key in sorted(names, key=int))
    common = folder.common()
    return DiTPrior(transformer=folder.part(DiTTransformer2DModel, "transformer"), class_names=labels, **common)
