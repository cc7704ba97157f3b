"""What a run needs on this machine: the worker's code, the programs of chain and exchange, the model's directory."""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import kubeswarm_cli
from kubeswarm_api.spec_model import ModelSource
from kubeswarm_cli.errors import CommandError

#: Where a checkout's own programs and models are, if this command runs from one.
CHECKOUT = Path(kubeswarm_cli.__file__).parents[2]
#: The folders that a checkout makes the demo's models in, by the image that holds each.
MODELS = {"kubeswarm/smollm2-135m-instruct": "smollm2", "kubeswarm/tiny-qwen3": "tiny_qwen3"}
ANVIL = "npm install -g @foundry-rs/anvil, or in a checkout `make -C contracts node_modules/.package-lock.json`"
NATS_SERVER = "its release from github.com/nats-io/nats-server, or in a checkout `make demo` builds it"


def worker_python() -> Path:
    """The Python that runs the workers: this one. Raises CommandError if their code is not installed."""
    if importlib.util.find_spec("kubeswarm_workers") is None:
        raise CommandError(
            "the worker's code is not installed beside this command: install kubeswarm-workers[cpu] (or [cuda]) into "
            f"the environment of {sys.executable}"
        )
    return Path(sys.executable)


def anvil() -> Path | None:
    """The development chain's program."""
    return _program("anvil", [*CHECKOUT.glob("contracts/node_modules/@foundry-rs/anvil-*/bin/anvil")])


def nats_server() -> Path | None:
    """The exchange's program."""
    return _program("nats-server", sorted(_cache().glob("bin/nats-server-*/nats-server"), key=_age))


def model_root(model: ModelSource, given: Path | None) -> Path:
    """What stands for the image or claim of `model` on this machine: `given`, or what a checkout made of the image.

    Raises CommandError if there is no such directory, or no model in it.
    """
    if model.hub:
        return Path("/")
    source = model.image or f"claim {model.claim}"
    root = given or _made(model.image or "")
    if root is None:
        raise CommandError(
            f"spec.model: {source} is no directory of this machine: give its content with --model DIR"
            + (f"; {_recipe(model.image)}" if model.image and _folder(model.image) else "")
        )
    root = root.expanduser().resolve()
    if not (root / model.path / "config.json").is_file():
        raise CommandError(f"--model {root}: {root / model.path} holds no config.json: give a Hugging Face directory")
    return root


def _recipe(image: str) -> str:
    script = CHECKOUT / "hack" / "images" / "model" / f"{_folder(image)}.py"
    return f"`uv run --script {script} DIR` makes it" if script.exists() else "a checkout's hack/images/model makes it"


def _folder(image: str) -> str | None:
    return MODELS.get(image.partition("@")[0].rpartition(":")[0] or image)


def _made(image: str) -> Path | None:
    folder = _folder(image)
    made = sorted((_cache() / "models").glob(f"{folder}-*"), key=_age) if folder else []
    return made[-1] if made else None


def _program(name: str, elsewhere: list[Path]) -> Path | None:
    found = shutil.which(name)
    return Path(found) if found else next(reversed(elsewhere), None)


def _cache() -> Path:
    return Path(os.environ.get("KUBESWARM_CACHE", "~/.cache/kubeswarm")).expanduser()


def _age(path: Path) -> float:
    return path.stat().st_mtime
