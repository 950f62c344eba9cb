"""Autoencoders that any prior can use: diffusers' AutoencoderKL and AutoencoderTiny, and TAEF2's variant of the latter.

In: a folder in diffusers' layout, the two files of TAESD or its relatives (*_encoder.safetensors and
*_decoder.safetensors), given by their folder or by one of them, or a name on the Hugging Face hub. Out: the network.
Its config has the scale of the latents.
"""

import hashlib
import inspect
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
WIDTH, POOLED, GROUPS = 64, 256, 4  # channels of TAEF2, channels of its group-normalised branch, and its groups
NEAR_LATENT = {"encoder": range(11, 14), "decoder": range(2, 5)}  # blocks of TAEF2 with the branch
PARTS = ("encoder", "decoder")
CLAMPED = 1  # TAESD's decoder counts 3 tanh(x / 3) as its layer 0; diffusers' does not


class PooledBlock(nn.Module):
    """AutoencoderTinyBlock with a branch that first adds a summary of the whole picture, normalised with GroupNorm."""

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
    """Scaled latents of images in [0, 1]: the posterior's mean, or a draw with this noise if the posterior has one."""
    found = vae.encode(2 * images - 1)
    if hasattr(found, "latents"):
        latents = found.latents
    else:
        latents = found.latent_dist.mean if normal is None else found.latent_dist.mean + found.latent_dist.std * normal
    return (latents - _shift(vae)) * vae.config.scaling_factor


def images_of(
    vae: AutoencoderKL | AutoencoderTiny, latents: Float[Tensor, "b c h w"], *, clamped: bool = True
) -> Float[Tensor, "b C H W"]:
    """Images in [0, 1] from scaled latents, or the decoder's raw output."""
    images = vae.decode(latents / vae.config.scaling_factor + _shift(vae)).sample / 2 + 0.5
    return images.clamp(0, 1) if clamped else images


def _shift(vae: AutoencoderKL | AutoencoderTiny) -> float:
    return vae.config.get("shift_factor") or 0.0


def shrinking(vae: AutoencoderKL | AutoencoderTiny) -> int:
    """Image pixels per latent pixel, in each direction."""
    return 2 ** (len(vae.config.block_out_channels) - 1)


def read_autoencoder(path: Path) -> AutoencoderKL | AutoencoderTiny:
    """Read an autoencoder from a folder or file, from safetensors only.

    Raises:
        InputError: nothing there, another kind of network, or files that do not fit; the message names them.
    """
    if not path.exists():
        raise InputError(f"no folder or file {path}; set autoencoder_path to an autoencoder")
    try:
        files = _files(path)
        return _of_diffusers(files[0].parent) if files[0].suffix == ".json" else _of_two_files(*files)
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"the autoencoder in {path} cannot be loaded ({reason}); check autoencoder_path") from error


def _files(path: Path) -> list[Path]:
    """The files to read: config.json with the weights beside it, or the files of an encoder and of its decoder.

    Raises:
        ValueError: neither is there, or there is more than one pair.
    """
    folder = path if path.is_dir() else path.parent
    if path.is_file() and (found := re.search("|".join(PARTS), path.name)):
        return [folder / path.name.replace(found[0], part) for part in PARTS]
    folder = folder / "vae" if (folder / "vae" / "config.json").is_file() else folder
    if (folder / "config.json").is_file():
        return [folder / "config.json", *sorted(folder.glob("*.safetensors"))]
    found = [sorted(folder.glob(f"*{part}.safetensors")) for part in PARTS]
    if [len(files) for files in found] != [1, 1]:
        raise ValueError(f"{len(found[0])} files *encoder.safetensors and no config.json; name one of its two files")
    return [file for files in found for file in files]


def _of_diffusers(folder: Path) -> AutoencoderKL | AutoencoderTiny:
    kind = json.loads((folder / "config.json").read_text()).get("_class_name")
    if kind not in KINDS:
        raise ValueError(f"it is a {kind}, but it must be one of {', '.join(KINDS)}")
    return KINDS[kind].from_pretrained(folder, local_files_only=True, use_safetensors=True).eval()


def _of_two_files(encoder: Path, decoder: Path) -> AutoencoderTiny:
    """TAESD or TAEF2 from its authors' files, in which layers are numbered."""
    state = {}
    for part, file in zip(PARTS, (encoder, decoder), strict=True):
        for name, tensor in safetensors.torch.load_file(file).items():
            layer, _, rest = name.partition(".")
            state[f"{part}.layers.{int(layer) - CLAMPED * (part == 'decoder')}.{rest}"] = tensor.float()
    latent_channels = state["decoder.layers.0.weight"].shape[1]
    pooled = any(".pool." in name for name in state)
    vae = AutoencoderTAEF2() if pooled else AutoencoderTiny(latent_channels=latent_channels)
    vae.load_state_dict(state)
    return vae.eval()


def save_autoencoder(vae: AutoencoderKL | AutoencoderTiny, folder: Path) -> None:
    """Write it for `read_autoencoder` and diffusers, without the entries that diffusers writes and then warns about."""
    vae.save_pretrained(folder, safe_serialization=True)
    config, asked = json.loads((folder / "config.json").read_text()), inspect.signature(type(vae)).parameters
    config = {name: value for name, value in config.items() if name in asked or name.startswith("_")}
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def autoencoder_place(name: str) -> Path:
    """The folder or file of autoencoder_path, downloaded if it is the name of a model on the hub.

    Raises:
        InputError: nothing is named, or the hub cannot provide it.
    """
    path = Path(name)
    if not name:
        raise InputError(
            "prior = exact needs an autoencoder; set autoencoder_path to its folder, or its name on the hub"
        )
    if path.exists() or not re.fullmatch(HUB_ID, name):
        return path
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=list(FILES)))
    except Exception as error:  # of many kinds: no network, no such name, no access
        reason = " ".join(str(error).split())[:150]
        raise InputError(f"autoencoder_path = {name} is not a folder, nor a model on the hub ({reason})") from error


def autoencoder_digest(path: Path) -> str:
    """Digest of the files of an autoencoder, which must exist."""
    content = [[file.name, sha256_of(file)] for file in _files(path)]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


@torch.no_grad()
def measure_scale(vae: AutoencoderTiny, images: Iterable[Float[Tensor, "_ C H W"]]) -> None:
    """Write into the config the shift and scale that give the latents of these images mean 0 and variance 1."""
    vae.register_to_config(shift_factor=0.0, scaling_factor=1.0)
    latents = torch.cat([latents_of(vae, batch, None) for batch in images])
    shift, scale = latents.mean().item(), 1 / latents.std().item()
    vae.register_to_config(shift_factor=round(shift, 4), scaling_factor=round(scale, 4))
