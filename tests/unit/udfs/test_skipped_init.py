"""Networks built without random weights: what comes from files is all that they hold."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from udfs import easyocr_spotter
from udfs.skipped_init import skipped_init


def test_easyocrs_networks_hold_the_same_numbers_as_when_easyocr_builds_them():
    import easyocr

    factory = easyocr_spotter.resolve()
    ours = easyocr_spotter.load_reader(factory.files, ("en",), quantize=False, device="cpu")
    folder = str(Path(factory.files[0].path).parent)
    with easyocr_spotter.without_library_warnings():
        theirs = easyocr.Reader(
            ["en"],
            gpu=False,
            model_storage_directory=folder,
            download_enabled=False,
            verbose=False,
            quantize=False,
        )
    for name in ("detector", "recognizer"):
        expected, found = (getattr(reader, name).state_dict() for reader in (theirs, ours))
        assert len(found) > 30
        assert list(found) == list(expected)
        assert all(torch.equal(found[key], expected[key]) for key in expected)


@pytest.mark.parametrize("by_name", [True, False])
def test_only_initialisation_is_left_out(by_name):
    tensor = torch.ones(3)
    with skipped_init():
        given = torch.nn.init.normal_(tensor=tensor) if by_name else torch.nn.init.normal_(tensor)
        total = torch.add(tensor, tensor, alpha=2)
    assert given is tensor
    assert tensor.tolist() == [1, 1, 1]
    assert total.tolist() == [3, 3, 3]
    assert torch.nn.init.normal_(tensor).tolist() != [1, 1, 1]
