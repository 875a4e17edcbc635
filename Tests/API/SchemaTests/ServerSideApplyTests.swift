import JSONTree
import Testing

@testable import Schema

/// An object under the eyes of server-side apply, as the API server holds it.
private struct Stored {
    let type: ObjectType
    let apply: ServerSideApply
    var object: JSONValue?
    var managed = ManagedFields()
    private var clock: Int64 = 0

    init(_ type: String, ignored: FieldSet = FieldSet()) throws {
        self.type = try #require(Schema.kubernetes.type(named: type))
        apply = ServerSideApply(type: self.type, ignored: ignored)
    }

    private mutating func now() -> Timestamp {
        clock += 1
        return Timestamp(seconds: clock)
    }

    mutating func update(_ text: String, as name: String, version: String = "v1", subresource: String = "") throws {
        let new = try type.read(try JSONValue.parse(text), completes: true).value
        let manager = FieldManager(name: name, operation: .update, apiVersion: version, subresource: subresource)
        managed = try apply.update(from: object, to: new, managed: managed, manager: manager, time: now())
        object = new
    }

    @discardableResult
    mutating func apply(_ text: String, as name: String, version: String = "v1", force: Bool = false) throws -> Bool {
        let outcome = try apply.apply(
            try JSONValue.parse(text), to: object, managed: managed,
            manager: FieldManager(name: name, operation: .apply, apiVersion: version), force: force, time: now())
        object = try type.read(outcome.object, completes: true).value
        managed = outcome.managed
        return outcome.isChanged
    }

    /// What somebody owns, as FieldsV1.
    func fields(_ name: String, _ operation: FieldManager.Operation = .apply) -> String? {
        managed.entries.first { $0.manager.name == name && $0.manager.operation == operation }?.fields.fieldsV1.text()
    }

    /// The message of the conflicts when `text` is applied.
    mutating func conflict(_ text: String, as name: String, version: String = "v1") -> FieldConflicts? {
        let error = #expect(throws: ServerSideApply.Failure.self) { try self.apply(text, as: name, version: version) }
        if case .conflicts(let conflicts)? = error { return conflicts }
        return nil
    }
}

private let configMap =
    #"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"test-cm","namespace":"default","labels":{"test-label":"test"}},"data":{"key":"some value"}}"#

