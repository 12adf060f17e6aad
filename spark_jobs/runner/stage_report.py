"""What a stage tells of itself when it is done."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class StageReport:
    """The outcome of one stage on one dataset.

    Attributes:
        stage: Stage name.
        dataset: Dataset worked on.
        run_keys: Run key by table written.
        shards_done: Shards computed in this run.
        shards_kept: Shards that were up to date.
        rows: Rows written in this run, of any status.
        failed: Rows with status failed among them.
        skipped: Rows with status skipped among them.
        seconds: Wall time of the stage.
        phase_seconds: Worker seconds by phase, summed over workers.
        versions_read: Delta version by table read.
        versions_written: Delta version by table written.
        results: Numbers worth tracking.
        history: Numbers that the log keeps, so that later runs can be compared with this one; of one table.
        notes: Sentences the user must see.
        artifacts: Local files worth keeping with the run.
    """

    stage: str
    dataset: str
    run_keys: dict[str, str] = field(default_factory=dict)
    shards_done: int = 0
    shards_kept: int = 0
    rows: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    phase_seconds: dict[str, float] = field(default_factory=dict)
    versions_read: dict[str, int] = field(default_factory=dict)
    versions_written: dict[str, int] = field(default_factory=dict)
    results: dict[str, float] = field(default_factory=dict)
    history: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    artifacts: list[str] = field(default_factory=list)

    @property
    def did_nothing(self) -> bool:
        """Whether everything was up to date."""
        return self.shards_done == 0 and not self.versions_written

    def add(self, part: StageReport) -> None:
        """Take over what a part of the stage's work tells of itself; the seconds of a whole are its own."""
        self.shards_done += part.shards_done
        self.shards_kept += part.shards_kept
        self.rows += part.rows
        self.failed += part.failed
        self.skipped += part.skipped
        for phase, seconds in part.phase_seconds.items():
            self.phase_seconds[phase] = self.phase_seconds.get(phase, 0.0) + seconds
        self.run_keys.update(part.run_keys)
        self.versions_read.update(part.versions_read)
        self.versions_written.update(part.versions_written)
        self.results.update(part.results)
        self.notes += part.notes
        self.artifacts += part.artifacts
