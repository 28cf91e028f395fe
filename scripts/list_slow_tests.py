"""Write tests/slow.txt, the tests that `pytest -m "not slow"` leaves out.

pytest --junitxml=report.xml
python scripts/list_slow_tests.py report.xml
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

PATH = Path(__file__).parents[1] / "tests" / "slow.txt"
MAX_SECONDS = 0.4
"""A test is slow if one of its cases takes longer, with its fixtures."""
HEAD = "# Tests that take longer than others; scripts/list_slow_tests.py writes this list.\n"


def main() -> None:
    """Write the list and print how long the other tests took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path)
    report = ElementTree.parse(parser.parse_args().report)
    seconds: dict[str, list[float]] = defaultdict(list)
    for case in report.iter("testcase"):
        name = str(case.get("name")).partition("[")[0]
        module = str(case.get("classname")).replace(".", "/")
        seconds[f"{module}.py::{name}"].append(float(case.get("time", 0)))
    slow = sorted(name for name, times in seconds.items() if max(times) > MAX_SECONDS)
    PATH.write_text(HEAD + "\n".join(slow) + "\n", encoding="utf-8")
    remaining = sum(sum(times) for name, times in seconds.items() if name not in slow)
    print(f"{len(slow)} tests are slow; the others take {remaining:.0f} s")


if __name__ == "__main__":
    main()
