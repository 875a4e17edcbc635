import JSONTree
import Testing

@testable import Schema

private func fixture(_ name: String) throws -> [UInt8] {
    try #require(protobufFixtures[name].flatMap(bytes(ofBase64:)))
}

/// Reads base64, for fixtures.
func bytes(ofBase64 text: String) -> [UInt8]? {
    let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var bytes: [UInt8] = []
    var buffer = 0
    var bits = 0
    for byte in text.utf8 where byte != UInt8(ascii: "=") {
        guard let digit = digits.firstIndex(of: byte) else { return nil }
        buffer = (buffer << 6 | digit) & 0xFFFF
        bits += 6
        if bits >= 8 {
            bits -= 8
            bytes.append(UInt8(truncatingIfNeeded: buffer >> bits))
        }
    }
    return bytes
}

@Suite("Protobuf is read by the table") struct ProtobufTests {
    @Test("a Deployment: zeros of pointers stay, others say nothing, structs stay though empty")
    func deployment() throws {
        #expect(
            try ProtobufObject.read(try fixture("deployment")) == [
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": ["name": "web", "labels": ["app": "web"]],
                "spec": [
                    "replicas": 0, "selector": ["matchLabels": ["app": "web"]],
                    "template": [
                        "metadata": ["labels": ["app": "web"]],
                        "spec": ["containers": [["name": "c", "image": "i", "resources": [:]]]],
                    ],
                    "strategy": ["rollingUpdate": ["maxSurge": "25%", "maxUnavailable": 0]],
                ],
                "status": [:],
            ])
    }

    @Test("a Pod: inlined types, amounts, times, field sets, negative and large numbers")
    func pod() throws {
        #expect(
            try ProtobufObject.read(try fixture("pod")) == [
                "apiVersion": "v1", "kind": "Pod",
                "metadata": [
                    "name": "p", "finalizers": ["a/b"], "deletionTimestamp": "2024-05-06T07:08:09Z",
                    "deletionGracePeriodSeconds": 0,
                    "ownerReferences": [
                        ["kind": "K", "name": "o", "uid": "u", "apiVersion": "v1", "controller": false]
                    ],
                    "managedFields": [
                        [
                            "manager": "m", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
                            "time": "2024-05-06T07:08:09Z", "fieldsV1": ["f:spec": ["f:hostNetwork": [:]]],
                        ]
                    ],
                ],
                "spec": [
                    "volumes": [
                        ["name": "v", "emptyDir": ["sizeLimit": "1Gi"]],
                        ["name": "s", "secret": ["secretName": "x", "defaultMode": 256]],
                    ],
                    "containers": [
                        [
                            "name": "c", "image": "i",
                            "env": [
                                [
                                    "name": "E",
                                    "valueFrom": ["secretKeyRef": ["name": "x", "key": "k", "optional": false]],
                                ]
                            ],
                            "resources": ["limits": ["cpu": "500m", "memory": "64Mi"]],
                            "livenessProbe": [
                                "httpGet": ["path": "/", "port": "http"], "initialDelaySeconds": 3,
                            ],
                            "ports": [["containerPort": 80]],
                        ]
                    ],
                    "securityContext": ["runAsUser": 0, "supplementalGroups": [1, -1, 1_099_511_627_776]],
                    "terminationGracePeriodSeconds": 0, "priority": -5, "hostNetwork": true,
                ],
                "status": [:],
            ])
    }

    @Test("bytes, microseconds, raw objects, wrapped lists")
    func others() throws {
        #expect(
            try ProtobufObject.read(try fixture("configmap")) == [
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": "c"],
                "data": ["k": "v\né", "empty": ""], "binaryData": ["b": "AP8Q"], "immutable": false,
            ])
        #expect(
            try ProtobufObject.read(try fixture("lease"))["spec"] == [
                "holderIdentity": "h", "leaseDurationSeconds": 40, "renewTime": "2024-05-06T07:08:09.123456Z",
            ])
        #expect(
            try ProtobufObject.read(try fixture("revision")) == [
                "apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": ["name": "r"],
                "data": ["spec": ["x": [1, .number("2.5"), .null]]], "revision": 0,
            ])
        let review = try ProtobufObject.read(try fixture("review"))
        #expect(
            review["spec"] == [
                "user": "u", "groups": ["g"], "extra": ["scopes": ["a", "b"], "none": []],
                "resourceAttributes": ["verb": "get", "resource": "pods"],
            ])
        #expect(review["status"] == ["allowed": false])
    }

    @Test("a custom resource's definition: what is an object or something else, any JSON")
    func definition() throws {
        let object = try ProtobufObject.read(try fixture("crd"))
        #expect(
            object["spec"]?["versions"]?[0]?["schema"]?["openAPIV3Schema"] == [
                "type": "object", "minimum": 0, "maximum": .number("2.5"), "default": ["a": 1], "enum": ["x", .null],
                "items": [["type": "a"], ["type": "b"]],
                "properties": [
                    "p": ["type": "string", "items": ["type": "c"], "x-kubernetes-preserve-unknown-fields": true]
                ],
                "additionalProperties": false, "dependencies": ["d": ["e"]],
            ])
    }

    @Test(
        "what protobuf gives, JSON gives: reading it again changes nothing", arguments: protobufFixtures.keys.sorted())
    func sameAsJSON(name: String) throws {
        let object = try ProtobufObject.read(try fixture(name))
        let version = try #require(object["apiVersion"]?.stringValue)
        let kind = try #require(object["kind"]?.stringValue)
        let type = try #require(Schema.kubernetes.type(apiVersion: version, kind: kind))
        let read = try type.read(object)
        #expect(read.value == object && read.findings.isEmpty)
    }

    @Test(
        "every cut of a message is refused or read, and nothing else happens", arguments: protobufFixtures.keys.sorted()
    )
    func cuts(name: String) throws {
        let bytes = try fixture(name)
        for count in 0..<bytes.count { _ = try? ProtobufObject.read(Array(bytes[..<count])) }
        for index in bytes.indices {
            for mask: UInt8 in [0x01, 0x08, 0x80, 0xFF] {
                var changed = bytes
                changed[index] ^= mask
                _ = try? ProtobufObject.read(changed)
            }
        }
    }

    @Test(
        "what is no object is refused, with a reason",
        arguments: [
            ([], "byte 0: the bytes do not start with \"k8s\\0\""),
            (ProtobufObject.magic, "byte 4: no kind \"\" is registered for version \"\""),
            (ProtobufObject.magic + [0x1A, 1, 0x78], "byte 4: content encoding \"x\" is not supported"),
            (ProtobufObject.magic + [0x22, 1, 0x78], "byte 4: content type \"x\" is not supported"),
            (ProtobufObject.magic + [0x0A, 5, 0], "byte 6: the message ends within a field"),
            (ProtobufObject.magic + [0x00], "byte 4: illegal field tag"),
            (ProtobufObject.magic + [0x0B], "byte 5: groups are not used in Kubernetes"),
        ] as [([UInt8], String)])
    func refused(bytes: [UInt8], reason: String) {
        let error = #expect(throws: ProtobufError.self) { try ProtobufObject.read(bytes) }
        #expect(error?.description == reason)
    }

    @Test(
        "messages that do not fit their type",
        arguments: [
            ("core.v1.PodSpec", [0x10, 1], "byte 1: wrong wire type 0 for field 2 of PodSpec"),
            ("core.v1.PodSpec", [0x5A, 0], "byte 1: wrong wire type 2 for field 11 of PodSpec"),
            ("core.v1.PodSpec", [0xFF], "byte 1: the message ends within a field"),
            ("meta.v1.Condition", [0x22, 2, 0x10, 0x80], "byte 4: the message ends within a field"),
            (
                "meta.v1.Condition", [0x22, 7, 0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F],
                "byte 2: a time that RFC 3339 cannot say"
            ),
            (
                "apps.v1.ControllerRevision", [0x12, 4, 0x0A, 2, 0x7B, 0x78],
                "byte 5: line 1, column 2: expected a key in quotes, found \"x\""
            ),
        ] as [(String, [UInt8], String)])
    func misfits(type: String, bytes: [UInt8], reason: String) throws {
        let type = try #require(Schema.kubernetes.type(named: type))
        let error = #expect(throws: ProtobufError.self) { try ProtobufObject.read(message: bytes, as: type) }
        #expect(error?.description == reason)
    }

    @Test("a message of a JSON object, as dynamic clients may send it")
    func jsonInside() throws {
        let raw = Array(#"{"kind":"X"}"#.utf8)
        let bytes =
            ProtobufObject.magic + [0x12, UInt8(raw.count)] + raw + [0x22, 16] + Array("application/json".utf8)
        #expect(try ProtobufObject.read(bytes) == ["kind": "X"])
    }

    @Test("nesting has a bound")
    func depth() throws {
        // JSONSchemaProps.not is field 28 and a JSONSchemaProps again.
        var message: [UInt8] = []
        for _ in 0..<200 {
            var length = message.count
            var head: [UInt8] = [0xE2, 0x01]
            while length >= 0x80 {
                head.append(UInt8(length & 0x7F) | 0x80)
                length >>= 7
            }
            message = head + [UInt8(length)] + message
        }
        let type = try #require(Schema.kubernetes.type(named: "apiextensions.v1.JSONSchemaProps"))
        let error = #expect(throws: ProtobufError.self) { try ProtobufObject.read(message: message, as: type) }
        #expect(error?.message == "nested deeper than 100 levels")
    }

    @Test("a flood of empty values has a bound, and lists that take turns cost linear time")
    func flood() throws {
        let spec = try #require(Schema.kubernetes.type(named: "core.v1.PodSpec"))
        let turns = [[UInt8]](repeating: [0x0A, 0, 0x12, 0], count: 100_000).flatMap { $0 }
        let object = try ProtobufObject.read(message: turns, as: spec)
        #expect(object["volumes"]?.arrayValue?.count == 100_000)
        #expect(object["containers"]?.arrayValue?.count == 100_000)
        let flood = [[UInt8]](repeating: [0x0A, 0], count: 600_000).flatMap { $0 }
        let error = #expect(throws: ProtobufError.self) { try ProtobufObject.read(message: flood, as: spec) }
        #expect(error?.message == "more than 500000 values")
    }

    @Test("maps with many keys cost linear time, and the last value of a key counts")
    func maps() throws {
        let type = try #require(Schema.kubernetes.type(named: "core.v1.ConfigMap"))
        var bytes: [UInt8] = []
        for index in 0..<60_000 {
            let key = Array(String(index % 50_000).utf8)
            bytes +=
                [0x12, UInt8(key.count) + 5, 0x0A, UInt8(key.count)] + key + [0x12, 1, index < 50_000 ? 0x61 : 0x62]
        }
        let data = try ProtobufObject.read(message: bytes, as: type)["data"]?.objectValue
        #expect(data?.count == 50_000)
        #expect(data?["0"] == "b" && data?["10000"] == "a")
    }
}
