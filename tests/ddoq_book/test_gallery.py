"""The gallery: one row of pictures per distilled set, one column per class."""

import pytest
import torch

from ddoq_book.gallery import gallery, recorded_gallery
from ddoq_book.studies.strips import heaviest, keep_strips
from ddoq_core.config.profile import Profile
from ddoq_core.errors import InputError
from ddoq_core.pipeline.distilled import DistilledDataset, write_image, write_metadata
from ddoq_core.runs.run import Run
from ddoq_core.store.artifacts import Store

from ..stand_ins import stand_in
from ..tiny import NAMES, SIZE, noise_images

COUNTS = torch.tensor([[1, 2], [2, 1]])  # heaviest: the second image of the first class, the first of the second


@pytest.fixture
def run(tmp_path):
    """A run whose image k of class c has the grey level (2 c + k) / 10; only sets of prototypes have unequal counts."""
    store, data = Store(tmp_path, say=lambda text: None), noise_images()
    made = []

    def distilled(method, ipc, distill_seed=0):
        made.append(method)

        def build(work):
            for c, k in [(c, k) for c in range(2) for k in range(ipc)]:
                write_image(work, c, k, torch.full((1, SIZE, SIZE), (2 * c + k) / 10))
            counts = COUNTS[:, :ipc] if method in ("d4m", "ddoq") else torch.ones(2, ipc, dtype=torch.int64)
            write_metadata(work, data, counts, seed=distill_seed)

        parameters = {"classes": data.classes, "seed": distill_seed, "ipc": ipc}
        return DistilledDataset(store.make("synthesize", build, parameters=parameters, label=method))

    profile = Profile.of({"methods": ["full", "ddoq", "ddoq_proportional", "d4m", "random_real"]})
    return stand_in(Run, profile=profile, dataset=data, distilled=distilled, made=made)


def lines(figure) -> dict[str, list[float]]:
    """Grey level of every picture of a gallery, by the name of its row."""
    found: dict[str, list[float]] = {}
    for ax in figure.axes:
        if ax.get_ylabel():
            name = ax.get_ylabel()
        if ax.images:
            found.setdefault(name, []).append(round(float(ax.images[0].get_array().mean()), 1))
    return found


def test_methods_that_share_a_distilled_set_share_a_row(run):
    assert list(lines(gallery(run, 2))) == ["Random real images", "D⁴M, DDOQ"]
    assert run.made == ["random_real", "d4m"]


def test_every_class_shows_its_heaviest_image_or_the_first_of_equals(run):
    assert lines(gallery(run, 2)) == {"Random real images": [0.0, 0.2], "D⁴M, DDOQ": [0.1, 0.2]}
    assert heaviest(run.distilled("ddoq", 2)) == [1, 2]
    assert heaviest(run.distilled("random_real", 2)) == [0, 2]


def test_columns_are_named_by_their_classes_and_no_more_than_asked_for_are_shown(run):
    assert [ax.get_title() for ax in gallery(run, 2).axes if ax.get_title()] == NAMES
    assert {len(shown) for shown in lines(gallery(run, 2, n_images=1)).values()} == {1}


def test_a_method_that_is_not_run_at_this_many_images_has_no_row(run):
    run.profile = Profile.of({"methods": ["tesla", "random_real"], "tesla_ipc": [1]})
    assert list(lines(gallery(run, 2))) == ["Random real images"]


def test_a_run_without_distilled_sets_has_no_gallery(run):
    run.profile = Profile.of({"methods": ["full"]})
    with pytest.raises(InputError, match="no method of this run has pictures at ipc = 2; add one to methods"):
        gallery(run, 2)


def test_the_pictures_of_a_long_run_are_kept_and_shown_without_its_artifacts(run, tmp_path):
    keep_strips(run, ["ddoq", "d4m", "random_real", "full"], 2, tmp_path / "strips")
    assert {p.name for p in (tmp_path / "strips").iterdir()} == {
        f"{run.profile.dataset}-ipc002-{name}.png" for name in ("d4m", "random_real")
    }
    shown = lines(recorded_gallery(run.profile.dataset, 2, tmp_path / "strips"))
    assert list(shown) == ["Random real images", "D⁴M, DDOQ"]
    assert shown == lines(gallery(run, 2))
    with pytest.raises(InputError, match="no pictures of mnist5k at ipc = 7"):
        recorded_gallery("mnist5k", 7, tmp_path)


def test_a_strip_that_is_there_asks_for_no_distilled_set(run, tmp_path):
    keep_strips(run, ["random_real"], 2, tmp_path / "strips")
    before = run.made.copy()
    keep_strips(run, ["d4m", "random_real"], 2, tmp_path / "strips")
    assert run.made == [*before, "d4m"]


def test_pictures_of_the_families_stand_among_those_of_the_long_run(run, tmp_path, monkeypatch):
    monkeypatch.setattr("ddoq_book.gallery.RESULTS", tmp_path)
    keep_strips(run, ["d4m"], 2, tmp_path / "table")
    keep_strips(run, ["random_real"], 2, tmp_path / "families")
    assert list(lines(recorded_gallery(run.profile.dataset, 2))) == ["Random real images", "D⁴M, DDOQ"]
