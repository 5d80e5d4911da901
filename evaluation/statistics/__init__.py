"""The statistics that the gates and studies read, one idea a module."""

from parley.evaluation.statistics.clusters import ClusteredProportion, clustered
from parley.evaluation.statistics.equivalence import Equivalence, acceptance, equivalence
from parley.evaluation.statistics.information import (
    Information,
    confusion_information,
    fano_bound,
    min_transmitted_bits,
)
from parley.evaluation.statistics.multiple import holm
from parley.evaluation.statistics.paired import (
    Difference,
    PairedTest,
    difference,
    mcnemar_exact,
    paired_difference,
)
from parley.evaluation.statistics.proportions import Proportion, clopper_pearson, wilson
from parley.evaluation.statistics.sample_size import (
    episodes_needed,
    fewest_episodes,
    gate_power,
    least_successes,
)
from parley.evaluation.statistics.sequence import confidence_sequence, sequential_p

__all__ = [
    "ClusteredProportion",
    "Difference",
    "Equivalence",
    "Information",
    "PairedTest",
    "Proportion",
    "acceptance",
    "clopper_pearson",
    "clustered",
    "confidence_sequence",
    "confusion_information",
    "difference",
    "episodes_needed",
    "equivalence",
    "fano_bound",
    "fewest_episodes",
    "gate_power",
    "holm",
    "least_successes",
    "mcnemar_exact",
    "min_transmitted_bits",
    "paired_difference",
    "sequential_p",
    "wilson",
]
