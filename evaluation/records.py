"""Records of played episodes: all that the evaluation reads.

A record is one channel, one condition, one episode. `episode_record` says what it holds, and `episodes_file`
how it is kept.
"""

from parley.evaluation.episode_record import CONDITIONS, REORDERED, SILENCE, EpisodeRecord
from parley.evaluation.episodes_file import RecordWriter, parse_record, read_records

__all__ = [
    "CONDITIONS",
    "REORDERED",
    "SILENCE",
    "EpisodeRecord",
    "RecordWriter",
    "parse_record",
    "read_records",
]
