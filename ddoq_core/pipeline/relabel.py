"""Algorithm 4, line 6: soft labels, the teacher's logits of every view that students will see.

In: a distilled set and the teacher. Out: logits per epoch, one row per image in the set's own order, tied to the images
by their checksums. The views are drawn by key (`augment`), so no crop or mix is stored. Students that share a label
seed share views and labels, as in FKD. `train` also calls `teacher_logits` if no labels are stored, on the same fixed
pieces of an epoch, so both ways give the same numbers.
"""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from jaxtyping import Float, Float16, UInt8
from safetensors.torch import save_file
from torch import Tensor, nn

from ..config.profile import Profile
from ..data.dataset import Dataset
from ..errors import InputError
from ..finite import finite
from ..processes import bar, report_line, world
from ..store.artifacts import Artifact, Store, Workspace
from ..store.safe_files import open_tensors
from ..threads import threads
from .distilled import DistilledDataset
from .label_forms import LabelForm, form_knobs, label_bytes
from .pixels import mapped_pixels
from .teacher import load_teacher
from .views import VIEW_KNOBS, Views, draw_views, views_of

PIECE = 250  # images of an epoch that are made and labelled together; independent of the batch size
ON_A_GPU = 2  # files that a GPU labels at once; each has its own views and activations in memory
FILE_EPOCHS, FILE_BYTES = 10, 2**24  # most epochs in one file, and most bytes if that is more than one epoch
MUCH = 1e9  # labels with more bytes are announced before they are written


def relabel(
    store: Store, distilled: DistilledDataset, dataset: Dataset, teacher: Artifact, profile: Profile, *, label_seed: int
) -> Artifact:
    """Store soft labels Psi(x) of every view x of all epochs, or of `label_epochs` (Algorithm 4, line 6).

    Returns:
        Artifact with `epochs00000.safetensors`, named by its first epoch: `logits` [epochs, n, classes] in float16, or
        in the form of `label_form`; and `images.jsonl`, the checksum of each row's image.
    """

    def share(work: Workspace) -> None:
        network = load_teacher(teacher, profile.device)
        pixels = mapped_pixels(store, distilled)
        n, size = len(pixels), pixels.shape[-1]
        form, knobs = LabelForm.of(form_knobs(profile)), profile.subset(*VIEW_KNOBS)
        together = epochs_per_file(n, dataset.n_classes, form)
        _announce(work, label_bytes(n, dataset.n_classes, profile.labelled_epochs, form))

        def label(first: int) -> None:
            def write(path: Path) -> None:
                epochs = range(first, min(first + together, profile.labelled_epochs))
                drawn = (draw_views(n, size, label_seed, epoch, **knobs).to(profile.device) for epoch in epochs)
                logits = [_epoch_logits(network, dataset, pixels, views) for views in drawn]
                for of_epoch in logits:
                    finite(of_epoch, lambda i: f"soft label of {distilled.metadata[i]['file_name']}")
                packed = [form.packed(of_epoch) for of_epoch in logits]
                save_file({name: torch.stack([of[name] for of in packed]) for name in packed[0]}, path)

            work.chunk(_file(first), write)

        files = world().my_share(range(0, profile.labelled_epochs, together))
        at_once = profile.threads if profile.device == "cpu" else min(profile.threads, ON_A_GPU)
        with ThreadPoolExecutor(at_once) as pool:
            list(bar(pool.map(label, files), total=len(files), desc="soft labels"))

    def build(work: Workspace) -> None:
        work.jsonl("images.jsonl", _identities(distilled))

    parameters = (
        profile.keyed(*VIEW_KNOBS) | form_knobs(profile) | {"epochs": profile.labelled_epochs, "label_seed": label_seed}
    )
    with threads(1):  # files side by side: small images do not need more than one thread
        return store.make(
            "relabel", build, parameters=parameters,
            inputs=[distilled.artifact, teacher], modules=(__name__,), label=distilled.artifact.label,
            plan=profile.subset("threads", "device"), share=share,
        )  # fmt: skip


def _announce(work: Workspace, size: int) -> None:
    """Print how much will be written if it is much; InputError if the disk does not have that much space."""
    there = sum(p.stat().st_size for p in work.path.glob("*.safetensors"))
    free = shutil.disk_usage(work.path).free
    if size - there > free:
        raise InputError(
            f"soft labels need {size / 1e9:.1f} GB, {there / 1e9:.1f} are written, but the disk of {work.path} has "
            f"{free / 1e9:.1f} GB left; set soft_labels=online, or 'artifacts' to another folder"
        )
    if size - there > MUCH:
        report_line(f"ddoq: soft labels: {(size - there) / 1e9:.1f} GB to write to {work.path}")


@torch.no_grad()
def teacher_logits(
    network: nn.Module, dataset: Dataset, images: Float[Tensor, "b C H W"]
) -> Float16[Tensor, "b classes"]:
    """Logits of images in [0, 1] as they are stored, in float16."""
    return network(dataset.normalise(images)).half()


def _epoch_logits(
    network: nn.Module, dataset: Dataset, pixels: UInt8[Tensor, "n C H W"], views: Views
) -> Float16[Tensor, "n classes"]:
    logits = torch.empty(len(pixels), dataset.n_classes, dtype=torch.float16)
    for rows in views.order.split(PIECE):
        logits[rows.cpu()] = teacher_logits(network, dataset, views_of(pixels, views, rows)).cpu()
    return logits


def check_labels(labels: Artifact, distilled: DistilledDataset, profile: Profile, label_seed: int) -> None:
    """Raise InputError unless stored labels belong to these images and these views, and cover all epochs."""
    made = labels.manifest["parameters"]
    wanted = profile.keyed(*VIEW_KNOBS) | form_knobs(profile) | {"label_seed": label_seed}
    names = (*VIEW_KNOBS, "label_form", "label_top", "temperature", "label_seed")
    differing = [name for name in names if made.get(name) != wanted.get(name)]
    if differing:
        name = differing[0]
        there, here_ = made.get(name), wanted.get(name)
        raise InputError(f"soft labels {labels.path} were made with {name} = {there}, not {here_}; relabel")
    if made["epochs"] < (wanted := profile.labelled_epochs):
        raise InputError(f"soft labels {labels.path} end after {made['epochs']} epochs of {wanted}; relabel")
    if labels.jsonl("images.jsonl") != _identities(distilled):
        raise InputError(f"soft labels {labels.path} belong to other images than {distilled.artifact.path}; relabel")


def stored_logits(labels: Artifact, n: int, n_classes: int, epoch: int) -> Callable[[Tensor], Tensor]:
    """Logits of rows of one epoch of stored labels; only that epoch is read from the file."""
    form = LabelForm.of(labels.manifest["parameters"])
    place = epoch % epochs_per_file(n, n_classes, form)
    with open_tensors(labels.path / _file(epoch - place)) as file:
        packed = {name: file.get_slice(name)[place] for name in file.keys()}  # noqa: SIM118 - it is no mapping
    return lambda rows: form.logits(packed, rows, n_classes)


def epochs_per_file(n: int, n_classes: int, form: LabelForm = LabelForm()) -> int:  # noqa: B008 - frozen
    """Epochs in one file of labels; depends only on the set and the form."""
    return max(1, min(FILE_EPOCHS, FILE_BYTES // label_bytes(n, n_classes, 1, form)))


def _file(first_epoch: int) -> str:
    return f"epochs{first_epoch:05d}.safetensors"


def _identities(distilled: DistilledDataset) -> list[dict]:
    return [{"file_name": row["file_name"], "sha256": row["sha256"]} for row in distilled.metadata]
