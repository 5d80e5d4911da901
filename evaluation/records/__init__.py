"""Records of played episodes: all that the evaluation reads.

A record is one channel, one condition, one episode. `record` says what it holds, and `episodes_file` how it
is kept.
"""

from parley.evaluation.records.episodes_file import RecordWriter as RecordWriter
from parley.evaluation.records.episodes_file import parse_record as parse_record
from parley.evaluation.records.episodes_file import read_records as read_records
from parley.evaluation.records.record import EpisodeRecord as EpisodeRecord
