#!/usr/bin/env python3
"""Writes Sources/API/Schema/Tables from the published facts that scripts/schema/generate fetched.

Usage: table.py FACTS TABLES
  FACTS/definitions.json   OpenAPI definitions (PyPI kubernetes-validate): types, required, list and map types, patches
  FACTS/k8s.io/…/*.proto   protobuf names and numbers (Debian golang-k8s-api-dev, golang-k8s-apimachinery-dev)
  FACTS/k8s.io/…/*.go      which fields are pointers, and which are written though they are empty (the same packages)
  FACTS/apply.go           the apply schema of client-go (Debian golang-k8s-client-go-dev): defaults, and a second opinion
  apiextensions.numbers    beside this script: the numbers and pointers of the one group that no package carries
Every field must be told alike by all of them; what is not stops the script. Only names, numbers and types are taken.
"""
import json
import os
import re
import sys
import textwrap

import yaml

# Section of the table -> (its file, package of the .proto, OpenAPI prefix, API version, the kinds that are served).
K, M, X = "k8s.io/api/", "k8s.io/apimachinery/pkg/apis/", "k8s.io/apiextensions_apiserver/pkg/apis/"
SECTIONS = {
    "meta.v1": ("Meta", M + "meta/v1", "v1", "Status DeleteOptions WatchEvent ObjectMeta ListMeta"),
    "core.v1": ("Core", K + "core/v1", "v1",
                "Namespace Node Pod Service Endpoints ConfigMap Secret ServiceAccount Event PersistentVolume"
                " PersistentVolumeClaim ReplicationController ResourceQuota LimitRange PodTemplate Binding"),
    "apps.v1": ("Workloads", K + "apps/v1", "apps/v1", "Deployment ReplicaSet StatefulSet DaemonSet ControllerRevision"),
    "batch.v1": ("Workloads", K + "batch/v1", "batch/v1", "Job CronJob"),
    "autoscaling.v1": ("Workloads", K + "autoscaling/v1", "autoscaling/v1", "HorizontalPodAutoscaler Scale"),
    "autoscaling.v2": ("Workloads", K + "autoscaling/v2", "autoscaling/v2", "HorizontalPodAutoscaler"),
    "policy.v1": ("Workloads", K + "policy/v1", "policy/v1", "PodDisruptionBudget Eviction"),
    "scheduling.v1": ("Workloads", K + "scheduling/v1", "scheduling.k8s.io/v1", "PriorityClass"),
    "node.v1": ("Workloads", K + "node/v1", "node.k8s.io/v1", "RuntimeClass"),
    "networking.v1": ("Groups", K + "networking/v1", "networking.k8s.io/v1", "Ingress IngressClass NetworkPolicy"),
    "discovery.v1": ("Groups", K + "discovery/v1", "discovery.k8s.io/v1", "EndpointSlice"),
    "events.v1": ("Groups", K + "events/v1", "events.k8s.io/v1", "Event"),
    "coordination.v1": ("Groups", K + "coordination/v1", "coordination.k8s.io/v1", "Lease"),
    "storage.v1": ("Groups", K + "storage/v1", "storage.k8s.io/v1", "StorageClass VolumeAttachment CSIDriver CSINode"),
    "rbac.v1": ("Groups", K + "rbac/v1", "rbac.authorization.k8s.io/v1",
                "Role RoleBinding ClusterRole ClusterRoleBinding"),
    "certificates.v1": ("Groups", K + "certificates/v1", "certificates.k8s.io/v1", "CertificateSigningRequest"),
    "authentication.v1": ("Groups", K + "authentication/v1", "authentication.k8s.io/v1",
                          "TokenReview TokenRequest SelfSubjectReview"),
    "authorization.v1": ("Groups", K + "authorization/v1", "authorization.k8s.io/v1",
                         "SubjectAccessReview SelfSubjectAccessReview LocalSubjectAccessReview SelfSubjectRulesReview"),
    "apiextensions.v1": ("Groups", X + "apiextensions/v1", "apiextensions.k8s.io/v1", "CustomResourceDefinition"),
}
# Messages whose JSON is no object of their fields.
SPECIAL = {
    "k8s.io.apimachinery.pkg.api.resource.Quantity": "quantity",
    "k8s.io.apimachinery.pkg.util.intstr.IntOrString": "intOrString",
    "k8s.io.apimachinery.pkg.apis.meta.v1.Time": "time",
    "k8s.io.apimachinery.pkg.apis.meta.v1.MicroTime": "microTime",
    "k8s.io.apimachinery.pkg.apis.meta.v1.FieldsV1": "fieldsV1",
    "k8s.io.apimachinery.pkg.runtime.RawExtension": "rawExtension",
    "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.JSON": "json",
    "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray": "JSONSchemaProps|list",
    "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool": "JSONSchemaProps|bool",
    "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray": "JSONSchemaProps|strings",
}
SECTION_OF = {package.replace("/", "."): section for section, (_, package, _, _) in SECTIONS.items()}
HERE = os.path.dirname(os.path.abspath(__file__))


