"""Command line: `python3 -m hack.images build [NAME ...] [--load]` and `prune`."""

from __future__ import annotations

import argparse

from hack.cluster.layout import Profile, layout_for
from hack.cluster.preflight import IMAGE_PACKAGES, check_root, ensure_packages
from hack.console import exit_with
from hack.images.buildah import Storage
from hack.images.catalogue import CLUSTER_IMAGES, IMAGES
from hack.images.pipeline import build_images, load_images


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m hack.images", description="Build the container images.")
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="build the images that changed")
    build.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(IMAGES)}; all by default")
    build.add_argument("--load", action="store_true", help="give them to the local cluster as well")
    commands.add_parser("prune", help="drop what former builds have left")
    options = parser.parse_args()
    layout = layout_for(Profile.FULL, None)
    if options.command == "prune":
        Storage(layout.cache).remove_unnamed()
        return 0
    names = options.names or [name for name in IMAGES if name not in CLUSTER_IMAGES]
    check_root()
    ensure_packages(IMAGE_PACKAGES)
    built = build_images(names, layout.cache)
    if options.load:
        load_images(built, layout)
    for image in built:
        print(f"{image.reference:40}{image.image_id}")
    return 0


if __name__ == "__main__":
    exit_with(main)
