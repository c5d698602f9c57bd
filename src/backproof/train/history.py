"""What a run leaves behind: one record per epoch."""

import json
from dataclasses import dataclass, field

__all__ = ["History"]


@dataclass
class History:
    """Records of the epochs, in order; a column by name: history["validation_loss"].

    Fields  epoch (from 0), step (done so far), loss (data term, averaged over the epoch's samples as they were met),
            objective (with penalties), validation_loss, learning_rate, seconds; with a pairwise loss idle, the share of
            pairs whose loss was 0 when they were met, so that they changed nothing; best: the epoch whose weights were kept.
    """

    records: list = field(default_factory=list)
    best: int | None = None
    stopped: str = ""

    def __getitem__(self, column):
        return [record.get(column) for record in self.records]

    def __len__(self):
        return len(self.records)

    def append(self, **record):
        self.records.append(record)
        return record

    def to_json_lines(self):
        """One JSON object a line, as written beside a saved model."""
        return "".join(json.dumps(record) + "\n" for record in self.records)

    def _repr_markdown_(self):
        """The records as a table, for notebooks: the first and last of a long run."""
        shown = self.records if len(self.records) <= 20 else [*self.records[:10], None, *self.records[-10:]]
        lines = ["| epoch | loss | objective | validation | rate |", "| ---: | ---: | ---: | ---: | ---: |"]
        for r in shown:
            cells = ["…"] * 5 if r is None else [str(r["epoch"])] + [
                "" if r.get(c) is None else f"{r[c]:.6g}" for c in ("loss", "objective", "validation_loss", "learning_rate")]
            lines.append("| " + " | ".join(cells) + " |")
        return "\n".join([*lines, "", self.stopped])

    def __str__(self):
        pairs = any("idle" in r for r in self.records)
        lines = [f"{'epoch':>5} {'loss':>12} {'objective':>12} {'validation':>12} {'rate':>10}" + f" {'idle':>7}" * pairs]
        for r in self.records:
            cells = [r.get(c) for c in ("loss", "objective", "validation_loss", "learning_rate")]
            texts = ["" if c is None else f"{c:.6g}" for c in cells]
            idle = f" {r['idle']:>7.1%}" if "idle" in r else ""
            mark = " best" if r["epoch"] == self.best else ""
            lines.append(f"{r['epoch']:>5} {texts[0]:>12} {texts[1]:>12} {texts[2]:>12} {texts[3]:>10}{idle}{mark}")
        if self.stopped:
            lines.append(self.stopped)
        return "\n".join(lines)
