"""The one way in for files that others wrote: whatever they hold, it is read whole or refused by a sentence.

Nothing here is about our formats: bytes, text in any encoding that says which it is, JSON, YAML, CSV. A pipe, a device,
a text that cannot be decoded, a key that stands twice, nesting or aliases without end: each is an ``EscEvalError`` that
names the file and, where there are lines, the line.
"""

from esc_eval.reading.csv_text import CsvRows, read_csv
from esc_eval.reading.json_text import parse_json, read_json, read_json_lines, try_json_lines
from esc_eval.reading.plain import (
    check_file,
    decode,
    find_lines,
    is_file,
    is_folder,
    is_wide,
    read_bytes,
    read_lines,
    read_text,
    suffix_of,
)
from esc_eval.reading.yaml_text import parse_yaml, read_yaml

__all__ = [
    "CsvRows",
    "check_file",
    "decode",
    "find_lines",
    "is_file",
    "is_folder",
    "is_wide",
    "parse_json",
    "parse_yaml",
    "read_bytes",
    "read_csv",
    "read_json",
    "read_json_lines",
    "read_lines",
    "read_text",
    "read_yaml",
    "suffix_of",
    "try_json_lines",
]
