"""The flags of all registered objectives: `--NAME WEIGHT` and `--NAME.SETTING VALUE`."""

from __future__ import annotations

from typing import Annotated, Any, get_type_hints

import tyro
from tyro.constructors import ConstructorRegistry, StructConstructorSpec, StructFieldSpec, StructTypeInfo

from parley.agents.readout import Among
from parley.training.loss import ObjectiveWeights
from parley.training.objective import OBJECTIVES

FLAGS = ConstructorRegistry()
WHERE = "ce, help and contrast want the target to be likely among the choices, or the whole vocabulary"
TAKEN = {"help": "help-loss"}  # by --help itself


@FLAGS.struct_rule
def objective_flags(info: StructTypeInfo) -> StructConstructorSpec | None:
    """How `ObjectiveWeights` are read from a command line."""
    if info.type is not ObjectiveWeights:
        return None
    default: ObjectiveWeights = info.default if isinstance(info.default, info.type) else ObjectiveWeights()
    of_weights, of_settings = [], []
    for name in OBJECTIVES.names():
        objective, config = OBJECTIVES.find(name), default.config_of(name)
        about = (objective.__doc__ or "").partition("\n")[0]
        kind: Any = Annotated[float, tyro.conf.arg(name=TAKEN.get(name, name))]
        of_weights.append(StructFieldSpec(name, kind, default.weights.get(name, 0.0), about))
        types = get_type_hints(objective.Config)
        of_settings += [
            StructFieldSpec(f"{name}.{setting}", types[setting], value, f"setting of {name}")
            for setting, value in vars(config).items()
        ]
    among: Any = Among
    where = StructFieldSpec("among", among, default.among, WHERE)
    return StructConstructorSpec(_weights, (*of_weights, *of_settings, where))


def _weights(among: Among, **given: Any) -> ObjectiveWeights:
    """Weights by name and settings by `name.setting`, as objectives take them."""
    settings: dict[str, dict[str, Any]] = {}
    for flag, value in given.items():
        name, dot, setting = flag.partition(".")
        if dot:
            settings.setdefault(name, {})[setting] = value
    weights = {name: value for name, value in given.items() if "." not in name}
    return ObjectiveWeights(weights=weights, settings=settings, among=among)
