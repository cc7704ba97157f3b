"""What a kind of environment is built with beside its spec, and the code and files that a spec points at."""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any


@dataclass(frozen=True)
class Context:
    """`files`: where ConfigMaps are mounted, a directory each."""

    seed: int
    held_out_items: int
    files: Path

    def path(self, spec: Mapping[str, Any]) -> Path:
        """The file that a Code or Data of the spec names. Raises FileNotFoundError with the remedy."""
        if "file" in spec:
            path = Path(spec["file"])
        else:
            path = self.files / spec["configMap"]["name"] / spec["configMap"]["key"]
        if not path.is_file():
            raise FileNotFoundError(f"{path} is not there: mount it, or correct the environment's file or configMap")
        return path

    def module(self, spec: Mapping[str, Any]) -> ModuleType:
        """The module that a Code names. Modules beside a file can be imported by it."""
        if "module" in spec:
            return importlib.import_module(spec["module"])
        path = self.path(spec)
        sys.path.append(str(path.parent))
        loaded = importlib.util.spec_from_file_location(path.stem.replace("-", "_"), path)
        if loaded is None or loaded.loader is None:
            raise ImportError(f"{path} is not Python source: name it something.py")
        module = importlib.util.module_from_spec(loaded)
        sys.modules[loaded.name] = module
        loaded.loader.exec_module(module)
        return module


def function(module: ModuleType, name: str) -> Callable[..., Any]:
    """A function of the module. Raises AttributeError that lists those there are."""
    found = getattr(module, name, None)
    if not callable(found):
        there = sorted(each for each, value in vars(module).items() if inspect.isfunction(value) and each[0] != "_")
        raise AttributeError(f"{module.__name__} has no function {name}; it has {', '.join(there)[:500] or 'none'}")
    return found