def definition_name(package_type):
    """k8s.io.api.core.v1.Pod -> io.k8s.api.core.v1.Pod, as OpenAPI names it."""
    assert package_type.startswith("k8s.io.")
    return "io.k8s." + package_type[len("k8s.io."):].replace("apiextensions_apiserver", "apiextensions-apiserver")


def strip(value):
    if isinstance(value, dict):
        return {k: strip(v) for k, v in value.items() if not (k == "description" and isinstance(v, str))}
    return [strip(v) for v in value] if isinstance(value, list) else value


class Facts:
    def __init__(self, folder):
        document = json.load(open(os.path.join(folder, "definitions.json")))
        self.definitions = strip(document["$defs"])
        text = open(os.path.join(folder, "apply.go")).read()
        types = yaml.load(text.split("typed.YAMLObject(`")[1].split("`)")[0], Loader=yaml.CSafeLoader)["types"]
        self.apply = {t["name"]: t for t in types}
        self.messages = {}
        self.go = {}  # message -> {JSON name: (is a pointer, is written though empty)}
        for section, (_, package, _, _) in SECTIONS.items():
            path = os.path.join(folder, package, "generated.proto")
            if section != "apiextensions.v1":
                self.read_proto(package.replace("/", "."), open(path).read())
                self.read_go(package.replace("/", "."), os.path.dirname(path))
        self.read_numbers(os.path.join(HERE, "apiextensions.numbers"))

    def read_proto(self, package, text):
        text = re.sub(r"//[^\n]*", "", text)
        for message in re.finditer(r"message (\w+) \{(.*?)\n\}", text, re.S):
            fields = []
            for field in re.finditer(
                    r"(optional|repeated|map)\s*(?:<string, ([\w.]+)>|([\w.]+)) (\w+) = (\d+);", message[2]):
                label, mapped, plain, name, number = field.groups()
                fields.append((name, int(number), label, self.resolve(package, mapped or plain)))
            assert len(fields) == message[2].count(" = "), message[0]
            self.messages[f"{package}.{message[1]}"] = fields

    def read_go(self, package, folder):
        for file in sorted(os.listdir(folder)):
            if not file.endswith(".go") or file.endswith("_test.go") or file.startswith(("generated", "zz_")):
                continue
            text = re.sub(r"//[^\n]*", "", open(os.path.join(folder, file)).read())
            for struct in re.finditer(r"\ntype (\w+) struct \{\n(.*?)\n\}", text, re.S):
                for kind, tag in re.findall(r"^\s+(?:\w+\s+)?(\S+)\s+`[^`]*json:\"([^\"]*)\"[^`]*`", struct[2], re.M):
                    name, *options = tag.split(",")
                    message = self.go.setdefault(f"{package}.{struct[1]}", {})
                    message[name] = (kind.startswith("*"), "omitempty" not in options)

    @staticmethod
    def resolve(package, name):
        if name in ("string", "bool", "int32", "int64", "double", "bytes"):
            return name
        name = name.lstrip(".")
        return name if "." in name else f"{package}.{name}"

    def read_numbers(self, path):
        """Kinds come from OpenAPI, by the rules of go-to-protobuf; only the numbers are in the file."""
        package = "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1"
        for line in open(path):
            if line.startswith("#") or not line.strip():
                continue
            name, *numbers = line.split()
            properties = self.definitions[definition_name(f"{package}.{name}")].get("properties", {})
            fields = []
            for entry in numbers:
                field, number = entry.rstrip("?").split("=")
                written = field in self.definitions[definition_name(f"{package}.{name}")].get("required", [])
                self.go.setdefault(f"{package}.{name}", {})[field] = (entry.endswith("?"), written)
                label, kind = self.openapi_kind(properties[field])
                fields.append((field, int(number), label, kind))
            self.messages[f"{package}.{name}"] = fields

    def openapi_kind(self, schema):
        if "$ref" in schema:
            name = schema["$ref"].split("/")[-1].replace("io.k8s.", "k8s.io.", 1)
            return "optional", name.replace("apiextensions-apiserver", "apiextensions_apiserver")
        if "allOf" in schema:
            return self.openapi_kind(schema["allOf"][0])
        kind = [t for t in as_list(schema["type"]) if t != "null"][0]
        if kind == "array":
            return "repeated", self.openapi_kind(schema["items"])[1]
        if kind == "object":
            return "map", self.openapi_kind(schema["additionalProperties"])[1]
        return "optional", {("string", "byte"): "bytes", ("integer", "int64"): "int64", ("integer", "int32"): "int32",
                            ("number", "double"): "double", ("boolean", None): "bool"}.get(
                                (kind, schema.get("format")), "string")


