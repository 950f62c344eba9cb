"""SDXL, and SDXL-turbo of one to four steps: a larger UNet, on whose pictures two text encoders and a size decide."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from jaxtyping import Float
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from .folder import PriorFolder
from .stable_diffusion import StableDiffusionPrior

PIPELINE = "StableDiffusionXLPipeline"
FOLDERS = ("unet", "vae", "scheduler", "tokenizer", "text_encoder", "tokenizer_2", "text_encoder_2")


@dataclass(frozen=True, eq=False, kw_only=True)
class SDXLPrior(StableDiffusionPrior):
    """Conditioning is the last layer but one of both encoders side by side; its last row, the second one's summary."""

    second_tokenizer: CLIPTokenizer
    second_encoder: CLIPTextModelWithProjection

    @torch.no_grad()
    def _encoded(self, prompts: list[str]) -> Float[Tensor, "n rows width"]:
        how = {"padding": "max_length", "truncation": True, "return_tensors": "pt"}
        readers = self.tokenizer, self.second_tokenizer
        return self._joined(*(r(prompts, max_length=r.model_max_length, **how).input_ids for r in readers))

    def _joined(self, ids: Tensor, second_ids: Tensor) -> Float[Tensor, "n rows width"]:
        first = self.text_encoder(ids.to(self.device), output_hidden_states=True)
        second = self.second_encoder(second_ids.to(self.device), output_hidden_states=True)
        words = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1)
        summary = F.pad(second.text_embeds, (0, words.shape[-1] - second.text_embeds.shape[-1]))
        return torch.cat([words, summary[:, None]], dim=1)

    def any_condition(self) -> Float[Tensor, "1 rows width"]:
        """The text encoders' answer to a text of zeros."""
        nothing = torch.zeros(1, self.text_encoder.config.max_position_embeddings, dtype=torch.long)
        return self._joined(nothing, nothing)

    def predicted(self, x: Tensor, t: Tensor, conditioning: Tensor) -> Tensor:
        """Noise that the UNet sees in x at time t, as in a picture of its own size of which nothing was cut off."""
        side, width = self.image_size, self.second_encoder.config.projection_dim
        size = x.new_tensor([side, side, 0, 0, side, side]).expand(len(x), -1)
        more = {"text_embeds": conditioning[:, -1, :width], "time_ids": size}
        return self.unet(x, t, encoder_hidden_states=conditioning[:, :-1], added_cond_kwargs=more).sample


def from_folder(folder: PriorFolder) -> SDXLPrior:
    common = folder.common()
    if common["vae"].config.get("force_upcast", False):
        common["vae"].float()  # its activations leave the range of float16
    places = (folder.path / name for name in ("tokenizer", "tokenizer_2"))
    first, second = (CLIPTokenizer.from_pretrained(place, local_files_only=True) for place in places)
    return SDXLPrior(
        unet=folder.part(UNet2DConditionModel, "unet"), tokenizer=first, second_tokenizer=second,
        text_encoder=folder.part(CLIPTextModel, "text_encoder", channels_last=False),
        second_encoder=folder.part(CLIPTextModelWithProjection, "text_encoder_2", channels_last=False),
        negative_prompt=folder.negative_prompt, **common,
    )  # fmt: skip
