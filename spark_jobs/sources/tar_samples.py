"""Members of a tar to samples: what the webdataset library calls a sample is the members of one key."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from spark_jobs.sources.metadata import Described, caption_text, describe
from spark_jobs.sources.storage import IMAGE_EXTENSIONS, StoredImage, extension_of, stored_image
from spark_jobs.sources.tar_index import TarMember

# A sample is given when this many later keys have begun: more than an img2dataset shard holds, so within
# one the order of members does not matter, and few enough (about 2 kB each) to hold.
OPEN_SAMPLES = 20_000


@dataclass
class TarSample:
    """The members of one key.

    Attributes:
        key: Name of the members up to the first dot of the basename, with directories.
        occurrence: 0, or 1, 2, ... where a member of this key came again.
        fault: Why the sample must not count (duplicate key); None if it may.
        image: The first image; None where there is none that can be read.
        image_fault: Why the first image cannot be read; None if it can or there is none.
        from_json: What the json member says; None where there is none.
        from_txt: What the txt member says; None where there is none.
        suffixes: What follows the key in the members' names.
    """

    key: str
    occurrence: int = 0
    fault: str | None = None
    image: StoredImage | None = None
    image_fault: str | None = None
    from_json: Described | None = None
    from_txt: Described | None = None
    suffixes: set[str] = field(default_factory=set)

    def add(self, member: TarMember, *, suffix: str, uri: str) -> None:
        """Take in a member of this key; of several images, txt or json members the first is kept."""
        self.suffixes.add(suffix)
        extension = extension_of("." + suffix)
        if extension in IMAGE_EXTENSIONS and self.image is None and self.image_fault is None:
            self._add_image(member, uri=uri)
        elif extension == "json" and self.from_json is None:
            self.from_json = _read_json(member)
        elif extension == "txt" and self.from_txt is None:
            self.from_txt = _read_txt(member)

    def _add_image(self, member: TarMember, *, uri: str) -> None:
        if member.content is None:
            self.image_fault = f"{member.name} {member.problem}"
        elif member.size == 0:
            self.image_fault = f"{member.name} is empty (0 bytes)"
        else:
            self.image = stored_image(uri, member.content, offset=member.offset)


def split_name(name: str) -> tuple[str, str] | None:
    """Split a member's name into key and suffix at the first dot of its basename, as webdataset does.

    Returns:
        Key and lower-case suffix; None for a name that webdataset skips (no dot, or it begins with one).
    """
    folder, slash, basename = name.removeprefix("./").rpartition("/")
    stem, dot, suffix = basename.partition(".")
    return (folder + slash + stem, suffix.lower()) if stem and dot else None


def group_samples(members: Iterable[TarMember], *, uri: str) -> Iterator[TarSample]:
    """Group members by key.

    Members of a key need not be neighbours. A member that its key already has, or that comes more than
    `OPEN_SAMPLES` keys late, begins the key's next occurrence, marked as duplicate.

    Args:
        members: Members in the order of the tar.
        uri: The tar.

    Yields:
        The samples, in the order in which their keys first came.
    """
    open_samples: dict[str, list[TarSample]] = {}
    first_byte: dict[str, int] = {}
    occurrences: Counter[str] = Counter()
    for member in members:
        key, suffix = split_name(member.name) or ("", "")
        if not key:
            continue
        if key not in open_samples and len(open_samples) >= OPEN_SAMPLES:
            yield from open_samples.pop(next(iter(open_samples)))
        samples = open_samples.setdefault(key, [])
        sample = next((sample for sample in samples if suffix not in sample.suffixes), None)
        if sample is None:
            sample = TarSample(key, occurrence=occurrences[key])
            if sample.occurrence:
                sample.fault = f"duplicate key {key}: first at byte {first_byte[key]}"
            first_byte.setdefault(key, member.offset)
            occurrences[key] += 1
            samples.append(sample)
        sample.add(member, suffix=suffix, uri=uri)
    for samples in open_samples.values():
        yield from samples


def _read_json(member: TarMember) -> Described:
    if member.content is None:
        return Described(fault=f"{member.name} {member.problem}")
    try:
        row = json.loads(member.content.head)
    except (ValueError, RecursionError) as error:
        return Described(fault=f"{member.name} is no JSON: {error}")
    if not isinstance(row, dict):
        return Described(fault=f"{member.name} is no JSON object but a {type(row).__name__}")
    return describe(row, where=member.name)


def _read_txt(member: TarMember) -> Described:
    if member.content is None:
        return Described(fault=f"{member.name} {member.problem}")
    caption, fault = caption_text(member.content.head, where=member.name)
    return Described({"caption": caption}, fault)
