"""The `headwater` command."""

import gc
import os
import sys


def main() -> None:
    """Run the command line; `headwater --version` imports nothing else."""
    if sys.argv[1:] == ["--version"]:
        from headwater import __version__

        sys.stdout.write(f"headwater {__version__}\n")
        return
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # else it tells people at each start how it does not fork
    # Until everything is loaded: collecting on the way takes a fifth of the start, and finds nothing.
    if sys.argv[1:2] == ["serve"]:
        gc.disable()  # it says itself when that is
    else:
        gc.set_threshold(100_000)
    from headwater.commands import cli  # lazily: `--version` must not import the platform

    cli(prog_name="headwater")


if __name__ == "__main__":
    main()