def as_list(value):
    return value if isinstance(value, list) else [value]


class Table:
    def __init__(self, facts):
        self.facts = facts
        self.lines = {}  # section -> {type: line}

    def fail(self, text):
        sys.exit(f"table.py: {text}")

    def add(self, message, outer=None, kind=False):
        """Adds the type `message`; `outer` is the definition that inlines it, where it has none of its own."""
        package, name = message.rsplit(".", 1)
        section = SECTION_OF.get(package) or self.fail(f"{message}: no section for {package}")
        lines = self.lines.setdefault(section, {})
        if name in lines:
            return
        lines[name] = None  # Types may contain themselves.
        definition = self.facts.definitions.get(definition_name(message)) or outer
        if definition is None:
            self.fail(f"{message} is in no OpenAPI definition")
        properties = dict(definition.get("properties", {}))
        applied = (self.facts.apply.get(definition_name(message)) or {}).get("map", {})
        fields, known = [], {"apiVersion", "kind"} if kind else set()
        for field, number, label, type_name in sorted(self.facts.messages[message], key=lambda f: f[1]):
            if field not in properties:  # go-to-protobuf lowers only the first letter of a Go name: aPIGroup.
                field = next((p for p in properties if p.lower() == field.lower()), field)
            if field in properties:
                known.add(field)
                required = field in definition.get("required", [])
                fields.append(self.field(section, message, field, number, label, type_name, properties[field], required,
                                         {f["name"]: f for f in applied.get("fields", [])}.get(field)))
            elif self.is_inlined(type_name, properties):
                known.update(f[0] for f in self.facts.messages[type_name])
                self.add(type_name, outer=definition)
                fields.append(f"+{self.reference(section, type_name)} {number}")
            else:
                self.fail(f"{message}.{field} is in protobuf but not in OpenAPI")
        if set(properties) - known and outer is not definition:
            self.fail(f"{message}: OpenAPI alone has {set(properties) - known}")
        atomic = definition.get("x-kubernetes-map-type") == "atomic" and outer is not definition
        if applied and (applied.get("elementRelationship") == "atomic") != atomic and outer is not definition:
            self.fail(f"{message}: atomic or not?")
        lines[name] = ("kind " if kind else "") + name + (" atomic" if atomic else "") + ": " + ", ".join(fields)

    def is_inlined(self, type_name, properties):
        fields = self.facts.messages.get(type_name, [])
        return bool(fields) and all(f[0] in properties or self.is_inlined(f[3], properties) for f in fields)

    def reference(self, section, message):
        """How the type is named in this section; adds it."""
        if message in SPECIAL:
            if "|" in SPECIAL[message]:
                self.add(message.rsplit(".", 1)[0] + ".JSONSchemaProps")
            return SPECIAL[message]
        if "." not in message:
            return message
        package, name = message.rsplit(".", 1)
        own = self.facts.messages[message]
        if definition_name(message) not in self.facts.definitions and [f[:3] for f in own] == [("items", 1, "repeated")]:
            return f"<{self.reference(section, own[0][3])}>"  # A list that protobuf wraps in a message of its own.
        if definition_name(message) in self.facts.definitions:
            self.add(message)
        return name if SECTION_OF.get(package) == section else f"{SECTION_OF.get(package)}.{name}"

    def field(self, section, message, name, number, label, type_name, schema, required, applied):
        element = self.reference(section, type_name)
        self.check_kind(message, name, label, type_name, schema)
        marks = ["!"] if required else []
        notation = element
        if label == "map":
            notation = "{" + element + "}" + ("atomic" if schema.get("x-kubernetes-map-type") == "atomic" else "")
        elif label == "repeated":
            notation = self.list(message, name, element, schema, applied)
        if applied and label == "map":
            atomic = applied["type"].get("map", {}).get("elementRelationship") == "atomic"
            if atomic != notation.endswith("atomic"):
                self.fail(f"{message}.{name}: atomic or not?")
        default = self.default(required, applied)
        if default is not None:
            marks.append("=" + default)
        marks += self.patch(message, name, schema)
        marks += self.zero(message, name, label, notation, required, default)
        return " ".join([name, str(number), notation] + marks)

    def check_kind(self, message, name, label, type_name, schema):
        """OpenAPI and protobuf must tell the same kind."""
        told = self.facts.openapi_kind(schema)
        if told == (label, type_name):
            return
        wrapped = self.facts.messages.get(type_name, [None])[0]
        if wrapped and wrapped[2] == "repeated":  # ExtraValue: a map of lists of strings.
            return
        self.fail(f"{message}.{name}: OpenAPI says {told}, protobuf {(label, type_name)}")

    def list(self, message, name, element, schema, applied):
        kind, keys = schema.get("x-kubernetes-list-type"), schema.get("x-kubernetes-list-map-keys", [])
        if kind is None and "merge" in schema.get("x-kubernetes-patch-strategy", ""):
            # As structured-merge-diff reads it.
            key = schema.get("x-kubernetes-patch-merge-key")
            kind, keys = ("map", [key]) if key else ("set", [])
        if applied:
            told = applied["type"]["list"]
            if (told["elementRelationship"] == "associative") != (kind in ("map", "set")):
                self.fail(f"{message}.{name}: {kind} or {told['elementRelationship']}?")
            if sorted(told.get("keys", [])) != sorted(keys if kind == "map" else []):
                self.fail(f"{message}.{name}: keys {keys} or {told.get('keys')}?")
        if kind == "map":
            return f"[{element}/{'+'.join(keys)}]"
        return f"[{element}]" + ("set" if kind == "set" else "")

    def default(self, required, applied):
        """The default's text; nothing where it is the zero of a required field, which goes without saying."""
        value = (applied or {}).get("default")
        if value is None or isinstance(value, (dict, list)) or (required and value in ("", 0, False)):
            return None
        return "" if value in ("", 0, False) else str(value)

    def zero(self, message, name, label, notation, required, default):
        """`?` for pointers: where zero is a value, and for objects, which are written though they are empty otherwise;
        `empty` for lists that are written though empty, but not required."""
        pointer, written = self.facts.go[message][name]
        scalar = label == "optional" and notation in ("string", "bool", "int32", "int64", "double")
        if required and not written:
            self.fail(f"{message}.{name}: required, but left out when empty")
        if written and not required and scalar and not pointer and default != "":
            self.fail(f"{message}.{name}: written when zero, but not required")
        is_object = label == "optional" and notation[0].isupper() or "." in notation
        return ["?"] * (pointer and (scalar or is_object and label == "optional")) + ["empty"] * (written and not required and label == "repeated")

    def patch(self, message, name, schema):
        strategy, key = schema.get("x-kubernetes-patch-strategy"), schema.get("x-kubernetes-patch-merge-key")
        if not strategy:
            if key:
                self.fail(f"{message}.{name}: a merge key without a strategy")
            return []
        marks = []
        for word in strategy.split(","):
            # A list of kind `map` merges by its first key unless it says otherwise; a set, by its elements.
            first = schema["x-kubernetes-list-map-keys"][0] if schema.get("x-kubernetes-list-type") == "map" else None
            marks.append(f"merge={key}" if word == "merge" and key != first else word)
        return marks


