"""A model for tests that does to its process what a caption says: `signal 11`, `exit 3`, `raise`."""

from __future__ import annotations

import os
from dataclasses import dataclass


class Obedient:
    def prepare(self, image, data=None):
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


@dataclass(frozen=True)
class ObedientFactory:
    fault: str | None = None

    def load(self):
        if self.fault == "exit":
            os._exit(4)
        if self.fault is not None:
            raise FileNotFoundError(self.fault)
        return Obedient()
