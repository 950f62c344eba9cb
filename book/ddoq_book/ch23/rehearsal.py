"""The run of the page: on the reader's photographs, or a rehearsal on patches of scikit-learn's two photographs.

In: the profile of the page. Out: its run, whose prior is the exact score of the training latents. A rehearsal has three
classes, patches of three regions, and an autoencoder that is fitted to them.
"""

import itertools
from pathlib import Path

from PIL import Image
from sklearn.datasets import load_sample_image

from ddoq_core.config.profile import Profile
from ddoq_core.runs.run import Run

# file, and top and bottom of the region as shares of its height
CLASSES = {"flower": ("flower.jpg", 0.0, 1.0), "sky": ("china.jpg", 0.0, 0.3), "temple": ("china.jpg", 0.3, 0.9)}
SIDE, STRIDE = 32, 12  # pixels: side of a patch, and distance to the next patch
TRAINED = 0.7  # share of a photograph's width, from the left, for training; no patch is on both sides
LEVELS = [5]  # images per class of a rehearsal
LONGER = 3  # times the profile's epochs of the autoencoder: colours and edges need more than digits


def run_of(profile: Profile) -> Run:
    """The run of this profile if its prior is the exact score, otherwise the run of a rehearsal."""
    if profile.prior == "exact":
        return Run(profile)
    root = Path(profile.artifacts) / "two-photographs"
    cut_patches(root)
    base = profile.replace(
        dataset="imagefolder", data_root=str(root), image_size=SIDE, prior="pretrain", diffusion_epochs=1,
        vae_epochs=LONGER * profile.vae_epochs, ipc=LEVELS, hard_ipc=LEVELS, guidance_scale=1.0,
        methods=["d4m", "ddoq", "d4m_medoid", "ddoq_medoid"], quantizer="minibatch", start="samples", n_passes=1,
    )  # fmt: skip
    return Run(base.replace(prior="exact", autoencoder_path=str(Run(base).prior.path)))


def rehearses(run: Run) -> bool:
    """Whether its classes are regions of scikit-learn's photographs."""
    return run.dataset.class_ids == [*CLASSES]


def cut_patches(root: Path) -> None:
    """Write train/CLASS/*.png with patches of the left part of each photograph, and val/ with patches of the right."""
    if (root / "val").exists():  # written last
        return
    for name, (file, top, bottom) in CLASSES.items():
        whole = Image.fromarray(load_sample_image(file))
        region = whole.crop((0, int(top * whole.height), whole.width, int(bottom * whole.height)))
        cut = int(TRAINED * whole.width)
        _cut_out(region, range(0, cut - SIDE, STRIDE), root / "train" / name)
        _cut_out(region, range(cut, whole.width - SIDE, STRIDE), root / "making" / name)
    (root / "making").rename(root / "val")


def _cut_out(region: Image.Image, columns: range, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for top, left in itertools.product(range(0, region.height - SIDE, STRIDE), columns):
        region.crop((left, top, left + SIDE, top + SIDE)).save(folder / f"{top:03d}-{left:03d}.png")
