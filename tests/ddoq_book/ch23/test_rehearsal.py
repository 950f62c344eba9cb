"""The photographs of chapter 23: a rehearsal's classes do not leak into its test, and whose run the page shows."""

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_image

from ddoq_book.ch23 import rehearsal
from ddoq_core.config.profile import Profile


def test_no_pixel_of_a_test_patch_is_in_a_training_patch(tmp_path):
    rehearsal.cut_patches(tmp_path)
    for name, (file, top, bottom) in rehearsal.CLASSES.items():
        width, height = load_sample_image(file).shape[1], load_sample_image(file).shape[0]
        lefts = {
            part: [int(p.stem.split("-")[1]) for p in (tmp_path / part / name).glob("*.png")]
            for part in ("train", "val")
        }
        assert max(lefts["train"]) + rehearsal.SIDE <= min(lefts["val"]) and len(lefts["train"]) > 200
        assert max(lefts["val"]) + rehearsal.SIDE <= width
        tops = [int(p.stem.split("-")[0]) for p in (tmp_path / "train" / name).glob("*.png")]
        assert max(tops) + rehearsal.SIDE <= int(bottom * height) - int(top * height)


def test_a_patch_is_where_its_name_says_and_they_are_cut_once(tmp_path):
    rehearsal.cut_patches(tmp_path)
    (path,) = (tmp_path / "train" / "temple").glob("024-048.png")
    top = int(0.3 * 427) + 24
    there = load_sample_image("china.jpg")[top : top + rehearsal.SIDE, 48 : 48 + rehearsal.SIDE]
    assert np.array_equal(np.asarray(Image.open(path)), there)
    path.unlink()
    rehearsal.cut_patches(tmp_path)
    assert not path.exists()


def test_a_profile_whose_prior_is_the_exact_score_is_run_as_it_is(tmp_path):
    profile = Profile.load("imagenette_cpu")
    assert rehearsal.run_of(profile).profile == profile
