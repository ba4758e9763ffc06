"""What every area of the run needs: the client under version, checks that count, the simulator's
control listener, and two readings of each answer that go beyond what the client does by itself.

The client builds its models without validating them, so each answer is validated once more against
the generated model (types, and no property that the model does not know), and the properties that
public consumers use without a guard must be there.
"""

import collections
import importlib
import json
import urllib.request

import urllib3
from pypureclient import flasharray
from pypureclient._transport.api_client import ApiClient
from pypureclient.flasharray import ErrorResponse, ValidResponse

MIB = 1 << 20

# Properties that public consumers (Ansible, Cinder, LXD, Proxmox plugins) use without asking whether
# they are there, by the last words of the path; with the first minor version that has them.
USED_WITHOUT_GUARD = {
    "volumes": {
        "id": 0, "name": 0, "created": 0, "destroyed": 0, "provisioned": 0, "serial": 0,
        "subtype": 0, "connection_count": 0, "qos": 0, "space": 0, "source": 0, "pod": 0,
        "volume_group": 0, "promotion_status": 0, "requested_promotion_state": 0,
        "space.total_physical": 0, "space.total_provisioned": 0, "space.data_reduction": 0,
        "space.snapshots": 0, "space.thin_provisioning": 0, "host_encryption_key_status": 0,
        "priority_adjustment.priority_adjustment_operator": 11,
        "priority_adjustment.priority_adjustment_value": 11,
        "space.total_used": 26, "context.name": 38,
    },
    "volume-snapshots": {
        "id": 0, "name": 0, "suffix": 0, "created": 0, "destroyed": 0, "provisioned": 0,
        "serial": 0, "source.name": 0, "source.id": 0, "space.snapshots": 0, "context.name": 38,
    },
    "volumes/space": {"id": 0, "name": 0, "space.unique": 0, "space.total_physical": 0},
    "volumes/tags": {"key": 0, "value": 0, "namespace": 0, "copyable": 0, "resource.name": 0,
                     "context.name": 38},
    "hosts": {
        "name": 0, "iqns": 0, "wwns": 0, "nqns": 0, "chap": 0, "connection_count": 0,
        "host_group": 0, "is_local": 0, "space.total_provisioned": 0, "preferred_arrays": 0,
        "port_connectivity.status": 0, "port_connectivity.details": 0, "vlan": 16,
        "destroyed": 27, "qos": 27, "context.name": 38,
    },
    "host-groups": {"name": 0, "connection_count": 0, "host_count": 0, "is_local": 0, "space": 0,
                    "context.name": 38},
    "hosts/host-groups": {"group.name": 0, "member.name": 0},
    "host-groups/hosts": {"group.name": 0, "member.name": 0},
    "connections": {"host": 0, "host_group": 0, "volume.id": 0, "volume.name": 0,
                    "context.name": 38},
    "arrays": {
        "id": 0, "name": 0, "os": 0, "version": 0, "capacity": 0, "idle_timeout": 0,
        "space.total_physical": 0, "eradication_config.eradication_delay": 26,
    },
    "arrays/space": {"capacity": 0, "parity": 0, "space.total_physical": 0, "space.unique": 0},
    "arrays/performance": {
        "time": 0, "reads_per_sec": 0, "writes_per_sec": 0, "read_bytes_per_sec": 0,
        "write_bytes_per_sec": 0, "usec_per_read_op": 0, "usec_per_write_op": 0,
        "queue_depth": 0, "local_queue_usec_per_op": 0,
    },
    "volumes/performance": {
        "id": 0, "name": 0, "time": 0, "reads_per_sec": 0, "writes_per_sec": 0,
        "read_bytes_per_sec": 0, "write_bytes_per_sec": 0,
        "usec_per_read_op": 0, "usec_per_write_op": 0,
    },
    "controllers": {"name": 0, "mode": 0, "model": 0, "status": 0, "type": 0, "version": 0},
    "hardware": {"name": 0, "status": 0, "type": 0},
    "ports": {"name": 0},
    "network-interfaces": {
        "name": 0, "enabled": 0, "services": 0, "speed": 0, "interface_type": 0,
    },
    "pods": {
        "id": 0, "name": 0, "destroyed": 0, "arrays": 0, "array_count": 26, "promotion_status": 0,
        "requested_promotion_state": 0, "mediator": 0, "space": 0, "source": 0,
        "link_source_count": 0, "link_target_count": 0, "context.name": 38,
    },
    "volume-groups": {
        "id": 0, "name": 0, "destroyed": 0, "volume_count": 0, "space": 0, "qos": 0,
        "priority_adjustment.priority_adjustment_operator": 11, "context.name": 38,
    },
    "protection-groups": {
        "name": 0, "destroyed": 0, "host_count": 0, "host_group_count": 0, "volume_count": 0,
        "target_count": 0, "is_local": 0, "pod": 0, "source": 0, "snapshot_schedule.enabled": 0,
        "replication_schedule.enabled": 0, "source_retention": 0, "target_retention": 0,
        "space": 0, "context.name": 38,
    },
}


