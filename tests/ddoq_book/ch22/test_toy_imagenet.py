"""The rehearsal has ImageNet's layout and runs through the entry points of the real thing."""

import pytest
from PIL import Image

from ddoq_book.ch22.tables import run_steps, run_steps_table
from ddoq_book.ch22.toy_imagenet import PRIORS, REGIONS, photograph_tree, rehearsals
from ddoq_core.config.profile import Profile
from ddoq_core.data.loaders import load_dataset
from ddoq_core.priors.load import load_prior
from ddoq_core.runs.run import Run


def test_the_tree_is_laid_out_as_imagenet_is(tmp_path):
    mapping = photograph_tree(tmp_path, 6, 0)
    assert sorted(p.name for p in (tmp_path / "train").iterdir()) == sorted(REGIONS)
    assert [len(list((tmp_path / "train" / w).iterdir())) for w in REGIONS] == [6, 6, 6]
    val = sorted(p.name for p in (tmp_path / "val").iterdir())
    assert val == [f"ILSVRC2012_val_{i:08d}.JPEG" for i in range(1, 7)]
    assert mapping.read_text().splitlines()[:2] == ["ImageId,PredictionString", mapping.read_text().splitlines()[1]]
    with Image.open(tmp_path / "val" / val[0]) as image:
        assert image.format == "JPEG" and image.mode == "RGB"
    data = load_dataset(Profile(dataset="imagefolder", data_root=str(tmp_path), val_mapping=str(mapping)))
    assert data.class_names == ["palace", "alp", "daisy"] and len(data.test) == 6


@pytest.mark.parametrize("name", PRIORS)
def test_a_rehearsal_runs_every_step_with_each_prior_and_twice_the_same(tmp_path, name, contents):
    made = []
    for attempt in ("a", "b"):
        profile = Profile(artifacts=str(tmp_path / attempt), threads=1)
        run = Run(rehearsals(profile, tmp_path / "data", 6)[name].replace(students=["convnet-8"], teacher="convnet-8"))
        rows = run.train_students()
        assert {row["method"] for row in rows} == {"random_real", "d4m", "ddoq"}
        assert not (tmp_path / attempt / "encode").exists()  # one pass
        steps = run_steps(name, run)
        assert (steps.images, steps.n_classes, steps.ipc) == ((15, 6), 3, 4)  # three are for validation
        assert (steps.n_codebooks, steps.n_distilled, steps.image_size) == (3, 12, 32)
        seconds = run_steps_table([steps]).column("seconds")
        assert len(steps.student_seconds) >= 3 and seconds[-1] == sum(steps.student_seconds) > 0
        made.append(contents(run.distilled("ddoq", 4).artifact))
    assert made[0] == made[1] and len(made[0]) > 12


def test_the_priors_are_read_as_what_they_are(tmp_path):
    for name, save in PRIORS.items():
        save(tmp_path / name)
        prior = load_prior(tmp_path / name)
        assert prior.latent_shape == (4, 8, 8) and prior.image_size == 16 and prior.channels == 3
