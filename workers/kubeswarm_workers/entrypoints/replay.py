"""Replays a round from the directory of a Node's volume, with no engine, no network and no chain.

`python -m kubeswarm_workers.entrypoints.replay DATA --round N --model DIR`. Prints one JSON object a replayed round,
and {"error": ...} where it can't go on. Exit codes: 0 if all agrees with the records, 1 if not.
"""

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from kubeswarm_api import names
from kubeswarm_api.errors import KubeSwarmError
from kubeswarm_api.stored import StoredRound, file_name


def main(arguments: list[str] | None = None) -> int:
    """The command line. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m kubeswarm_workers.entrypoints.replay", description=__doc__)
    parser.add_argument("data", type=Path, help="a Node's volume: the directory with checkpoints, rollouts and spool")
    parser.add_argument("--round", type=int, required=True, help="the round to compute again")
    parser.add_argument("--model", required=True, help="the base model: a directory, or owner/name on a hub")
    options = parser.parse_args(arguments)
    agrees = True
    try:
        _limit_threads(options.data, options.round)
        from kubeswarm_workers.replay import replay

        for result in replay(options.data, options.model, options.round):
            agrees = not result.problems
            print(json.dumps(asdict(result)), flush=True)
    except KubeSwarmError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return 1
    return 0 if agrees else 1


def _limit_threads(data: Path, round: int) -> None:
    """As many as the round was trained with, before anything imports torch."""
    path = data / names.STORED_ROUNDS / file_name(round)
    if path.exists():
        os.environ["OMP_NUM_THREADS"] = str(StoredRound.from_bytes(path.read_bytes()).threads)
    from kubeswarm_workers.cpus import limit_threads

    limit_threads()


if __name__ == "__main__":
    sys.exit(main())
