"""A peer on the same arrays: OpenStack Cinder's FlashArray driver, in process, without OpenStack.

Makes, connects, disconnects and removes volumes one after another, as `peer-load` does with our own
backend, and prints one JSON object: for each operation, the calls that the array counted and the
time of each round in milliseconds. The database, which Cinder asks for a volume's attachments, and
its locks are left out of the measurement in Cinder's favour.

    cinder_pure.py HOST:PORT TOKEN CALLS_URL ROUNDS
"""

import json
import sys
import time
import types
import urllib.request
import warnings
from contextlib import nullcontext

warnings.filterwarnings("ignore")

from cinder import objects  # noqa: E402

objects.register_all()

from cinder import coordination  # noqa: E402
from cinder.volume import configuration  # noqa: E402
from cinder.volume import driver as base  # noqa: E402
from cinder.volume.drivers import pure  # noqa: E402
from oslo_config import cfg  # noqa: E402


class Volume(types.SimpleNamespace):
    """What the driver reads of a volume."""

    def __getitem__(self, key):
        return getattr(self, key)

    def get(self, key, default=None):
        return getattr(self, key, default)


def volume(index):
    identity = f"00000000-0000-4000-8000-{index:012d}"
    return Volume(
        id=identity,
        name=f"volume-{identity}",
        name_id=identity,
        size=1,
        host="host@backend#pool",
        project_id="project",
        metadata={},
        volume_type=None,
        volume_type_id=None,
        volume_attachment=[],
        group=None,
        group_id=None,
        consistencygroup_id=None,
        provider_id=None,
        previous_status=None,
        multiattach=False,
    )


class NoLock:
    """In place of a lock between Cinder's processes: there is one."""

    name = b"none"

    def acquire(self, *_args, **_more):
        return True

    def release(self):
        return True

    def __enter__(self):
        return self

    def __exit__(self, *_args):
        return None


class Calls:
    """The array's own count, fetched outside of what is timed."""

    def __init__(self, url):
        self.url = url

    def total(self):
        with urllib.request.urlopen(self.url, timeout=30) as answer:
            counts = json.load(answer)["counts"]
        session = (" login", " logout", " api_version")
        return sum(count for call, count in counts.items() if not call.endswith(session))


def make_driver(address, token):
    settings = configuration.Configuration(base.volume_opts, config_group="peer")
    driver = pure.PureISCSIDriver(configuration=settings)
    chosen = {
        "san_ip": address,
        "pure_api_token": token,
        # As it is by default; the certificate of one array cannot be given to it.
        "driver_ssl_cert_verify": False,
        "pure_eradicate_on_delete": False,
    }
    for key, value in chosen.items():
        cfg.CONF.set_override(key, value, group="peer")
    driver._get_attachments = lambda _volume: ("Data", None)
    driver._connection_lock = lambda *_args, **_more: nullcontext()
    coordination.COORDINATOR.get_lock = lambda _name: NoLock()
    driver.do_setup(None)
    return driver


def main():
    address, token, calls_url, rounds = sys.argv[1:]
    driver = make_driver(address, token)
    calls = Calls(calls_url)
    connector = {
        "host": "peer-host",
        "initiator": "iqn.1994-05.com.example:peer",
        "multipath": True,
        "wwpns": [],
    }
    results = {name: {"calls": [], "ms": []} for name in ("create", "publish", "unpublish", "delete")}
    for index in range(int(rounds)):
        one = volume(index)
        steps = {
            "create": lambda: driver.create_volume(one),
            "publish": lambda: driver.initialize_connection(one, connector),
            "unpublish": lambda: driver.terminate_connection(one, connector),
            "delete": lambda: driver.delete_volume(one),
        }
        for name, step in steps.items():
            before = calls.total()
            start = time.perf_counter()
            step()
            elapsed = time.perf_counter() - start
            results[name]["ms"].append(elapsed * 1000)
            results[name]["calls"].append(calls.total() - before)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
