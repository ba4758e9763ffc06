"""Asks an array for everything that the vendor's OpenAPI document of a version has.

    probe.py VERSION TARGET TOKEN CERTIFICATE SPECS RECORD

Every path, method and query parameter once. What the array does not simulate it answers with 404,
and that is only counted; but a call that it does simulate must have all documented methods, and
take all documented parameters. Run it last: it changes what it finds. The answers go to RECORD, for
`openapi.py`.
"""

import json
import pathlib
import sys
import urllib.parse

import urllib3
from openapi import Document

# Values that make sense; others are made from the parameter's type.
VALUES = {
    "filter": "name='*'", "sort": "name", "limit": "2", "offset": "1", "destroyed": "false",
    "resolution": "300000", "start_time": "1700000000000", "end_time": "1700003600000",
    "protocol": "all", "protocol_group": "all",
}
METHODS = ("get", "post", "patch", "put", "delete")


class Probe:
    def __init__(self, version, target, token, certificate, specs, record):
        self.version, self.record = version, record
        self.document = Document(pathlib.Path(specs) / f"FA{version}.spec.yaml")
        host, port = target.split(":")
        self.pool = urllib3.HTTPSConnectionPool(
            host, int(port), ca_certs=certificate, retries=False, timeout=20)
        login = self.pool.request("POST", f"/api/{version}/login", headers={"api-token": token})
        self.session = {"x-auth-token": login.headers["x-auth-token"]}
        self.findings, self.served, self.absent, self.asked = [], [], [], 0

    def ask(self, method, path, query):
        query = urllib.parse.urlencode(query)
        answer = self.pool.request(method, f"{path}?{query}", headers=self.session, body="{}")
        self.asked += 1
        line = {"by": "probe", "method": method, "path": path, "query": query,
                "status": answer.status, "answer": answer.data.decode()}
        self.record.write(json.dumps(line) + "\n")
        return answer.status, line["answer"]

    def value(self, name, parameter):
        if name in VALUES:
            return VALUES[name]
        kind = self.document.merge(parameter.get("schema", {})).get("type")
        return {"boolean": "true", "integer": "1"}.get(kind, "probe")

    def path(self, path):
        for method in METHODS:
            if self.document.operation(method, path) is None:
                continue
            call = f"{method.upper()} {path.removeprefix(f'/api/{self.version}/')}"
            status, _ = self.ask(method.upper(), path, {})
            if status in (404, 405):
                self.absent.append(call)
                continue
            self.served.append(call)
            for name, parameter in self.document.parameters(method, path).items():
                query = {name: self.value(name, parameter)}
                status, answer = self.ask(method.upper(), path, query)
                if "is not supported" in answer:
                    self.findings.append(f"{call}: does not know the parameter {name}")
                elif status not in (200, 400):
                    self.findings.append(f"{call}: {status} with {name}: {answer}")

    def run(self):
        prefix = f"/api/{self.version}/"
        for path in self.document.text["paths"]:
            if path.startswith(prefix) and not path.endswith(("/login", "/logout")):
                self.path(path)


def main():
    *array, specs, path = sys.argv[1:]
    with open(path, "a", encoding="utf-8") as record:
        probe = Probe(*array, specs, record)
        probe.run()
    total = len(probe.served) + len(probe.absent)
    print(f"probe of REST {probe.version}: {probe.asked} calls; {len(probe.served)} of {total}"
          f" documented calls are simulated: {', '.join(probe.served)}")
    whole = {call.split(" ")[1] for call in probe.served}
    print("  of the same paths not simulated: "
          + (", ".join(call for call in probe.absent if call.split(" ")[1] in whole) or "none"))
    for finding in probe.findings:
        print(f"WRONG at REST {probe.version}: {finding}")
    return 1 if probe.findings else 0


if __name__ == "__main__":
    sys.exit(main())
