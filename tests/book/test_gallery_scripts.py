"""The scripts of the gallery page run as they stand, and do what the page says."""

import re
from pathlib import Path

import numpy as np

PAGE = (Path(__file__).resolve().parents[2] / "book" / "gallery.md").read_text()
PALETTE, DENSITY, PATCHES, EMBEDDING = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def run(script: str) -> dict:
    names: dict = {}
    exec(script, names)
    return names


def test_a_palette_is_sixteen_colours_that_repaint_the_photograph(capsys):
    names = run(PALETTE)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 16 and all(re.fullmatch(r" *\d+\.\d%  #[0-9a-f]{6}", line) for line in lines)
    assert np.mean((names["repainted"] - names["photograph"]) ** 2) < names["photograph"].var() / 20


def test_a_density_is_quantized_as_a_sample_with_weights(capsys):
    names = run(DENSITY)
    assert abs(names["by_grid"] - names["by_lattice"]) < 0.03
    assert capsys.readouterr().out.endswith("on 14641\n")


def test_patches_are_learned_in_batches(capsys):
    names = run(PATCHES)
    assert names["error"] < names["patches"].var() / 20 and names["codebook"].n_steps_ == 16_960
    assert float(re.search(r"([\d.]+) dB", capsys.readouterr().out)[1]) > 20


def test_an_embedding_keeps_most_neighbours_in_a_sixteenth_of_its_bytes(capsys):
    names = run(EMBEDDING)
    assert names["kept"] > 0.5
    assert capsys.readouterr().out.startswith("16 times smaller")