class Control:
    """The simulator's control listener: faults, sessions, the clock."""

    def __init__(self, url):
        self.url = url

    def post(self, what, body=None, method="POST"):
        data = json.dumps(body or {}).encode()
        request = urllib.request.Request(f"{self.url}/{what}", data=data, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def served(self, call):
        """How often the array was called so."""
        with urllib.request.urlopen(f"{self.url}/calls", timeout=10) as answer:
            return json.load(answer)["counts"].get(call, 0)

    def rule(self, method, path, times=1, **action):
        self.post("rules", {"method": method, "path": path, "times": times, "action": action})


class Run:
    """One run at one version: the client, what was asked, what was checked."""

    def __init__(self, version, target, token, certificate, control, record):
        self.version = version
        self.minor = int(version.split(".")[1])
        self.target, self.token, self.certificate = target, token, certificate
        self.control = Control(control)
        self.record = record
        self.area = "connect"
        self.checks = collections.Counter()
        self.calls = collections.Counter()
        self.models_checked = 0
        self.findings = collections.Counter()
        self.last_request = None
        self._listen()
        self.client = self.connect()
        package = f"pypureclient.flasharray.FA_{version.replace('.', '_')}.models"
        self.models = importlib.import_module(package)

    def connect(self, **more):
        """A client that verifies the array by its certificate and by nothing else."""
        configuration = flasharray.client.Configuration(ssl_ca_cert=self.certificate)
        configuration.verify_ssl = True
        return flasharray.Client(
            self.target, version=self.version, api_token=self.token, timeout=20,
            configuration=configuration, **more)

    # What the checks of an area are written with.

    def check(self, truth, what):
        self.checks[self.area] += 1
        if not truth:
            raise AssertionError(what)

    def same(self, found, expected, what="value"):
        self.check(found == expected, f"{what}: found {found!r}, expected {expected!r}")

    def ok(self, response):
        """The items of a successful answer, all pages of them."""
        self.check(isinstance(response, ValidResponse), f"refused: {response}")
        self.same(response.status_code, 200, "status")
        self.check(response.headers is not None and response.headers.x_request_id, "X-Request-ID")
        return list(response.items) if response.items is not None else []

    def one(self, response):
        items = self.ok(response)
        self.same(len(items), 1, "number of items")
        return items[0]

    def names(self, response):
        return [item.name for item in self.ok(response)]

    def refused(self, response, message, context=None, status=400):
        """A refusal with exactly this text, about this object."""
        self.check(isinstance(response, ErrorResponse), f"accepted, should be: {message}")
        self.same(response.status_code, status, f"status of {response.errors}")
        self.same(response.errors[0].message, message, "text")
        self.same(response.errors[0].context, context, f"context of {message!r}")

    def model(self, kind, /, *positional, **values):
        return getattr(self.models, kind)(*positional, **values)

    # What is done with each answer.

    def _listen(self):
        run, request, deserialize = self, urllib3.PoolManager.request, ApiClient.deserialize

        def recorded(self, method, url, *positional, **named):
            answer = request(self, method, url, *positional, **named)
            run._asked(method, url, named.get("body"), answer)
            return answer

        def validated(self, response, kind):
            result = deserialize(self, response, kind)
            if hasattr(type(result), "__fields__"):
                run._validate(response, result)
            return result

        urllib3.PoolManager.request = recorded
        ApiClient.deserialize = validated

    def _asked(self, method, url, body, answer):
        path, _, query = url.partition("/api/")[2].partition("?")
        self.last_request = (method, path.partition("/")[2])
        self.calls[f"{method} {self.last_request[1] or path}"] += 1
        line = {
            "by": f"py-pure-client {self.area}", "method": method, "path": f"/api/{path}",
            "query": query, "status": answer.status, "answer": answer.data.decode(),
        }
        self.record.write(json.dumps(line) + "\n")

    def _validate(self, response, result):
        method, route = self.last_request
        raw = json.loads(response.data)
        self.models_checked += 1
        where = f"{method} {route}"
        if method == "GET":
            for name in ("continuation_token", "more_items_remaining", "total_item_count"):
                if name not in raw:
                    self.findings[f"{where}: no {name}"] += 1
        try:
            type(result).parse_obj(raw)
        except ValueError as error:
            self.findings[f"{where}: {error}"] += 1
        self._known(type(result), raw, where)
        for item in raw["items"]:
            for path, since in USED_WITHOUT_GUARD.get(route, {}).items():
                if since <= self.minor and at(item, path) is None:
                    self.findings[f"{where}: {path} is missing or null"] += 1

    def _known(self, model, raw, where):
        """Every property of the answer is one of the model's, at every depth."""
        fields = {field.alias: field for field in model.__fields__.values()}
        for name, value in raw.items():
            if name not in fields:
                if name != "continuation_token":  # read by the client itself
                    self.findings[f"{where}: {name} is not in the model {model.__name__}"] += 1
                continue
            inner = fields[name].type_
            if not hasattr(inner, "__fields__"):
                continue
            for part in value if isinstance(value, list) else [value]:
                if isinstance(part, dict):
                    self._known(inner, part, f"{where}: {name}")


def at(item, path):
    for name in path.split("."):
        item = item.get(name) if isinstance(item, dict) else None
    return item
