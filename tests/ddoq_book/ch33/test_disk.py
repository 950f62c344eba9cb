"""Disk of ImageNet-1K, with the sizes that follow by hand."""

import pytest

from ddoq_book.ch33.disk import disk_table, disk_use


def test_the_disk_of_imagenet_is_told_by_level():
    found = {(use.what, use.kept_as): use for use in disk_use()}
    assert [value / 1e9 for value in found["soft labels", "float16"].by_level] == [6, 30, 60, 120]
    assert found["soft labels", "float16"].together == 216e9
    assert found["latents, once for all IPC", "float16"].together == 2 * 1_281_167 * 4 * 64 * 64
    assert found["prototypes", "float16"].together / 1e9 == pytest.approx(11.8, abs=0.01)
    assert all(use.by_level is None or sum(use.by_level) == use.together for use in found.values())


def test_what_is_kept_once_has_no_size_by_level():
    table = disk_table(disk_use((10, 50)), (10, 50))
    assert table.column("IPC 10")[:2] == [None, None] and None not in table.column("Together")
    assert table.heads[2:] == ("IPC 10", "IPC 50", "Together")