def main():
    facts, folder = Facts(sys.argv[1]), sys.argv[2]
    table = Table(facts)
    for section, (_, package, version, kinds) in SECTIONS.items():
        for name in kinds.split():
            message = f"{package.replace('/', '.')}.{name}"
            group, _, number = version.rpartition("/")
            told = facts.definitions[definition_name(message)].get("x-kubernetes-group-version-kind", [])
            table.add(message, kind={"group": group, "version": number, "kind": name} in told)
    files = {}
    for section, (file, _, version, _) in SECTIONS.items():
        files.setdefault(file, []).append((section, version))
    for file, sections in files.items():
        write(table, os.path.join(folder, f"{file}.swift"), file, sections)


def wrapped(line):
    """Lines of at most 114 characters that break between fields only."""
    unbroken = line.replace(" ", "\0").replace(",\0", ", ").replace(":\0", ": ", 1)
    lines = textwrap.wrap(unbroken, 114, subsequent_indent=" ", break_long_words=False, break_on_hyphens=False)
    return [line.replace("\0", " ") for line in lines]


def write(table, path, file, sections):
    lines = []
    for section, version in sections:
        lines.append(f"@{section} {version}")
        for name, line in sorted(table.lines[section].items()):
            lines += wrapped(line)
    parts = max(1, -(-len(lines) // 360))
    size = -(-len(lines) // parts)
    for part in range(parts):
        # A part starts with a type, and says its section again.
        start, end = part * size, (part + 1) * size
        while part > 0 and start < len(lines) and lines[start].startswith(" "):
            start += 1
        while end < len(lines) and lines[end].startswith(" "):
            end += 1
        chunk = lines[start:end]
        if part > 0 and not chunk[0].startswith("@"):
            chunk.insert(0, next(line for line in reversed(lines[:start]) if line.startswith("@")))
        suffix = str(part + 1) if parts > 1 else ""
        with open(path.replace(".swift", f"{suffix}.swift"), "w") as out:
            out.write("// Written by scripts/schema/generate from published packages: change the script, not this file.\n"
                      "// The notation is in TableReader.swift.\n\n"
                      f"let table{file}{suffix}: StaticString = \"\"\"\n")
            out.writelines(f"    {line}\n" for line in chunk)
            out.write("\n    \"\"\"\n")


main()
