"""Metrics of training runs."""

from __future__ import annotations

import json
import os
import pathlib
from typing import Iterator, Union

import numpy as np


def _numbers(values: dict, prefix: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of nested objects by their paths: loss.total, sets.lol.psnr."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _numbers(value, f"{prefix}{key}.")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield prefix + key, value


class Metrics(dict):
    """Columns of one kind of lines by their names, all of one length: numbers (float64, NaN where a line has none), except
    `stage` (str) and `step` (int64)."""

    def of_stage(self, stage: str) -> "Metrics":
        """The rows of one stage."""
        chosen = self["stage"] == stage
        return Metrics({name: column[chosen] for name, column in self.items()})


def _columns(rows: list[dict]) -> Metrics:
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = Metrics(stage=np.array([], str), step=np.array([], np.int64))
    for name in names:
        if name == "stage":
            columns[name] = np.array([row[name] for row in rows])
        elif name == "step":
            columns[name] = np.array([row[name] for row in rows], np.int64)
        else:
            columns[name] = np.array([row.get(name, np.nan) for row in rows], np.float64)
    return columns


class Run:
    """What a run has written to its metrics.jsonl.

    training: epoch, lr, images_per_s, loss.total, loss.TERM.raw, loss.TERM.weighted; each with stage and step.
    validation: psnr, ssim and the other metrics, and sets.SOURCE.METRIC where there are several sources.
    """

    def __init__(self, training: Metrics, validation: Metrics) -> None:
        self.training = training
        self.validation = validation

    def __repr__(self) -> str:
        return f"Run({len(self.training['step'])} lines of training, {len(self.validation['step'])} validations)"


def read_run(folder: Union[str, os.PathLike]) -> Run:
    """Reads the metrics.jsonl of a run's folder (or the file itself), also of a run that still goes on.

    Raises OSError if there is none, and ValueError naming file and line for a line that is no metrics; a last line without
    an end is left out.
    """
    path = pathlib.Path(folder)
    if path.is_dir():
        path = path / "metrics.jsonl"
    training: list[dict] = []
    validation: list[dict] = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith("\n"):
                break  # it is being written
            try:
                row = json.loads(line)
                place = {"stage": str(row["stage"]), "step": int(row["step"])}
                if "validation" in row:
                    validation.append({**place, **dict(_numbers(row["validation"])),
                                       **dict(_numbers({"sets": row.get("sets", {})}))})
                else:
                    training.append({**dict(_numbers(row)), **place})
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{path}, line {number}: expected metrics of a run, as kind-train writes them ({error})") from None
    return Run(_columns(training), _columns(validation))
