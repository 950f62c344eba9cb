"""Autoencoders that any prior can use: diffusers' AutoencoderKL and AutoencoderTiny, and TAEF2's variant of the latter.

In: a folder in diffusers' layout, a folder with the two files of TAESD or its kin (*_encoder.safetensors and
*_decoder.safetensors), or a name on the Hugging Face hub. Out: the network. Its config says how latents are scaled.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path

import safetensors.torch
import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from diffusers.configuration_utils import register_to_config
from diffusers.models.unets.unet_2d_blocks import AutoencoderTinyBlock
from jaxtyping import Float
from safetensors import SafetensorError
from torch import Tensor, nn

from ..errors import InputError
from ..store.manifest import sha256_of

HUB_ID = r"[\w.-]+/[\w.-]+"
FILES = ("*.json", "*.safetensors")
WIDTH, POOLED, GROUPS = 64, 256, 4  # channels of TAEF2, those of its group-normalised branch, and its groups
NEAR_LATENT = {"encoder": range(11, 14), "decoder": range(2, 5)}  # blocks of TAEF2 that have the branch
PARTS = ("encoder", "decoder")
CLAMPED = 1  # TAESD's decoder counts 3 tanh(x / 3) as its layer 0; diffusers' does not


class PooledBlock(nn.Module):
    """AutoencoderTinyBlock whose input first gets what its whole picture says: a branch with GroupNorm."""

    def __init__(self, block: AutoencoderTinyBlock) -> None:
        super().__init__()
        self.conv = block.conv
        norm = nn.GroupNorm(GROUPS, POOLED)
        ends = nn.Conv2d(WIDTH, POOLED, 1, bias=False), nn.Conv2d(POOLED, WIDTH, 1, bias=False)
        self.pool = nn.Sequential(ends[0], norm, nn.ReLU(), ends[1])

    def forward(self, x: Float[Tensor, "b 64 h w"]) -> Float[Tensor, "b 64 h w"]:
        x = x + self.pool(x)
        return torch.relu(x + self.conv(x))


class AutoencoderTAEF2(AutoencoderTiny):
    """TAEF2, distilled from FLUX.2's autoencoder: an eighth of the side, 32 channels, deterministic."""

    @register_to_config
    def __init__(self, scaling_factor: float = 1.0, shift_factor: float = 0.0) -> None:
        super().__init__(latent_channels=32, scaling_factor=scaling_factor, shift_factor=shift_factor)
        for part, places in NEAR_LATENT.items():
            layers = getattr(self, part).layers
            for i in places:
                layers[i] = PooledBlock(layers[i])


KINDS = {kind.__name__: kind for kind in (AutoencoderKL, AutoencoderTiny, AutoencoderTAEF2)}


def latents_of(
    vae: AutoencoderKL | AutoencoderTiny, images: Float[Tensor, "b C H W"], normal: Float[Tensor, "b c h w"] | None
) -> Float[Tensor, "b c h w"]:
    """Scaled latents of images in [0, 1]: the posterior's mean, or its draw with this noise; some have no spread."""
    found = vae.encode(2 * images - 1)
    if hasattr(found, "latents"):
        latents = found.latents
    else:
        latents = found.latent_dist.mean if normal is None else found.latent_dist.mean + found.latent_dist.std * normal
    return (latents - _shift(vae)) * vae.config.scaling_factor


def images_of(vae: AutoencoderKL | AutoencoderTiny, latents: Float[Tensor, "b c h w"]) -> Float[Tensor, "b C H W"]:
    """Images in [0, 1] of scaled latents."""
    return (vae.decode(latents / vae.config.scaling_factor + _shift(vae)).sample / 2 + 0.5).clamp(0, 1)


def _shift(vae: AutoencoderKL | AutoencoderTiny) -> float:
    return vae.config.get("shift_factor") or 0.0


def read_autoencoder(path: Path) -> AutoencoderKL | AutoencoderTiny:
    """The autoencoder in a folder, from safetensors only.

    Raises:
        InputError: no such folder, another kind of network, or files that do not fit; the line names them.
    """
    if not path.is_dir():
        raise InputError(f"no folder {path}; set autoencoder_path to the folder of an autoencoder")
    folder = path / "vae" if (path / "vae" / "config.json").is_file() else path
    try:
        return _of_diffusers(folder) if (folder / "config.json").is_file() else _of_two_files(folder)
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"the autoencoder in {path} cannot be loaded ({reason}); check autoencoder_path") from error


def _of_diffusers(folder: Path) -> AutoencoderKL | AutoencoderTiny:
    kind = json.loads((folder / "config.json").read_text()).get("_class_name")
    if kind not in KINDS:
        raise ValueError(f"it is a {kind}, but one of {', '.join(KINDS)} is needed")
    return KINDS[kind].from_pretrained(folder, local_files_only=True, use_safetensors=True)


def _of_two_files(folder: Path) -> AutoencoderTiny:
    """TAESD or TAEF2 from the files of their authors, whose layers are numbered."""
    state = {}
    for part in PARTS:
        files = sorted(folder.glob(f"*{part}.safetensors"))
        if len(files) != 1:
            raise ValueError(f"{len(files)} files *{part}.safetensors and no config.json")
        for name, tensor in safetensors.torch.load_file(files[0]).items():
            layer, _, rest = name.partition(".")
            state[f"{part}.layers.{int(layer) - CLAMPED * (part == 'decoder')}.{rest}"] = tensor.float()
    latent_channels = state["decoder.layers.0.weight"].shape[1]
    pooled = any(".pool." in name for name in state)
    vae = AutoencoderTAEF2() if pooled else AutoencoderTiny(latent_channels=latent_channels)
    vae.load_state_dict(state)
    return vae.eval()


def autoencoder_folder(name: str) -> Path:
    """The folder that autoencoder_path names, fetched from the hub if it is the name of a model there.

    Raises:
        InputError: nothing is named, there is no such folder, or the hub does not give it.
    """
    path = Path(name)
    if not name:
        raise InputError("this prior needs an autoencoder; set autoencoder_path to its folder, or its name on the hub")
    if path.exists() or not re.fullmatch(HUB_ID, name):
        return path
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=list(FILES)))
    except Exception as error:  # of many kinds: no network, no such name, no access
        reason = " ".join(str(error).split())[:150]
        raise InputError(f"autoencoder_path = {name} is no folder, and the hub does not give it ({reason})") from error


def content_of(folder: Path) -> str:
    """Digest of the files of an autoencoder."""
    files = sorted({f for kind in FILES for f in folder.rglob(kind)})
    content = [[str(f.relative_to(folder)), sha256_of(f)] for f in files]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


@torch.no_grad()
def measure_scale(vae: AutoencoderTiny, images: Iterable[Float[Tensor, "b C H W"]]) -> None:
    """Write into the config the shift and the scale that give the latents of these images mean 0 and variance 1."""
    vae.register_to_config(shift_factor=0.0, scaling_factor=1.0)
    latents = torch.cat([latents_of(vae, batch, None) for batch in images])
    shift, scale = latents.mean().item(), 1 / latents.std().item()
    vae.register_to_config(shift_factor=round(shift, 4), scaling_factor=round(scale, 4))
