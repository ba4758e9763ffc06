"""Holds what was recorded of an array's answers against the vendor's OpenAPI documents.

    openapi.py SPECS RECORD...

SPECS is the folder with `FA2.2.spec.yaml` and the like; each RECORD has a line of JSON for every
call (`method`, `path`, `query`, `status`, `answer`, `by`). A call at a version without a document is
counted and not judged. Ends with 1 when an accepted call is not in the document, was made with a
parameter that is not, or got an answer that does not fit the document's schema.

The documents are read strictly where they are clear and by their prose where they are not: no
property beyond those listed is allowed; a list of values in a description ("Values include ...") is
an enumeration; and as no schema says `nullable` while descriptions speak of null, null is allowed
for what has no value.
"""

import collections
import json
import pathlib
import re
import sys
import urllib.parse

import jsonschema
import yaml

VALUES = re.compile(
    r"(?:Values include|Valid values (?:are|include)|Possible values (?:are|include)|Values are)"
    r"[\s:]*((?:`[^`]+`|,|\s|and|or|\(default\))+)")
# Where the simulator is not the document's way on purpose, and why.
ACCEPTED = {
    "'nvme-tcp' is not one of": "arrays of REST 2.26 have NVMe/TCP ports, as Cinder finds them; the"
                                " document's prose names this service in later versions only",
}
RANGES = {"int32": 1 << 31, "int64": 1 << 63}


