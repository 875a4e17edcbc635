import JSONTree
import Testing

@testable import Schema

private func set(_ text: String) throws -> FieldSet { try FieldSet(fieldsV1: try JSONValue.parse(text)) }

private func paths(_ set: FieldSet) -> [String] { set.paths.map(\.description) }

private func fields(_ text: String, _ type: String) throws -> [String] {
    let type = try #require(Schema.kubernetes.type(named: type))
    return paths(try FieldSet(of: try JSONValue.parse(text), type: type))
}

@Suite("Sets of fields") struct FieldSetTests {
    @Test("FieldsV1 is read and written in order")
    func round() throws {
        let text =
            #"{"f:a":{},"f:b":{".":{},"f:c":{}},"f:l":{"k:{\"name\":\"x\",\"port\":80}":{".":{},"f:name":{}},"#
            + #""k:{\"name\":\"y\"}":{}},"f:s":{"v:1":{},"v:\"q\\\"\"":{}},"i:2":{}}"#
        #expect(try set(text).fieldsV1.text() == text)
        #expect(
            paths(try set(text)) == [
                ".a", ".b", ".b.c", #".l[name="x",port=80]"#, #".l[name="x",port=80].name"#, #".l[name="y"]"#, ".s[=1]",
                #".s[="q\""]"#, "[2]",
            ])
        let shuffled = #"{"i:2":{},"f:b":{"f:c":{},".":{}},"x:new":{},"f:a":{}}"#
        #expect(try set(shuffled).fieldsV1.text() == #"{"f:a":{},"f:b":{".":{},"f:c":{}},"i:2":{}}"#)
        #expect(try set("{}").isEmpty)
    }

    @Test(
        "what is no set is refused",
        arguments: ["[]", #"{"f:a":1}"#, #"{"k:{":{}}"#, #"{"k:{}":{}}"#, #"{"i:x":{}}"#, #"{"v:":{}}"#, #"{"a":{}}"#])
    func refused(text: String) throws {
        #expect(throws: FieldSetError.self) { try set(text) }
    }

    @Test("union, intersection, difference")
    func algebra() throws {
        let left = try set(#"{"f:a":{},"f:b":{".":{},"f:c":{},"f:d":{}},"f:e":{"f:f":{}}}"#)
        let right = try set(#"{"f:b":{"f:c":{},"f:x":{}},"f:e":{}}"#)
        #expect(paths(left.union(right)) == [".a", ".b", ".b.c", ".b.d", ".b.x", ".e", ".e.f"])
        #expect(paths(left.intersection(right)) == [".b.c"])
        #expect(paths(left.subtracting(right)) == [".a", ".b", ".b.d", ".e.f"])
        #expect(paths(left.subtractingRecursively(right)) == [".a", ".b", ".b.d"])
        #expect(left.subtracting(left).isEmpty)
        #expect(left.union(left) == left && left.intersection(left) == left)
        #expect(left.contains(FieldPath(fields: "b", "c")) && !left.contains(FieldPath(fields: "e")))
        #expect(FieldSet(left.paths.reversed()) == left)
    }

    @Test("the fields of an object: leaves, keys of maps, elements with the defaults of their keys")
    func extraction() throws {
        #expect(
            try fields(
                #"{"spec":{"containers":[{"name":"a","args":["x"],"ports":[{"containerPort":80}],"resources":{}}],"nodeSelector":{"k":"v"},"volumes":[]},"metadata":{"labels":{"l":"1"},"finalizers":["f"]}}"#,
                "core.v1.Pod") == [
                    #".metadata.finalizers[="f"]"#, ".metadata.labels.l", #".spec.containers[name="a"]"#,
                    #".spec.containers[name="a"].args"#, #".spec.containers[name="a"].name"#,
                    #".spec.containers[name="a"].ports[containerPort=80,protocol="TCP"]"#,
                    #".spec.containers[name="a"].ports[containerPort=80,protocol="TCP"].containerPort"#,
                    #".spec.containers[name="a"].resources"#, ".spec.nodeSelector",
                ])
        // Raw objects are deduced: objects by their members, lists as one.
        #expect(
            try fields(#"{"data":{"a":{"b":[1]},"c":null}}"#, "apps.v1.ControllerRevision") == [
                ".data.a", ".data.a.b", ".data.c",
            ])
    }

    @Test(
        "what cannot be owned",
        arguments: [
            (#"{"spec":{"foo":1}}"#, ".spec.foo: field not declared in schema"),
            (
                #"{"spec":{"containers":[{"name":"a"},{"name":"a"}]}}"#,
                #".spec.containers: duplicate entries for key [name="a"]"#
            ),
            (#"{"spec":{"containers":{}}}"#, ".spec.containers: expected a list, got an object"),
            (
                #"{"spec":{"containers":[null]}}"#,
                ".spec.containers: associative list with keys may not have a null element"
            ),
            (
                #"{"metadata":{"finalizers":[{}]}}"#,
                ".metadata.finalizers: associative list without keys has an element that's a map type"
            ),
            (#"{"metadata":{"finalizers":["a","a"]}}"#, #".metadata.finalizers: duplicate entries for key [="a"]"#),
        ])
    func unowned(text: String, message: String) throws {
        let error = #expect(throws: ApplyError.self) { try fields(text, "core.v1.Pod") }
        #expect(error?.description == message)
    }

    @Test("what changed between two objects")
    func comparison() throws {
        let type = try #require(Schema.kubernetes.type(named: "core.v1.Pod"))
        let changes = try FieldComparison(
            try JSONValue.parse(
                #"{"metadata":{"labels":{"a":"1","b":"2"}},"spec":{"containers":[{"name":"x","image":"1"},{"name":"y"}],"tolerations":[{}]}}"#
            ),
            try JSONValue.parse(
                #"{"metadata":{"labels":{"a":"2","c":"3"},"annotations":{"k":"v"}},"spec":{"containers":[{"name":"z"},{"name":"x","image":"2"}],"tolerations":[]}}"#
            ),
            type: type)
        #expect(
            paths(changes.added) == [
                ".metadata.annotations", ".metadata.annotations.k", ".metadata.labels.c",
                #".spec.containers[name="z"]"#,
                #".spec.containers[name="z"].name"#,
            ])
        #expect(
            paths(changes.modified) == [
                ".metadata.labels.a", #".spec.containers[name="x"].image"#, ".spec.tolerations",
            ])
        #expect(
            paths(changes.removed) == [
                ".metadata.labels.b", #".spec.containers[name="y"]"#, #".spec.containers[name="y"].name"#,
            ])
        let some = changes.excluding(FieldSet([FieldPath(fields: "metadata")]))
        #expect(paths(some.added) == [#".spec.containers[name="z"]"#, #".spec.containers[name="z"].name"#])
        #expect(try FieldComparison([:], [:], type: type).isEmpty)
    }

    @Test("elements that come again are compared as one")
    func repeated() throws {
        let type = try #require(Schema.kubernetes.type(named: "core.v1.Pod"))
        func containers(_ images: String...) -> JSONValue {
            ["spec": ["containers": .array(images.map { ["name": "a", "image": .string($0)] })]]
        }
        #expect(try FieldComparison(containers("1", "2"), containers("1", "2"), type: type).isEmpty)
        #expect(
            paths(try FieldComparison(containers("1", "2"), containers("1", "3"), type: type).modified) == [
                #".spec.containers[name="a"]"#
            ])
        #expect(
            paths(try FieldComparison(containers("1", "2"), containers(), type: type).removed) == [
                #".spec.containers[name="a"]"#
            ])
    }
}