@Suite("Server-side apply") struct ServerSideApplyTests {
    @Test("who applies owns what it said, and nothing of the server's own (the documentation's first example)")
    func applied() throws {
        var stored = try Stored("core.v1.ConfigMap")
        #expect(try stored.apply(configMap, as: "kubectl"))
        #expect(stored.fields("kubectl") == #"{"f:data":{"f:key":{}},"f:metadata":{"f:labels":{"f:test-label":{}}}}"#)
        #expect(stored.object == (try JSONValue.parse(configMap)))
        #expect(
            stored.managed.json == [
                [
                    "manager": "kubectl", "operation": "Apply", "apiVersion": "v1", "time": "1970-01-01T00:00:01Z",
                    "fieldsType": "FieldsV1",
                    "fieldsV1": ["f:data": ["f:key": [:]], "f:metadata": ["f:labels": ["f:test-label": [:]]]],
                ]
            ])
        #expect(try ManagedFields(stored.managed.json) == stored.managed)
    }

    @Test("an update takes fields from who applied them (the documentation's second example)")
    func updated() throws {
        var stored = try Stored("core.v1.ConfigMap")
        try stored.apply(configMap, as: "kubectl")
        try stored.update(
            configMap.replacing("some value", "new value"), as: "kube-controller-manager")
        #expect(stored.fields("kubectl") == #"{"f:metadata":{"f:labels":{"f:test-label":{}}}}"#)
        #expect(stored.fields("kube-controller-manager", .update) == #"{"f:data":{"f:key":{}}}"#)
        #expect(stored.managed.json.arrayValue?.compactMap { $0["operation"]?.stringValue } == ["Apply", "Update"])
    }

    @Test("what another owns is a conflict, unless it says the same or is forced")
    func conflicts() throws {
        var stored = try Stored("core.v1.ConfigMap")
        try stored.apply(configMap, as: "kubectl")
        let other = configMap.replacing("some value", "x")
        let conflict = stored.conflict(other, as: "other")
        #expect(conflict?.message == #"Apply failed with 1 conflict: conflict with "kubectl": .data.key"#)
        #expect(conflict?.conflicts.first?.message == #"conflict with "kubectl""#)
        // The same value: both own it.
        #expect(try stored.apply(configMap, as: "other") == false)
        #expect(stored.fields("other") == stored.fields("kubectl"))
        try stored.apply(other, as: "third", force: true)
        #expect(stored.object?["data"]?["key"] == "x")
        #expect(stored.fields("kubectl") == #"{"f:metadata":{"f:labels":{"f:test-label":{}}}}"#)
        #expect(stored.fields("third") == #"{"f:data":{"f:key":{}},"f:metadata":{"f:labels":{"f:test-label":{}}}}"#)
    }

    @Test("several conflicts are listed by manager")
    func manyConflicts() throws {
        var stored = try Stored("core.v1.ConfigMap")
        try stored.apply(#"{"data":{"a":"1","b":"1"}}"#, as: "one")
        try stored.update(#"{"data":{"a":"1","b":"1","c":"1"}}"#, as: "two", subresource: "status")
        #expect(
            stored.conflict(#"{"data":{"a":"2","b":"2","c":"2"}}"#, as: "three")?.message == """
                Apply failed with 3 conflicts: conflicts with "one":
                - .data.a
                - .data.b
                conflicts with "two" with subresource "status" using v1:
                - .data.c
                """)
    }

    @Test("what is no longer applied goes, unless somebody else owns it")
    func removal() throws {
        var stored = try Stored("core.v1.ConfigMap")
        try stored.apply(#"{"metadata":{"labels":{"x":"1"}},"data":{"a":"1","b":"2","c":"3"}}"#, as: "one")
        try stored.apply(#"{"data":{"b":"2"}}"#, as: "two")
        #expect(try stored.apply(#"{"data":{"c":"3"}}"#, as: "one"))
        #expect(stored.object == ["metadata": [:], "data": ["b": "2", "c": "3"]])
        #expect(stored.fields("one") == #"{"f:data":{"f:c":{}}}"#)
        try stored.apply("{}", as: "one")
        #expect(stored.object?["data"] == ["b": "2"])
        #expect(stored.fields("one") == nil)
    }

    @Test("what an update added beside stays when the applier leaves")
    func updatersStay() throws {
        var stored = try Stored("core.v1.Pod")
        try stored.apply(#"{"spec":{"containers":[{"name":"a","image":"1"},{"name":"b","image":"1"}]}}"#, as: "one")
        try stored.update(
            #"{"spec":{"containers":[{"name":"a","image":"1"},{"name":"b","image":"1","tty":true},{"name":"s","image":"x"}]}}"#,
            as: "injector")
        try stored.apply(#"{"spec":{"containers":[{"name":"a","image":"1"}]}}"#, as: "one")
        #expect(
            stored.object?["spec"]?["containers"] == [
                ["name": "a", "image": "1", "resources": [:]], ["name": "s", "image": "x", "resources": [:]],
            ])
    }

    @Test("replicas are handed over to an autoscaler (the documentation's transfer of ownership)")
    func transfer() throws {
        func deployment(_ replicas: String) -> String {
            #"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d"},"spec":{\#(replicas)"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"nginx","image":"nginx:1.14.2"}]}}}}"#
        }
        var stored = try Stored("apps.v1.Deployment", ignored: FieldSet([FieldPath(fields: "status")]))
        try stored.apply(deployment(#""replicas":3,"#), as: "user", version: "apps/v1")
        try stored.update(
            try #require(stored.object).text().replacing(#""replicas":3"#, #""replicas":5"#), as: "autoscaler",
            version: "apps/v1")
        #expect(
            stored.conflict(deployment(#""replicas":3,"#), as: "user", version: "apps/v1")?.message
                == #"Apply failed with 1 conflict: conflict with "autoscaler" using apps/v1: .spec.replicas"#)
        try stored.apply(deployment(""), as: "user", version: "apps/v1")
        #expect(stored.object?["spec"]?["replicas"] == 5)
        #expect(stored.fields("autoscaler", .update) == #"{"f:spec":{"f:replicas":{}}}"#)
    }

    @Test("a creation owns what it filled in, as kubectl shows it")
    func created() throws {
        var stored = try Stored("apps.v1.Deployment", ignored: FieldSet([FieldPath(fields: "status")]))
        try stored.update(
            #"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d","uid":"u","labels":{"app":"x"}},"spec":{"replicas":1,"selector":{"matchLabels":{"app":"x"}},"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":1}},"template":{"metadata":{"labels":{"app":"x"}},"spec":{"containers":[{"name":"nginx","image":"i","ports":[{"containerPort":80}]}]}}},"status":{"replicas":1}}"#,
            as: "kubectl-create", version: "apps/v1")
        let expected = try JSONValue.parse(
            #"{"f:metadata":{"f:labels":{".":{},"f:app":{}}},"f:spec":{"f:replicas":{},"f:selector":{},"f:strategy":{"f:rollingUpdate":{".":{},"f:maxSurge":{}},"f:type":{}},"f:template":{"f:metadata":{"f:labels":{".":{},"f:app":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"nginx\"}":{".":{},"f:image":{},"f:name":{},"f:ports":{".":{},"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{},"f:protocol":{}}},"f:resources":{}}}}}}}"#
        )
        #expect(stored.fields("kubectl-create", .update) == expected.text())
    }

    @Test("ports of one number but two protocols are two, and TCP is meant where none is said")
    func keysWithDefaults() throws {
        var stored = try Stored("core.v1.Service")
        try stored.apply(#"{"spec":{"ports":[{"port":53,"targetPort":1},{"port":53,"protocol":"UDP"}]}}"#, as: "one")
        try stored.apply(#"{"spec":{"ports":[{"port":53,"protocol":"TCP","name":"dns"}]}}"#, as: "two")
        #expect(
            stored.object?["spec"]?["ports"] == [
                ["port": 53, "targetPort": 1, "protocol": "TCP", "name": "dns"], ["port": 53, "protocol": "UDP"],
            ])
    }

    @Test("sets and atomic lists: finalizers are shared, arguments are one")
    func lists() throws {
        var stored = try Stored("core.v1.Pod")
        try stored.apply(
            #"{"metadata":{"finalizers":["a"]},"spec":{"containers":[{"name":"c","args":["1"]}]}}"#, as: "one")
        try stored.apply(#"{"metadata":{"finalizers":["b"]}}"#, as: "two")
        #expect(stored.object?["metadata"]?["finalizers"] == ["a", "b"])
        #expect(
            stored.conflict(#"{"spec":{"containers":[{"name":"c","args":["1","2"]}]}}"#, as: "two")?.message
                == #"Apply failed with 1 conflict: conflict with "one": .spec.containers[name="c"].args"#)
        try stored.apply(#"{"spec":{"containers":[{"name":"c","args":["1"]}]}}"#, as: "one")
        #expect(stored.object?["metadata"]?["finalizers"] == ["b"])
    }

    @Test(
        "the order of elements: the configuration's, with the object's own where they were",
        arguments: [
            (["a", "b", "c"], ["c", "b", "a"], ["c", "b", "a"]), (["a", "s", "b"], ["b", "a"], ["s", "b", "a"]),
            (["a", "b"], ["x", "a", "y", "b", "z"], ["x", "a", "y", "b", "z"]),
            (["s", "a", "t"], ["a", "n"], ["s", "a", "t", "n"]), ([], ["a"], ["a"]), (["a"], [], ["a"]),
        ] as [([String], [String], [String])])
    func order(live: [String], config: [String], expected: [String]) throws {
        func containers(_ names: [String]) -> JSONValue {
            ["spec": ["containers": .array(names.map { ["name": .string($0)] })]]
        }
        let type = try #require(Schema.kubernetes.type(named: "core.v1.Pod"))
        let merged = try TypedMerge.merge(containers(config), into: containers(live), type: type)
        let names = merged["spec"]?["containers"]?.arrayValue?.compactMap { $0["name"]?.stringValue }
        #expect(names == expected)
    }

    @Test("applying the same again changes nothing, not even the time")
    func noChange() throws {
        var stored = try Stored("core.v1.ConfigMap")
        try stored.apply(configMap, as: "kubectl")
        let before = stored
        #expect(try stored.apply(configMap, as: "kubectl") == false)
        #expect(stored.object == before.object && stored.managed == before.managed)
    }

    @Test("an object that nobody tracked is first remembered as it was")
    func beforeFirstApply() throws {
        var stored = try Stored("core.v1.ConfigMap")
        stored.object = ["data": ["a": "1"], "metadata": [:]]
        try stored.update(#"{"data":{"a":"2"}}"#, as: "someone")
        #expect(stored.managed.entries.isEmpty)
        #expect(
            stored.conflict(#"{"data":{"a":"3"}}"#, as: "one")?.message
                == #"Apply failed with 1 conflict: conflict with "before-first-apply" using v1: .data.a"#)
    }

    @Test("the version in which one applies may change")
    func versions() throws {
        var stored = try Stored("core.v1.ConfigMap")
        try stored.apply(#"{"data":{"a":"1"}}"#, as: "one", version: "v1beta1")
        try stored.apply(#"{"data":{"b":"1"}}"#, as: "one", version: "v1")
        #expect(stored.managed.entries.count == 1)
        #expect(stored.managed.entries.first?.manager.apiVersion == "v1")
        #expect(stored.object?["data"] == ["b": "1"])
    }

    @Test("managers that own nothing are forgotten, and the oldest updaters of too many become one")
    func forgetting() throws {
        var stored = try Stored("core.v1.ConfigMap")
        var members: [String] = []
        for index in 0..<14 {
            members.append("\"k\(index)\":\"v\"")
            try stored.update("{\"data\":{\(members.joined(separator: ","))}}", as: "m\(index)")
        }
        #expect(stored.managed.entries.count == 10)
        #expect(
            stored.fields("ancient-changes", .update)
                == #"{"f:data":{".":{},"f:k0":{},"f:k1":{},"f:k2":{},"f:k3":{},"f:k4":{}}}"#)
        try stored.update("{}", as: "last")
        #expect(stored.managed.entries.isEmpty)
    }

    @Test("an element of which nothing is left but that it is there keeps its keys")
    func emptied() throws {
        let type = try #require(Schema.kubernetes.type(named: "core.v1.Pod"))
        let name = FieldPath([
            .field("spec"), .field("containers"), .key([PathElement.Key("name", "a")]), .field("name"),
        ])
        let removed = try TypedMerge.removing(
            FieldSet([name]), from: ["spec": ["containers": [["name": "a"]]]], type: type)
        #expect(removed == ["spec": ["containers": [["name": "a"]]]])
    }

    @Test("a configuration with unknown fields is refused")
    func unknown() throws {
        let stored = try Stored("core.v1.ConfigMap")
        #expect(
            throws: ServerSideApply.Failure.invalid(
                ApplyError(FieldPath(fields: "foo"), "field not declared in schema"))
        ) {
            var stored = stored
            try stored.apply(#"{"foo":1}"#, as: "one")
        }
    }

    @Test("a client may clear all ownership")
    func reset() {
        #expect(ManagedFields.isReset([[:]]) && ManagedFields.isReset([]))
        #expect(!ManagedFields.isReset(nil) && !ManagedFields.isReset([["manager": "x"]]))
    }

    @Test(
        "entries that are none are refused",
        arguments: [
            #"{}"#, #"[{"operation":"Jump"}]"#, #"[{"operation":"Apply","fieldsType":"FieldsV2"}]"#,
            #"[{"operation":"Apply","fieldsV1":[]}]"#,
        ])
    func malformed(text: String) throws {
        #expect(throws: FieldSetError.self) { try ManagedFields(try JSONValue.parse(text)) }
    }
}

extension String {
    fileprivate func replacing(_ old: String, _ new: String) -> String {
        guard let range = firstRange(of: old) else { return self }
        return String(self[..<range.lowerBound]) + new + String(self[range.upperBound...])
    }
}