class Document:
    """One version's document."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.text = yaml.load(file, Loader=yaml.CSafeLoader)
        self.validators = {}

    def resolve(self, node):
        while "$ref" in node:
            found = self.text
            for part in node["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            node = found
        return node

    def operation(self, method, path):
        """The operation, `None` for a path without this method; raises KeyError for no path."""
        return self.text["paths"][path].get(method.lower())

    def parameters(self, method, path):
        """Query parameters by name."""
        both = self.text["paths"][path].get("parameters", [])
        found = [self.resolve(one) for one in both + self.operation(method, path).get("parameters", [])]
        return {one["name"]: one for one in found if one["in"] == "query"}

    def schema(self, operation, status):
        content = self.resolve(operation["responses"].get(str(status), {})).get("content", {})
        return content.get("application/json", {}).get("schema")

    def validator(self, method, path, status):
        key = (method, path, status)
        if key not in self.validators:
            schema = self.schema(self.operation(method, path), status)
            self.validators[key] = schema and jsonschema.Draft202012Validator(self.strict(schema))
        return self.validators[key]

    def strict(self, node):
        """A schema of the document as one of JSON Schema that allows nothing beyond it."""
        merged = self.merge(node)
        if "oneOf" in merged:
            return {"anyOf": [self.strict(one) for one in merged["oneOf"]] + [{"type": "null"}]}
        kind = merged.get("type", "object" if "properties" in merged else None)
        strict = {"type": [kind, "null"]} if kind else {}
        if "properties" in merged:
            strict["properties"] = {
                name: self.strict(value) for name, value in merged["properties"].items()}
            strict["additionalProperties"] = False
        if "items" in merged:
            # A list of texts has its values in the description of the list.
            inner = dict(self.merge(merged["items"]))
            inner["description"] = inner.get("description") or merged.get("description", "")
            strict["items"] = self.strict(inner)
        for name in ("minimum", "maximum", "pattern", "minLength", "maxLength", "required", "enum"):
            if name in merged:
                strict[name] = merged[name]
        if kind == "integer" and merged.get("format") in RANGES:
            end = RANGES[merged["format"]]
            strict.setdefault("minimum", -end)
            strict.setdefault("maximum", end - 1)
        if kind == "string":
            values = VALUES.search(merged.get("description") or "")
            values = re.findall("`([^`]+)`", values.group(1)) if values else []
            if len(values) > 1:
                strict["enum"] = [*values, None]
        return strict

    def merge(self, node):
        """What `allOf` joins, as one schema."""
        node = self.resolve(node)
        merged = {name: value for name, value in node.items() if name != "allOf"}
        for part in map(self.merge, node.get("allOf", [])):
            properties = {**part.get("properties", {}), **merged.get("properties", {})}
            required = [*part.get("required", []), *merged.get("required", [])]
            merged = {**part, **merged}
            if properties:
                merged["properties"] = properties
            if required:
                merged["required"] = required
        return merged


class Check:
    """All answers, and what is wrong with them."""

    def __init__(self, specs):
        self.documents, self.specs = {}, pathlib.Path(specs)
        self.findings = collections.Counter()
        self.judged = collections.Counter()
        self.accepted_differences = collections.Counter()
        self.sent = collections.defaultdict(set)
        self.unjudged = 0
        self.seen = set()

    def document(self, version):
        if version not in self.documents:
            path = self.specs / f"FA{version}.spec.yaml"
            self.documents[version] = Document(path) if path.exists() else None
        return self.documents[version]

    def wrong(self, version, call, text):
        self.findings[f"REST {version}: {call['method']} {call['path']}: {text}"] += 1

    def read(self, path):
        with open(path, encoding="utf-8") as file:
            for line in file:
                self.judge(json.loads(line))

    def judge(self, call):
        found = re.match(r"/api/(2\.\d+)/", call["path"])
        version = found.group(1) if found else None
        document = self.document(version) if version else None
        if document is None:
            self.unjudged += 1
            return
        try:
            operation = document.operation(call["method"], call["path"])
        except KeyError:
            operation = None
        if call["status"] not in (200, 207):
            self.refusal(version, call)
        elif operation is None:
            self.wrong(version, call, "is served and not in the document")
        else:
            self.accepted(version, document, call)
        self.judged[version] += 1

    def refusal(self, version, call):
        """The documents have no schema for errors; clients read `errors`, or `message` with 429."""
        try:
            body = json.loads(call["answer"])
        except ValueError:
            self.wrong(version, call, f"{call['status']} without JSON")
            return
        if call["status"] in (403, 429):
            fits = set(body) == {"message"} and isinstance(body["message"], str)
        else:
            fits = set(body) == {"errors"} and body["errors"] and all(
                set(one) <= {"context", "message", "location_context"}
                and isinstance(one["message"], str) for one in body["errors"])
        if not fits:
            self.wrong(version, call, f"{call['status']} with {call['answer']}")

    def accepted(self, version, document, call):
        known = document.parameters(call["method"], call["path"])
        for name, _ in urllib.parse.parse_qsl(call["query"], keep_blank_values=True):
            if name not in known:
                self.wrong(version, call, f"accepts the unknown parameter {name}")
        validator = document.validator(call["method"], call["path"], call["status"])
        if validator is None:
            if call["answer"]:
                self.wrong(version, call, f"{call['status']} with a body that is not documented")
            return
        key = (call["method"], call["path"], call["answer"])
        if key in self.seen:
            return
        self.seen.add(key)
        body = json.loads(call["answer"])
        self.note((version, call["method"], call["path"]), body, "")
        for error in validator.iter_errors(body):
            where = ".".join(str(part) for part in error.absolute_path if isinstance(part, str))
            text = error.message if len(error.message) < 200 else f"does not fit {error.validator}"
            if any(text.startswith(known) for known in ACCEPTED):
                self.accepted_differences[f"REST {version}: {call['path']}: {where}: {text}"] += 1
                continue
            self.wrong(version, call, f"{where}: {text}")

    def note(self, call, value, path):
        """Which properties were ever sent with a value."""
        if isinstance(value, dict):
            for name, inner in value.items():
                self.note(call, inner, f"{path}.{name}" if path else name)
        elif isinstance(value, list):
            for inner in value:
                self.note(call, inner, path)
        elif value is not None:
            self.sent[call].add(path)

    def never_sent(self):
        """Properties of the documents that no answer ever had, by call: what is left to simulate."""
        for (version, method, path), sent in sorted(self.sent.items()):
            schema = self.documents[version].validator(method, path, 200).schema
            missing = sorted(name for name in leaves(schema, "") if name not in sent)
            if method == "GET" and missing:
                yield f"REST {version}: GET {path}: {', '.join(missing)}"


def leaves(schema, path):
    """The paths of a schema's values; `{}` may stand for an object, and an empty list for a list."""
    if "properties" in schema:
        for name, inner in schema["properties"].items():
            yield from leaves(inner, f"{path}.{name}" if path else name)
    elif "items" in schema:
        yield from leaves(schema["items"], path)
    else:
        yield path


def main():
    check = Check(sys.argv[1])
    for path in sys.argv[2:]:
        check.read(path)
    for line in check.never_sent():
        print(f"never sent: {line}")
    for version, count in sorted(check.judged.items()):
        kinds = sum(1 for one in check.sent if one[0] == version)
        print(f"OpenAPI document {version}: {count} answers judged, {kinds} calls with bodies")
    print(f"calls at versions without a document: {check.unjudged}")
    for difference, count in sorted(check.accepted_differences.items()):
        print(f"different on purpose: {difference} ({count} times)")
    for finding, count in sorted(check.findings.items()):
        print(f"WRONG: {finding} ({count} times)")
    return 1 if check.findings else 0


if __name__ == "__main__":
    sys.exit(main())
