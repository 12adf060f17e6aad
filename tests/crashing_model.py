"""A model for tests that does to its process what a caption says: `signal 11`, `exit 3`, `raise`.

A black image is `signal 11` where it is prepared.
"""

from __future__ import annotations

import os
from dataclasses import dataclass


class Obedient:
    def prepare(self, image, data=None):
        if not image.any():
            os.kill(os.getpid(), 11)
        return float(image[0, 0, 0])

    def predict(self, prepared, rows):
        for row in rows:
            order, _, argument = row["caption"].partition(" ")
            if order == "signal":
                os.kill(os.getpid(), int(argument))
            elif order == "exit":
                os._exit(int(argument))
            elif order == "raise":
                raise ValueError("the model refuses")
        return [{"brightness": value, "process": os.getpid()} for value in prepared]


class ObedientToRows(Obedient):
    def prepare_row(self, image, row):
        return float(len(row["caption"]))


@dataclass(frozen=True)
class ObedientFactory:
    fault: str | None = None
    takes_rows: bool = False

    def load(self):
        if self.fault == "exit":
            os._exit(4)
        if self.fault is not None:
            raise FileNotFoundError(self.fault)
        return ObedientToRows() if self.takes_rows else Obedient()
