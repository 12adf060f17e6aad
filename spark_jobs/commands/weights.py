"""`parrot weights`: put the weights of the configured CLIP models into one folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from spark_jobs.clip_models import SCORING_STAGES, clips_of, models_named
from spark_jobs.errors import ConfigError, ModelError
from spark_jobs.runner.progress import output_console
from udfs.clip_embedding import staged_name
from udfs.weights import write_once

if TYPE_CHECKING:
    from spark_jobs.config import RunConfig
    from udfs.clip_embedding import ClipFactory


def print_staged(config: RunConfig, folder: Path) -> None:
    """Stage the weights, and say which files there are and what makes stages use them.

    Raises:
        ConfigError: If the configuration names no model whose weights are downloaded.
        ModelError: If a model does not exist, its weights cannot be downloaded, or the folder cannot be written.
    """
    files = list(stage_weights(config, folder))
    if not files:
        raise ConfigError(
            "the configuration names no CLIP model whose weights are downloaded: give one, as "
            "--set embed.model=ViT-B-32 --set embed.pretrained=openai or in the --config file of your stages"
        )
    console = output_console()
    for file in files:
        console.print(f"{file} ({file.stat().st_size / 1e6:,.1f} MB)", markup=False, soft_wrap=True)
    console.print(f"stages take them with --set embed.cache_dir={folder}", markup=False, soft_wrap=True)


def stage_weights(config: RunConfig, folder: Path) -> Iterator[Path]:
    """Bring the weights of every tag of open_clip that a stage names into the folder.

    Random weights, checkpoint files and weights that come with this project are nothing to download.

    Args:
        config: Names the models.
        folder: Is made where it is missing. What lies there already is kept.

    Yields:
        The models' files.

    Raises:
        ModelError: If a model does not exist, its weights cannot be downloaded, or the folder cannot be written.
    """
    names = {name for stage in SCORING_STAGES for name in models_named(config, stage)}
    # Tokenisers that come from a hub are put into this folder too.
    embed = config.embed.model_copy(update={"cache_dir": folder})
    for clip in clips_of(embed, sorted(filter(_is_downloaded, names))):
        try:
            yield _staged(clip, folder)
        except OSError as error:
            raise ModelError(
                f"the weights of {clip.model_id} cannot be put into {folder}: {error}. Give a folder that can be "
                "written"
            ) from error


def _is_downloaded(name: str) -> bool:
    import open_clip

    architecture, _, weights = name.rpartition("/")
    return weights.lower().replace("-", "_") in open_clip.list_pretrained_tags_by_model(
        architecture.replace("/", "-")
    )


def _staged(clip: ClipFactory, folder: Path) -> Path:
    source = clip.weights.path
    tag = clip.model_id.removeprefix(f"{clip.architecture}/")
    target = folder / staged_name(clip.architecture, tag, source.suffix)

    def copy(partial: Path) -> None:
        shutil.copyfile(source, partial)

    # Nothing, where the weights were found in the folder itself.
    return write_once(target, copy)
