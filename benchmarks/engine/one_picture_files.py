"""The networks of `one_picture` as files, for measurements in an environment without PyTorch.

Run: python -m benchmarks.engine.one_picture_files --folder FILES [--networks NAME ...]
"""

import argparse
from pathlib import Path

from benchmarks.engine.one_picture import NETWORKS, write_model


def main() -> None:
    """Write a file for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name in arguments.networks:
        print(write_model(name, arguments.folder))


if __name__ == "__main__":
    main()
