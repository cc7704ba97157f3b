"""Command line: `python3 -m hack.cluster up|down|status|build|import|releases`."""

from __future__ import annotations

import argparse

from hack.cluster.binaries import PROFILE_PROGRAMS, RELEASES, asked_release, ensure_programs
from hack.cluster.layout import Profile, layout_for
from hack.cluster.lifecycle import down, status, up
from hack.console import exit_with
from hack.images.containerd import import_archive


def main() -> int:
    options = _parser().parse_args()
    layout = layout_for(Profile(options.profile), options.port_offset)
    match options.command:
        case "up":
            up(layout)
        case "down":
            down(layout, purge=options.purge)
        case "status":
            return 0 if status(layout) else 1
        case "build":
            programs = ensure_programs(layout.cache, PROFILE_PROGRAMS[layout.profile], asked_release())
            for program, path in programs.items():
                print(f"{program:26}{path}")
        case "import":
            for archive in options.archives:
                import_archive(layout, archive)
        case "releases":
            print("\n".join(RELEASES))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m hack.cluster", description="A real one-machine Kubernetes.")
    commands = parser.add_subparsers(dest="command", required=True)
    about = {
        "up": "start it, or what of it does not run",
        "down": "stop it, with its pods",
        "status": "tell how each component is",
        "build": "build its programs into the cache",
        "import": "give image archives to its container runtime",
        "releases": "name the minor versions of Kubernetes that KUBESWARM_KUBERNETES can ask for, the newest first",
    }
    parsers = {name: commands.add_parser(name, help=text, description=text) for name, text in about.items()}
    for each in parsers.values():
        each.add_argument("--profile", choices=list(Profile), default=Profile.FULL)
        each.add_argument("--port-offset", type=int, help="added to every port")
    parsers["down"].add_argument("--purge", action="store_true", help="also delete its state and volumes")
    parsers["import"].add_argument("archives", nargs="+", metavar="IMAGE.tar")
    return parser


if __name__ == "__main__":
    exit_with(main)
