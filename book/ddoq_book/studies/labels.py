"""The study `labels`: what it costs students that soft labels are kept in fewer bytes, on digits and on photographs.

The same sets, seeds and first weights for every form, so that differences are paired. `online` keeps nothing and trains
the same students to the byte as float16 does, so it has no row.
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
DISTILLATIONS = range(200, 206)  # which no earlier run has used, with one student each
FEWER = 10  # times fewer epochs of views, shown in turn
LABEL_FORMS = {
    "float16": {},
    "int8": {"label_form": "int8"},
    "top3": {"label_form": "topk", "label_top": 3},
    "top1": {"label_form": "topk", "label_top": 1},
    "reused": {"label_epochs": FEWER},
    "reused-int8": {"label_epochs": FEWER, "label_form": "int8"},
}


def labels_study(profile: Profile) -> Iterator[StudyPart]:
    """A file for each form of labels, of D4M's and DDOQ's students."""
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
