"""The statistics that the gates and studies read, one idea a module."""

from parley.evaluation.statistics.clusters import ClusteredProportion as ClusteredProportion
from parley.evaluation.statistics.clusters import clustered as clustered
from parley.evaluation.statistics.equivalence import Equivalence as Equivalence
from parley.evaluation.statistics.equivalence import equivalence as equivalence
from parley.evaluation.statistics.information import Information as Information
from parley.evaluation.statistics.information import confusion_information as confusion_information
from parley.evaluation.statistics.information import fano_bound as fano_bound
from parley.evaluation.statistics.information import min_transmitted_bits as min_transmitted_bits
from parley.evaluation.statistics.multiple import holm as holm
from parley.evaluation.statistics.paired import Difference as Difference
from parley.evaluation.statistics.paired import difference as difference
from parley.evaluation.statistics.paired import mcnemar_exact as mcnemar_exact
from parley.evaluation.statistics.paired import paired_difference as paired_difference
from parley.evaluation.statistics.proportions import Proportion as Proportion
from parley.evaluation.statistics.proportions import above_p as above_p
from parley.evaluation.statistics.proportions import wilson as wilson
from parley.evaluation.statistics.sample_size import episodes_needed as episodes_needed
from parley.evaluation.statistics.sample_size import fewest_episodes as fewest_episodes
from parley.evaluation.statistics.sample_size import gate_power as gate_power
from parley.evaluation.statistics.sample_size import least_successes as least_successes
from parley.evaluation.statistics.sequence import confidence_sequence as confidence_sequence
from parley.evaluation.statistics.sequence import difference_sequence as difference_sequence
from parley.evaluation.statistics.sequence import sequential_p as sequential_p
