import JSONTree
import Testing

@testable import Schema

/// What reading `text` as a Pod finds.
private func findings(_ text: String, _ type: String = "core.v1.Pod") throws -> [String] {
    let type = try #require(Schema.kubernetes.type(named: type))
    return try type.read(json: Array(text.utf8)).findings.map(\.description)
}

private func value(_ text: String, _ type: String = "core.v1.Pod", completes: Bool = false) throws -> JSONValue {
    let type = try #require(Schema.kubernetes.type(named: type))
    return try type.read(json: Array(text.utf8), completes: completes).value
}

@Suite("Objects are read as the API server reads them") struct ObjectReadingTests {
    @Test("unknown and duplicate fields are told in the order of the text, each once")
    func findingsInOrder() throws {
        // The shape of Kubernetes' own test of field validation.
        let text = """
            {"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a","labels":{"app":"x","app":"y"}},
            "spec":{"unknown1":"v","unknownDupe":"v","unknownDupe":"w","paused":false,"paused":true,
            "template":{"spec":{"containers":[{"name":"c","imagePullPolicy":"Always","imagePullPolicy":"Never",
            "unknownNested":1}]}}}}
            """
        #expect(
            try findings(text, "apps.v1.Deployment") == [
                #"duplicate field "metadata.labels.app""#, #"unknown field "spec.unknown1""#,
                #"unknown field "spec.unknownDupe""#, #"duplicate field "spec.paused""#,
                #"duplicate field "spec.template.spec.containers[0].imagePullPolicy""#,
                #"unknown field "spec.template.spec.containers[0].unknownNested""#,
            ])
        let read = try value(text, "apps.v1.Deployment")
        #expect(read["spec"]?["paused"] == true)
        #expect(read["spec"]?["unknown1"] == nil)
        #expect(read["spec"]?["template"]?["spec"]?["containers"]?[0] == ["name": "c", "imagePullPolicy": "Never"])
    }

    @Test("the whole complaint, as kubectl shows it")
    func strictError() {
        let path = JSONPath([.field("spec"), .field("a")])
        #expect(
            FieldFinding.strictError([.unknown(path), .duplicate(path.index(0).field("b"))])
                == #"strict decoding error: unknown field "spec.a", duplicate field "spec.a[0].b""#)
        #expect(FieldFinding.strictError([]) == nil)
    }

    @Test("a sound object stays as it is, to the order of its members")
    func sound() throws {
        let text = #"{"spec":{"containers":[{"image":"i","name":"c"}]},"kind":"Pod"}"#
        #expect(try value(text).text() == text)
    }

    @Test("null is absent, and in lists and maps it is zero")
    func null() throws {
        #expect(
            try value(#"{"metadata":{"creationTimestamp":null,"labels":{"a":null}},"spec":null}"#)
                == ["metadata": ["labels": ["a": ""]]])
        #expect(
            try value(#"{"spec":{"containers":[null,{"args":[null,"x"]}]}}"#)
                == ["spec": ["containers": [[:], ["args": ["", "x"]]]]])
    }

    @Test("zero is left out where it says nothing, and stays where it is a value")
    func zero() throws {
        let text = """
            {"metadata":{"labels":{},"finalizers":[],"name":""},"spec":{"hostNetwork":false,"hostUsers":false,
            "terminationGracePeriodSeconds":0,"nodeName":"","securityContext":{},"volumes":[],"containers":[
            {"name":"","command":[],"resources":{},"ports":[{"containerPort":0,"hostPort":0}]}]}}
            """
        #expect(
            try value(text) == [
                "metadata": [:],
                "spec": [
                    "hostUsers": false, "terminationGracePeriodSeconds": 0, "securityContext": [:],
                    "containers": [["name": "", "resources": [:], "ports": [["containerPort": 0]]]],
                ],
            ])
        #expect(try value(#"{"rules":[]}"#, "rbac.v1.Role") == ["rules": []])
    }

    @Test("amounts become strings, times UTC")
    func scalars() throws {
        #expect(
            try value(#"{"spec":{"overhead":{"cpu":2,"memory":1.5,"x":"1Gi"}}}"#)["spec"]?["overhead"]
                == ["cpu": "2", "memory": "1.5", "x": "1Gi"])
        #expect(
            try value(#"{"metadata":{"deletionTimestamp":"2024-05-06T09:08:09.5+02:00"}}"#)["metadata"]
                == ["deletionTimestamp": "2024-05-06T07:08:09Z"])
        #expect(
            try value(#"{"spec":{"renewTime":"2024-05-06T07:08:09.12Z"}}"#, "coordination.v1.Lease")["spec"]
                == ["renewTime": "2024-05-06T07:08:09.120000Z"])
    }

    @Test("objects and required scalars that Go writes always are filled in, those behind pointers are not")
    func completion() throws {
        #expect(
            try value(#"{"spec":{"strategy":null}}"#, "apps.v1.Deployment", completes: true) == [
                "metadata": [:],
                "spec": ["strategy": [:], "template": ["metadata": [:], "spec": [:]]], "status": [:],
            ])
        #expect(
            try value("{}", "apps.v1.ReplicaSet", completes: true)["status"] == ["replicas": 0])
        let schema = try #require(Schema.kubernetes.type(named: "apiextensions.v1.JSONSchemaProps"))
        #expect(schema.zero == [:])
        // So that reading what was read changes nothing.
        let pod = try value(
            #"{"spec":{"containers":[null,{"name":"c","ports":[{"containerPort":1,"protocol":""}]}]}}"#, completes: true
        )
        #expect(pod["spec"]?["containers"]?[0] == ["name": "", "resources": [:]])
        #expect(pod["spec"]?["containers"]?[1]?["ports"] == [["containerPort": 1, "protocol": "TCP"]])
    }

    @Test("defaults are filled in where the table has one that is not zero")
    func defaults() throws {
        let text = #"{"spec":{"containers":[{"name":"c","ports":[{"containerPort":80},{"protocol":"UDP"}]}]}}"#
        #expect(
            try value(text, completes: true)["spec"]?["containers"]?[0]?["ports"]
                == [["containerPort": 80, "protocol": "TCP"], ["protocol": "UDP", "containerPort": 0]])
        #expect(try value(text).text() == text)
    }

    @Test(
        "values of a wrong type refuse the object, with the place",
        arguments: [
            (#"{"spec":{"containers":{}}}"#, "spec.containers: expected a list, got an object"),
            (#"{"spec":{"hostNetwork":"true"}}"#, "spec.hostNetwork: expected a boolean (true or false), got a string"),
            (#"{"metadata":{"labels":{"a":1}}}"#, "metadata.labels[a]: expected a string, got an integer"),
            (#"{"spec":{"priority":2147483648}}"#, "spec.priority: expected a 32-bit integer, got 2147483648"),
            (#"{"spec":{"priority":1.0}}"#, "spec.priority: expected an integer, got a number"),
            (#"{"spec":{"containers":["c"]}}"#, "spec.containers[0]: expected an object, got a string"),
            (
                #"{"metadata":{"deletionTimestamp":"yesterday"}}"#,
                "metadata.deletionTimestamp: expected a time such as 2024-05-06T07:08:09Z (RFC 3339)"
            ),
            (#"[]"#, "expected an object, got a list"),
            (#"{"a":1"#, "line 1, column 7: expected \",\" or \"}\", but the text ends"),
        ])
    func wrongTypes(text: String, expected: String) throws {
        let type = try #require(Schema.kubernetes.type(named: "core.v1.Pod"))
        let error = #expect(throws: ReadError.self) { try type.read(json: Array(text.utf8)) }
        #expect(error?.description == expected)
    }

    @Test("data of Secrets must be base64")
    func base64() throws {
        #expect(try value(#"{"data":{"a":"aGk=","b":""}}"#, "core.v1.Secret")["data"] == ["a": "aGk=", "b": ""])
        for bad in ["aGk", "aG=k", "a*==", "===="] {
            #expect(throws: ReadError.self) { try value(#"{"data":{"a":"\#(bad)"}}"#, "core.v1.Secret") }
        }
    }

    @Test("schemas of custom resources may be an object or something else")
    func either() throws {
        let schema =
            #"{"items":[{"type":"x"}],"additionalProperties":true,"dependencies":{"a":["b"],"c":{"type":"y"}}}"#
        #expect(try value(schema, "apiextensions.v1.JSONSchemaProps").text() == schema)
        #expect(
            try findings(#"{"items":{"tipe":"x"}}"#, "apiextensions.v1.JSONSchemaProps") == [
                #"unknown field "items.tipe""#
            ])
        #expect(throws: ReadError.self) {
            try value(#"{"additionalProperties":[]}"#, "apiextensions.v1.JSONSchemaProps")
        }
    }

    @Test("a custom type may keep what it does not know")
    func keeping() throws {
        let inner = ObjectType(name: "inner", fields: [Field(name: "a", kind: .string)], unknownFields: .kept)
        let outer = ObjectType(
            name: "outer", fields: [Field(name: "i", kind: .object(TypeReference(inner)))], unknownFields: .pruned)
        let read = try outer.read(["i": ["a": "x", "b": .null], "c": 1])
        #expect(read.value == ["i": ["a": "x", "b": .null]])
        #expect(read.findings.map(\.description) == [#"unknown field "c""#])
    }

    @Test("a flood of unknown fields is told in part")
    func flood() throws {
        let members = (0..<5000).map { "\"x\($0)\":1" }.joined(separator: ",")
        #expect(try findings("{\(members)}").count == ObjectType.maximumFindings)
    }
}

@Suite("Times") struct TimestampTests {
    @Test(
        "RFC 3339 is read and written",
        arguments: [
            ("1970-01-01T00:00:00Z", 0, 0, "1970-01-01T00:00:00Z"),
            ("2024-02-29T23:59:59Z", 1_709_251_199, 0, "2024-02-29T23:59:59Z"),
            ("2000-03-01T00:00:00.000000001Z", 951_868_800, 1, "2000-03-01T00:00:00Z"),
            ("1969-12-31T23:59:59-01:30", 5399, 0, "1970-01-01T01:29:59Z"),
            ("0001-01-01T00:00:00Z", -62_135_596_800, 0, "0001-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59.999999999999Z", 253_402_300_799, 999_999_999, "9999-12-31T23:59:59Z"),
        ] as [(String, Int64, Int32, String)])
    func round(text: String, seconds: Int64, nanoseconds: Int32, written: String) {
        let time = Timestamp(text)
        #expect(time == Timestamp(seconds: seconds, nanoseconds: nanoseconds))
        #expect(time?.text == written)
    }

    @Test("microseconds have six digits")
    func micro() {
        #expect(Timestamp(seconds: 1, nanoseconds: 1_999).microText == "1970-01-01T00:00:01.000001Z")
    }

    @Test(
        "what is no RFC 3339 is refused",
        arguments: [
            "", "2024-01-01", "2024-13-01T00:00:00Z", "2023-02-29T00:00:00Z", "2024-01-01T24:00:00Z",
            "2024-01-01T00:00:00", "2024-01-01T00:00:00.Z", "2024-01-01T00:00:00+2:00", "2024-01-01 00:00:00Z",
            "2024-01-01T00:00:00ZZ",
        ])
    func refused(text: String) { #expect(Timestamp(text) == nil) }
}
