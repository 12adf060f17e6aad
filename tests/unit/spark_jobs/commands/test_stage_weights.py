"""`parrot weights`: which files it puts into a folder, and that stages then take them from there."""

from __future__ import annotations

from pathlib import Path

import open_clip
import pytest

from spark_jobs import cli
from spark_jobs.clip_models import clip_of
from spark_jobs.commands.weights import stage_weights
from spark_jobs.config import load_config
from spark_jobs.errors import ConfigError, ModelError

PAPER = ("embed.model=ViT-B-32", "embed.pretrained=openai")


@pytest.fixture
def downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models that open_clip was asked for; it "downloads" a file of their address."""
    asked: list[str] = []

    def download(tag_config: dict[str, str]) -> str:
        asked.append(tag_config.get("hf_hub", "") or tag_config["url"])
        file = tmp_path / "hub" / f"{len(asked)}" / "open_clip_model.safetensors"
        file.parent.mkdir(parents=True)
        file.write_text(asked[-1], encoding="utf-8")
        return str(file)

    monkeypatch.setattr(open_clip, "download_pretrained", download)
    return asked


def test_the_folder_holds_the_weights_and_stages_take_them_without_a_network(
    downloads: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "volume" / "weights"
    (file,) = stage_weights(load_config(overrides=PAPER), folder)
    assert file == folder / "ViT-B-32-openai.safetensors"
    assert file.read_text(encoding="utf-8") == downloads[0]

    before = clip_of(load_config(overrides=PAPER).embed)

    def no_network(_config: object) -> str:
        raise OSError("no network here")

    monkeypatch.setattr(open_clip, "download_pretrained", no_network)
    clip = clip_of(load_config(overrides=(*PAPER, f"embed.cache_dir={folder}")).embed)
    assert clip.weights.path == file
    assert (clip.model_id, clip.params) == (before.model_id, before.params), "the run key is the same"
    with pytest.raises(ModelError, match="parrot weights --to FOLDER") as caught:
        clip_of(load_config(overrides=PAPER).embed)
    assert "embed.cache_dir=FOLDER" in str(caught.value)


def test_every_model_that_a_stage_names_is_staged_once(downloads: list[str], tmp_path: Path) -> None:
    several = "remove_text.models=[ViT-B-32/openai, RN50/openai, parrot-tiny/random-3, parrot-small/world]"
    files = list(stage_weights(load_config(overrides=(*PAPER, several)), tmp_path / "w"))
    assert sorted(file.name for file in files) == ["RN50-openai.safetensors", "ViT-B-32-openai.safetensors"]
    assert len(downloads) == 2
    assert list(stage_weights(load_config(overrides=(*PAPER, several)), tmp_path / "w")) == files
    assert len(downloads) == 2, "what is there is not downloaded again"


def test_the_command_says_what_makes_stages_use_them(
    downloads: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [argument for each in PAPER for argument in ("--set", each)]
    monkeypatch.setattr("sys.argv", ["parrot", "weights", "--to", str(tmp_path / "w"), *settings])
    cli.main()
    assert f"--set embed.cache_dir={tmp_path / 'w'}" in capsys.readouterr().out


def test_a_configuration_without_a_downloaded_model_is_refused(tmp_path: Path) -> None:
    from spark_jobs.commands.weights import print_staged

    with pytest.raises(ConfigError, match="names no CLIP model whose weights are downloaded"):
        print_staged(load_config(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_named(downloads: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ModelError, match=r"cannot be put into .*file/w"):
        list(stage_weights(load_config(overrides=PAPER), tmp_path / "file" / "w"))
