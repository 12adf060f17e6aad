"""Hostile files through the guarded decoder: pixels or a reason, in bounded time and memory, never a death."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.builders import image_bytes
from tests.crashing_decoder import order
from tests.hostile import AVIF, FLIPPED_FORMATS, FLIPS_PER_FORMAT, hostile_images
from udfs import guarded_decode, image_codec
from udfs.guarded_decode import decode, read_facts
from udfs.image_codec import DecodeLimits, ImageFault

LIMITS = DecodeLimits()
ROOT = Path(__file__).resolve().parents[3]
# 64 megapixels (0.2 GB) and copies of them, beside Python and numpy.
PEAK_BYTES = 1.5e9

DECODE_ALL = """
import json, pathlib, re, time
from tests.hostile import hostile_images
from udfs.guarded_decode import decode, read_facts
from udfs.image_codec import DecodeLimits, ImageFault
for name, data in hostile_images().items():
    started = time.monotonic()
    facts = read_facts(data)
    try:
        pixels, is_guarded = decode(data, DecodeLimits())
        outcome = {"shape": pixels.shape, "type": str(pixels.dtype), "is_guarded": is_guarded}
    except ImageFault as fault:
        outcome = {"fault": str(fault)}
    outcome["facts"] = None if facts is None else [facts.height, facts.width]
    print(json.dumps({"name": name, "seconds": time.monotonic() - started, **outcome}), flush=True)
# Not ru_maxrss: across fork and exec Linux hands on the parent's, here that of a test process with Spark and torch.
peak = re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())
print(json.dumps({"peak": int(peak[1]) * 1024}))
"""

START_CHILD = """
import os
from tests.builders import image_bytes
from udfs import guarded_decode
guarded_decode.decode(image_bytes("TIFF"), guarded_decode.DecodeLimits())
print(guarded_decode._idle[0]._process.pid, flush=True)
os.kill(os.getpid(), 9)
"""


def run_python(script, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script]
    return subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300, **options
    )


@pytest.fixture(scope="module")
def outcomes():
    """What became of every hostile file in a process of their own, and that process's peak memory."""
    done = run_python(DECODE_ALL)
    assert done.returncode == 0, done.stderr[-2000:]
    *rows, last = [json.loads(line) for line in done.stdout.splitlines()]
    return {row.pop("name"): row for row in rows}, last["peak"]


@pytest.fixture
def crashing(monkeypatch):
    """Decoder processes that do what files order; none of them outlives the test."""
    end_children()
    monkeypatch.setattr(guarded_decode._Child, "codec", "tests.crashing_decoder")
    yield
    end_children()


def end_children():
    while guarded_decode._idle:
        guarded_decode._idle.pop().end()


def test_every_hostile_file_gives_pixels_or_a_reason(outcomes):
    found, _ = outcomes
    assert set(found) == set(hostile_images())
    assert len(found) >= (500 if AVIF else 450)
    assert sum("-flipped-" in name for name in found) == len(FLIPPED_FORMATS) * FLIPS_PER_FORMAT >= 300
    for name, outcome in found.items():
        if "fault" in outcome:
            assert outcome["fault"].strip(), name
            assert " at 0x" not in outcome["fault"], f"{name}: an address makes rows differ from run to run"
        else:
            assert outcome["type"] == "uint8", name
            assert len(outcome["shape"]) == 3, name
            assert outcome["shape"][2] == 3, name


def test_sound_oddities_give_pixels_and_bad_files_none(outcomes):
    found, _ = outcomes
    wrong = {
        name: outcome
        for name, outcome in found.items()
        if (name.startswith("sound-") and "fault" in outcome)
        or (name.startswith("bad-") and "shape" in outcome)
    }
    assert wrong == {}


def test_headers_of_sound_files_say_the_size_of_the_pixels(outcomes):
    found, _ = outcomes
    sound = {name: outcome for name, outcome in found.items() if name.startswith("sound-")}
    assert len(sound) > 30
    for name, outcome in sound.items():
        assert outcome["facts"] == outcome["shape"][:2], name
    # Columns of table `images` are 32-bit.
    assert all(max(outcome["facts"] or [0]) < 2**31 for outcome in found.values())


def test_memory_and_time_stay_bounded(outcomes):
    found, peak = outcomes
    assert peak < PEAK_BYTES
    assert max(outcome["seconds"] for outcome in found.values()) < 2 * (LIMITS.seconds + 1)


