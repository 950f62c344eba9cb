"""The study `labels`: the accuracy that students lose with fewer bytes of soft labels, on digits and on photographs.

Every form has the same sets, seeds and first weights, so differences are paired. `online` stores nothing and trains the
same students as float16, byte for byte; it has no row.
"""

from collections.abc import Iterator

from ddoq_core.config.profile import Profile
from ddoq_core.pipeline.label_forms import LabelForm, form_knobs
from ddoq_core.results.studies import StudyPart
from ddoq_core.runs.jobs import Student
from ddoq_core.runs.run import Run

from .images_seen import images_seen

FOLDER = "labels"  # of book/results
IPC = 10
DISTILLATIONS = range(200, 206)  # not used by earlier runs, with one student each
FEWER = 10  # factor by which there are fewer epochs of views, used in turn
LABEL_FORMS = {
    "float16": {},
    "int8": {"label_form": "int8"},
    "top3": {"label_form": "topk", "label_top": 3},
    "top1": {"label_form": "topk", "label_top": 1},
    "reused": {"label_epochs": FEWER},
    "reused-int8": {"label_epochs": FEWER, "label_form": "int8"},
}


def labels_study(profile: Profile) -> Iterator[StudyPart]:
    """D4M's and DDOQ's students, with a file for each form of labels."""
    base = profile.replace(ipc=[IPC], hard_ipc=[IPC], methods=["d4m", "ddoq"], targets=["soft"])
    for name, run in label_runs(base):
        tasks = [
            Student(method, IPC, profile.students[0], "soft", seed, seed)
            for seed in DISTILLATIONS
            for method in base.methods
        ]
        yield StudyPart(f"{profile.dataset}-{name}.jsonl", run, tasks, images_seen)


def label_runs(profile: Profile) -> Iterator[tuple[str, Run]]:
    """Name and run of every form; `label_epochs` is a share of the profile's own labelled epochs."""
    for name, knobs in LABEL_FORMS.items():
        fewer = {"label_epochs": max(1, profile.labelled_epochs // FEWER)} if "label_epochs" in knobs else {}
        yield name, Run(profile.replace(**knobs | fewer))


def bytes_per_image(profile: Profile, n_classes: int) -> int:
    """Bytes of the labels of one image, all its views together."""
    return LabelForm.of(form_knobs(profile)).row_bytes(n_classes) * profile.labelled_epochs
