"""Records of played episodes: all that the evaluation reads.

A record is one channel, one condition, one episode. `episode_record` says what it holds, and `episodes_file`
how it is kept.
"""

from parley.evaluation.records.episodes_file import RecordWriter, parse_record, read_records
from parley.evaluation.records.record import CONDITIONS, REORDERED, SILENCE, EpisodeRecord

__all__ = [
    "CONDITIONS",
    "REORDERED",
    "SILENCE",
    "EpisodeRecord",
    "RecordWriter",
    "parse_record",
    "read_records",
]
