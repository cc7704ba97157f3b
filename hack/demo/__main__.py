"""Command line: `python -m hack.demo up|steady|down`."""

import argparse
import sys

from hack.console import Problem, say
from hack.demo import chart, objects, run, steady, target
from hack.demo.diagnose import diagnosis
from hack.demo.stages import Stages
from kubeswarm_api.errors import KubeSwarmError

TIMEOUT_SECONDS = 3600.0


def main() -> int:
    """0 when every stage went well, 1 otherwise, 130 when interrupted."""
    options = _parser().parse_args()
    stages = Stages()
    cluster = None
    try:
        if options.command == "down":
            run.down()
            return 0
        if options.command == "steady":
            steady.watch(target.find_running(), options.minutes)
            return 0
        with stages.stage("cluster", "a Kubernetes to run on"):
            cluster = target.bring_up()
        run.up(stages, cluster, images_present=options.images_present, timeout=options.timeout)
    except (Problem, KubeSwarmError, OSError) as error:
        for line in diagnosis(cluster, chart.NAMESPACE, objects.NAMESPACE) if cluster and stages.failed else ():
            print(line, file=sys.stderr)
        where = f"stage {stages.failed}: " if stages.failed else ""
        say(f"error: {where}{error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted: what runs goes on; `make demo` joins it again, `make demo-down` removes it")
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hack.demo", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="from nothing to a trained, attested model; goes on where it was")
    up.add_argument("--images-present", action="store_true", help="the cluster has the images, or can pull them")
    up.add_argument("--timeout", type=float, default=TIMEOUT_SECONDS, help="seconds that training may take")
    quiet = commands.add_parser("steady", help="count what the operator writes while nothing happens")
    quiet.add_argument("--minutes", type=float, default=10.0, help="how long to count")
    commands.add_parser("down", help="remove what `up` made")
    return parser


if __name__ == "__main__":
    sys.exit(main())
