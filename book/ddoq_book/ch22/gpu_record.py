"""Results on GPUs: the records of `tests/gpu/prove.sh` in book/results/gpu, if there are any."""

from ddoq_core.cost.calibration import GpuRecord, read_record
from ddoq_core.cost.tables import amount, bytes_form, duration, percent_form
from ddoq_core.results.table import Column, Table

from ..recorded import RESULTS

TITLES = {
    "encode": "encode (512 pixels)",
    "synthesize": "synthesize (50 steps, strength 0.7, guidance 8)",
    "relabel": "label views (ResNet-18)",
    "train": "train (ResNet-18)",
}


def gpu_records() -> list[GpuRecord]:
    """The book's records at full size, ordered by file name."""
    found = [read_record(path) for path in sorted((RESULTS / "gpu").glob("*.json"))]
    return [record for record in found if not record.small]


def gpu_state(records: list[GpuRecord]) -> str:
    """A sentence on each record: device, date, and comparisons with the CPU."""
    if not records:
        return "Not yet run: there is no record of a GPU in book/results/gpu."
    said = []
    for found in records:
        wrong = found.disagreements
        agreed = f"{len(found.agreements) - len(wrong)} of {len(found.agreements)} comparisons with the CPU hold"
        named = f" (not: {'; '.join(wrong)})" if wrong else ""
        missing = f"; not run: {'; '.join(found.failures)}" if found.failures else ""
        said.append(f"{found.device}, {found.date}: {agreed}{named}, in {duration(found.seconds)}{missing}.")
    return " ".join(said)


def gpu_speed_table(records: list[GpuRecord]) -> Table:
    """The speeds of every record, with a block for each device; one row of dashes without records."""
    rows = [
        (found.device, TITLES[s.step], s.precision, s.batch, s.images / s.seconds, s.peak, found.share(s))
        for found in records
        for s in found.speeds
    ]
    return Table.of_groups(
        "Steps of Algorithm 4 at full size, with random weights, on a GPU",
        (
            *("Device", "Step", "Numbers", "Batch"),
            Column("Images a second", lambda rate: amount(rate, "")),
            Column("Peak memory", bytes_form),
            Column("Share of the peak", percent_form),
        ),
        rows or [("none", *(None,) * 6)],
        (gpu_state(records), "Share: of the fastest matrix product of the same precision on the same device."),
    )
