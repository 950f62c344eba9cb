"""Rows of results with given hits, for the tests of the report."""

import base64

import numpy as np


def row(hits, method="ddoq", ipc=10, student="convnet-32", labels="soft", distill_seed=0, seed=0) -> dict:
    """One row of `results.jsonl`, of a student that is right where `hits` is true."""
    bits = base64.b64encode(np.packbits(np.asarray(hits, dtype=bool)).tobytes()).decode()
    names = {"method": method, "ipc": ipc, "student": student, "labels": labels}
    seeds = {"distill_seed": distill_seed, "seed": seed}
    return {"dataset": "simulated", "n_test": len(hits), "hits": bits} | names | seeds
