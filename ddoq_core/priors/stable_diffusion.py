"""Stable Diffusion 1.x: a text-conditional UNet with its autoencoder and CLIP's text encoder.

The safety checker of its folder is not loaded, as it would turn pictures of some harmless classes black.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from diffusers import UNet2DConditionModel
from jaxtyping import Float
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer
from transformers.utils import logging

from .folder import PriorFolder
from .latent_diffusion import LatentDiffusion

PIPELINE = "StableDiffusionPipeline"
FOLDERS = ("unet", "vae", "scheduler", "tokenizer", "text_encoder")
PROMPTS = 50  # texts encoded together
logging.disable_progress_bar()  # for reading a folder, which is quick


@dataclass(frozen=True, eq=False, kw_only=True)
class StableDiffusionPrior(LatentDiffusion):
    """The conditioning is the last layer of the text encoder on a prompt, [tokens, width]."""

    unet: UNet2DConditionModel
    tokenizer: CLIPTokenizer
    text_encoder: CLIPTextModel
    negative_prompt: str = ""  # guidance moves away from it; D4M uses "cartoon, anime, painting"

    @property
    def network(self) -> UNet2DConditionModel:
        return self.unet

    def embed(self, classes: Sequence[dict]) -> Float[Tensor, "n_classes tokens width"]:
        """Embedding of every class's prompt; equal prompts are encoded once."""
        prompts = [row["prompt"] for row in classes]
        return torch.cat([self._encoded(prompts[i : i + PROMPTS]) for i in range(0, len(prompts), PROMPTS)])

    @torch.no_grad()
    def _encoded(self, prompts: list[str]) -> Float[Tensor, "n tokens width"]:
        length = self.tokenizer.model_max_length
        ids = self.tokenizer(prompts, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
        return self.text_encoder(ids.input_ids.to(self.device))[0]

    @cached_property
    def _negative(self) -> Float[Tensor, "1 tokens width"]:
        return self._encoded([self.negative_prompt])

    def _both(self, conditioning: Tensor) -> Tensor:
        return torch.cat([self._negative.to(conditioning).expand_as(conditioning), conditioning])

    def any_condition(self) -> Float[Tensor, "1 tokens width"]:
        """The text encoder's output for a text of zeros."""
        tokens = self.text_encoder.config.max_position_embeddings
        return self.text_encoder(torch.zeros(1, tokens, dtype=torch.long, device=self.device))[0]

    def predicted(self, x: Tensor, t: Tensor, conditioning: Tensor) -> Tensor:
        """The noise that the UNet predicts in x at time t."""
        return self.unet(x, t, encoder_hidden_states=conditioning).sample


def from_folder(folder: PriorFolder) -> StableDiffusionPrior:
    common = folder.common()
    return StableDiffusionPrior(
        unet=folder.part(UNet2DConditionModel, "unet"),
        text_encoder=folder.part(CLIPTextModel, "text_encoder", channels_last=False),
        tokenizer=CLIPTokenizer.from_pretrained(folder.path / "tokenizer", local_files_only=True),
        negative_prompt=folder.negative_prompt, **common,
    )  # fmt: skip
