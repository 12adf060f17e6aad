from __future__ import annotations

import torch
from safetensors.torch import load_file, save_file

from spark_jobs.world.publish import publish


def test_a_checkpoint_is_published_in_half_precision_with_its_settings(tmp_path) -> None:
    checkpoint = tmp_path / "trained.safetensors"
    save_file({"weight": torch.tensor([0.1, 2.0]), "batches": torch.tensor([3])}, checkpoint)
    (tmp_path / "trained.safetensors.json").write_text("{}")
    (tmp_path / "to").mkdir()
    written = publish(checkpoint, tmp_path / "to")
    found = load_file(written)
    assert written.name == "parrot-small-world.safetensors"
    assert torch.equal(found["weight"], torch.tensor([0.1, 2.0]).half())
    assert found["batches"].dtype == torch.int64
    assert (tmp_path / "to" / f"{written.name}.json").read_text() == "{}"
