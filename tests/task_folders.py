"""Task folders as clip_benchmark writes them, with three classes."""

import io
import tarfile

from PIL import Image

NAMES = ["red", "green", "blue"]


def write_task(root, name, samples, *, kind="classification"):
    """A task folder of (image, class number or captions)."""
    folder = root / name
    (folder / "test").mkdir(parents=True)
    (folder / "test/nshards.txt").write_text("1")
    with tarfile.open(folder / "test/0.tar", "w") as archive:
        for number, (pixels, second) in enumerate(samples):
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "PNG")
            extension, text = ("cls", str(second)) if kind == "classification" else ("txt", "\n".join(second))
            for suffix, data in (("png", buffer.getvalue()), (extension, text.encode())):
                header = tarfile.TarInfo(f"{number:04d}.{suffix}")
                header.size = len(data)
                archive.addfile(header, io.BytesIO(data))
    if kind == "classification":
        (folder / "classnames.txt").write_text("\n".join(NAMES))
        (folder / "zeroshot_classification_templates.txt").write_text("a {c} thing\n{c}")
    else:
        (folder / "dataset_type.txt").write_text(kind)
    return folder
