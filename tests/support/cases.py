"""Worked cases of the tests: files of YAML, read by the quick one of its readers, since every worker reads them all."""

from pathlib import Path
from typing import Any

import yaml


def read_cases(path: Path) -> Any:
    """Read one file, whatever it holds."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
