"""Draws one chart and ends: `python -m engine.charts.painter`, a specification on standard input, PNG on output."""

import json
import resource
import sys

VEGA_LITE = "5.21"
CPU_S = 30
NOT_DRAWN, NOT_INSTALLED = 3, 4


def main() -> int:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))  # nobody may be left who would end this process
    told = json.load(sys.stdin.buffer)
    try:
        import vl_convert  # a JavaScript engine: 100 MB, in this process only
    except ImportError:
        return NOT_INSTALLED
    try:
        # No address at all is allowed: were a specification ever to name one, it would not be asked.
        png = vl_convert.vegalite_to_png(told["spec"], vl_version=VEGA_LITE, scale=told["scale"], allowed_base_urls=[])
    except ValueError:
        return NOT_DRAWN
    sys.stdout.buffer.write(png)
    return 0


if __name__ == "__main__":
    sys.exit(main())