def test_bombs_and_rare_formats_are_decoded_apart(outcomes):
    found, _ = outcomes
    apart = {
        "sound-63-megapixels.png", "sound-3000-frames.gif", "any-many-scans.jpg", "any-exif-bomb.jpg",
        "any-exif-bomb.png", "any-exif-bomb-raw.png", "any-mpf-bomb.jpg", "sound-many-chunks.png",
        "sound-much-fill.jpg", "sound-many-comments.jpg", "sound-long-comment.gif", "sound-animated.tif",
        "sound-icon.ico", "sound-2000.jp2", "any-arithmetic.jpg",
        *(f"sound-animated.{name.lower()}" for name in AVIF),
    }  # fmt: skip
    here = {name for name in apart if found[name].get("is_guarded") is False}
    assert here == set()


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "GIF", "WEBP", "BMP"])
@pytest.mark.parametrize("size", [(1, 1), (64, 48), (2000, 1500)])
def test_ordinary_files_are_decoded_here_with_the_same_pixels(image_format, size):
    data = image_bytes(
        image_format, size=size, text="text", orientation=6 if image_format == "JPEG" else None
    )
    pixels, is_guarded = decode(data, LIMITS)
    assert not is_guarded
    assert np.array_equal(pixels, image_codec.decode(data, LIMITS))


def test_the_child_gives_the_same_pixels_as_a_decode_here():
    for image_format in ("TIFF", "JPEG2000", "ICO"):
        data = image_bytes(image_format, size=(300, 200))
        pixels, is_guarded = decode(data, LIMITS)
        assert is_guarded
        assert np.array_equal(pixels, image_codec.decode(data, LIMITS))
        assert read_facts(data) == image_codec.read_facts(data)


def test_formats_off_the_list_are_never_opened():
    with pytest.raises(ImageFault, match=r"format not supported: the file is PostScript; supported are JPEG"):
        decode(hostile_images()["bad-script.eps"], LIMITS)
    with pytest.raises(ImageFault, match="format not supported"):
        decode(b"P6 2 1 255\n" + bytes(6), LIMITS)  # Pillow itself would open this one


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("signal 11", r"decoder crashed \(signal 11\)"),
        ("signal 6", r"decoder crashed \(signal 6\)"),
        ("signal 9", r"decoder crashed \(signal 9\)"),
        ("exit 3", r"decoder ended \(exit code 3\)"),
        ("allocate 5000", "decoding needed more than 2048 MB"),
    ],
)
def test_what_kills_the_decoder_is_a_fault_of_that_file_alone(crashing, text, reason):
    sound = image_bytes("TIFF")
    for _ in range(2):
        assert decode(order("fine"), LIMITS).pixels.shape == (2, 3, 3)
        with pytest.raises(ImageFault, match=reason):
            decode(order(text), LIMITS)
    assert read_facts(sound).format == "TIFF"


@pytest.mark.parametrize("text", ["sleep 60", "spin 60"])
def test_a_decode_that_takes_too_long_is_ended_in_time(crashing, text):
    limits = DecodeLimits(seconds=1.0)
    decode(order("fine"), limits)  # starts the child
    started = time.monotonic()
    with pytest.raises(ImageFault, match="decoding took longer than 1 s"):
        decode(order(text), limits)
    assert 1.0 <= time.monotonic() - started < 2.0


def test_a_file_is_not_blamed_for_what_the_one_before_it_broke(crashing):
    decode(order("poison"), LIMITS)
    assert decode(order("fine"), LIMITS).pixels.shape == (2, 3, 3)


def test_what_a_library_prints_is_no_answer(crashing):
    assert decode(order("print"), LIMITS).pixels.shape == (2, 3, 3)
    assert decode(order("fine"), LIMITS).pixels.shape == (2, 3, 3)


def test_a_child_serves_many_files(crashing):
    pids = {int(decode(order("fine"), LIMITS).pixels[0, 0, 0]) for _ in range(5)}
    assert len(pids) == 1
    assert len(guarded_decode._idle) == 1


def test_threads_get_their_own_answers(crashing):
    def one(number):
        if number % 5 == 0:
            with pytest.raises(ImageFault, match="signal 11"):
                decode(order("signal 11"), LIMITS)
            return number
        return read_facts(image_bytes("TIFF", size=(20 + number, 10))).width - 20

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(one, range(15))) == list(range(15))


def test_the_child_dies_with_the_process_that_started_it():
    done = run_python(START_CHILD)
    assert done.returncode == -9, done.stderr
    pid = int(done.stdout)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and is_running(pid):
        time.sleep(0.05)
    assert not is_running(pid)


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def test_a_child_that_cannot_start_fails_the_task_not_the_image(monkeypatch):
    end_children()
    monkeypatch.setattr(guarded_decode._Child, "codec", "tests.no_such_module")
    with pytest.raises(RuntimeError, match="decoder process for suspicious images does not start"):
        decode(image_bytes("TIFF"), LIMITS)


def test_real_oddities_have_the_size_that_the_index_tells(shared_data):
    folder = shared_data / "ocr_oddities"
    rows = [json.loads(line) for line in (folder / "index.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 77
    for row in rows:
        data = (folder / row["file"]).read_bytes()
        try:
            pixels = decode(data, LIMITS).pixels
        except ImageFault as fault:
            pytest.fail(f"{row['file']}: {fault}")
        sides = {row["width"], row["height"]}
        assert set(pixels.shape[:2]) == sides, row["file"]
        facts = read_facts(data)
        assert (facts.height, facts.width) == pixels.shape[:2], row["file"]
