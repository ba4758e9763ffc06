"""Drives a simulated FlashArray with the vendor's public Python client at one REST version.

    drive.py VERSION TARGET TOKEN CERTIFICATE CONTROL RECORD

TARGET is `address:port`, CERTIFICATE the array's certificate as a PEM file, CONTROL the array's URL
at the simulator's control listener, RECORD the file to which every call and its answer is appended
as a line of JSON (`openapi.py` reads it). Prints what was covered; ends with 1 when anything that
the client was told is not what the vendor's arrays tell.
"""

import importlib
import sys
import traceback

from harness import Run

AREAS = ["array", "volumes", "listing", "snapshots", "tags", "hosts", "containers", "performance",
         "fleet", "sessions"]


def main():
    version, target, token, certificate, control, path = sys.argv[1:]
    failed = []
    with open(path, "a", encoding="utf-8") as record:
        run = Run(version, target, token, certificate, control, record)
        run.check(run.client.get_rest_version() == version, "the version that was asked for")
        for area in AREAS:
            run.area = area
            try:
                importlib.import_module(f"areas.{area}").run(run)
            except Exception:
                failed.append(area)
                traceback.print_exc(file=sys.stdout)
    print(f"py-pure-client at REST {version}: {sum(run.checks.values())} checks,"
          f" {sum(run.calls.values())} calls of {len(run.calls)} kinds,"
          f" {run.models_checked} answers validated against the client's models")
    for area, count in run.checks.items():
        print(f"  {area}: {count} checks")
    print("  calls: " + ", ".join(f"{name} {count}" for name, count in sorted(run.calls.items())))
    for finding, count in sorted(run.findings.items()):
        print(f"WRONG at REST {version}: {finding} ({count} times)")
    if failed:
        print(f"FAILED at REST {version}: {', '.join(failed)}")
    return 1 if failed or run.findings else 0


if __name__ == "__main__":
    sys.exit(main())
