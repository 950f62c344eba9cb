"""Weights of a prior come in several variants: which is read from a folder, and which is fetched from the hub."""

import shutil
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub.utils import filter_repo_objects

from ddoq_book.ch22.toy_imagenet import tiny_stable_diffusion
from ddoq_core.config.profile import Profile
from ddoq_core.errors import InputError
from ddoq_core.priors.folder import weights_variant
from ddoq_core.priors.load import load_prior, prior_artifact

NETWORKS = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "text_encoder": "model"}
NEW_HOME = "stable-diffusion-v1-5/stable-diffusion-v1-5"


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("plain")
    tiny_stable_diffusion(path)
    return path


def files_of(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def in_variants(plain: Path, folder: Path, *variants: str, only: tuple[str, ...] = tuple(NETWORKS)) -> Path:
    """A copy whose networks have, in place of the plain weights, files that are marked so; "" is the plain one."""
    shutil.copytree(plain, folder)
    for name in only:
        weights = folder / name / f"{NETWORKS[name]}.safetensors"
        content = weights.read_bytes()
        weights.unlink()
        for variant in variants:
            weights.with_suffix(f".{variant}.safetensors" if variant else ".safetensors").write_bytes(content)
    return folder


@pytest.mark.parametrize("variant", ["fp16", "bf16", "ema", "non_ema"])
@pytest.mark.parametrize("only", [tuple(NETWORKS), ("unet",)])
def test_a_folder_that_has_one_variant_alone_is_read(plain, tmp_path, variant, only):
    folder = in_variants(plain, tmp_path / "marked", variant, only=only)
    for ours, theirs in zip(load_prior(folder).unet.parameters(), load_prior(plain).unet.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_a_network_cut_into_files_is_read_in_half_precision_too(plain, tmp_path):
    folder = in_variants(plain, tmp_path / "cut", "fp16")
    unet = load_prior(plain).unet
    shutil.rmtree(folder / "unet")
    unet.save_pretrained(folder / "unet", variant="fp16", max_shard_size="50KB")
    assert len(list((folder / "unet").glob("*.fp16-*.safetensors"))) > 1
    assert load_prior(folder).unet.conv_in.weight.equal(unet.conv_in.weight)


@pytest.mark.parametrize(
    ("names", "variant"),
    [
        (["model.safetensors", "model.fp16.safetensors"], ""),
        (["diffusion_pytorch_model-00001-of-00002.safetensors", "diffusion_pytorch_model.fp16.safetensors"], ""),
        (["model.bf16.safetensors", "model.fp16.safetensors"], "fp16"),
        (["diffusion_pytorch_model.non_ema.safetensors", "diffusion_pytorch_model.ema.safetensors"], "ema"),
        (["diffusion_pytorch_model-00001-of-00002.fp16.safetensors"], "fp16"),
    ],
)
def test_of_several_variants_one_is_read(tmp_path, names, variant):
    for name in ["config.json", "model.bin", "pytorch_lora_weights.safetensors", *names]:
        (tmp_path / name).touch()
    assert weights_variant(tmp_path) == variant


def test_weights_that_are_pickles_alone_are_one_line_that_names_them_and_the_mend(plain, tmp_path):
    folder = in_variants(plain, tmp_path / "pickled")
    for name, stem in NETWORKS.items():
        (folder / name / f"{stem}.bin").touch()
    line = r"vae/ holds config.json, diffusion_pytorch_model.bin, but no weights in safetensors; .* save_pretrained"
    with pytest.raises(InputError, match=line) as caught:
        load_prior(folder)
    assert "\n" not in str(caught.value)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """`hub(model)`: from then on the hub has one model of any name, and tells which files were fetched of it."""

    def serve(model: Path) -> set[str]:
        fetched, asked = tmp_path / "cache", set()

        def snapshot_download(name: str, allow_patterns: list[str]) -> str:
            asked.add(name)
            for file in filter_repo_objects(sorted(files_of(model)), allow_patterns=allow_patterns):
                (fetched / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(model / file, fetched / file)
            return str(fetched)

        monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
        for name in (
            "somebody/model",
            "https://huggingface.co/somebody/model",
            "https://huggingface.co/somebody/model/",
        ):
            made = prior_artifact(Profile(prior="stable-diffusion", prior_path=name))
            load_prior(made.path)
        assert asked == {"somebody/model"}
        return {f for f in files_of(fetched) if not f.endswith((".json", ".txt"))}

    return serve


def weights(**variants: str) -> set[str]:
    return {f"{name}/{NETWORKS[name]}{mark}.safetensors" for name, mark in variants.items()}


def test_of_a_model_on_the_hub_one_variant_is_fetched_and_no_pickle(plain, tmp_path, hub):
    model = in_variants(plain, tmp_path / "all", "", "fp16", "non_ema")
    for name, stem in NETWORKS.items():
        for more in ("bin", "fp16.bin", "msgpack", "onnx"):
            (model / name / f"{stem}.{more}").touch()
    (model / "v1-5-pruned.safetensors").touch()
    assert hub(model) == weights(unet="", vae="", text_encoder="")


def test_of_a_model_that_has_half_precision_alone_that_is_fetched(plain, tmp_path, hub):
    assert hub(in_variants(plain, tmp_path / "half", "fp16")) == weights(
        unet=".fp16", vae=".fp16", text_encoder=".fp16"
    )


def test_each_part_is_fetched_in_the_variant_that_it_has(plain, tmp_path, hub):
    model = in_variants(plain, tmp_path / "mixed", "fp16", only=("unet",))
    (model / "vae" / "diffusion_pytorch_model.fp16.safetensors").touch()
    assert hub(model) == weights(unet=".fp16", vae="", text_encoder="")


@pytest.mark.parametrize(
    "name", ["runwayml/stable-diffusion-v1-5", "https://huggingface.co/runwayml/stable-diffusion-v1-5"]
)
def test_the_old_home_of_stable_diffusion_is_answered_with_the_new_one(monkeypatch, name):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=rf"it has moved: set prior_path={NEW_HOME}$") as caught:
        prior_artifact(Profile(prior="stable-diffusion", prior_path=name))
    assert "\n" not in str(caught.value)
