"""Environments of the verifiers library, of either of its two APIs: which one, the module says."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from kubeswarm_workers.environments.context import Context
from kubeswarm_workers.environments.split import Source


def source(spec: Mapping[str, Any], context: Context) -> Source:
    """The source of a spec's environment.verifiers. Raises ImportError with the remedy without the library."""
    try:
        module = context.module(spec["code"])
        import_module("verifiers")
    except ModuleNotFoundError as error:
        raise ImportError(
            f"there is no package {error.name} in the environment's interpreter: name it in interpreter.requirements, "
            "with verifiers==0.4.0 for a taskset, or verifiers==0.3.1 for an environment with load_environment"
        ) from error
    if hasattr(module, "load_environment"):
        from kubeswarm_workers.environments.verifiers_v0 import LegacySource

        return LegacySource(module, spec, context.seed)
    from kubeswarm_workers.environments.verifiers_v1 import TasksetSource, taskset_of

    taskset = taskset_of(module)
    if taskset is None:
        raise AttributeError(f"{module.__name__} has neither a Taskset nor load_environment: correct verifiers.code")
    return TasksetSource(taskset, spec, context.seed)
