import JSONTree
import Testing

@testable import Schema

private func merged(_ object: String, _ patch: String, _ type: String = "core.v1.Pod") throws -> String {
    let type = try #require(Schema.kubernetes.type(named: type))
    return try StrategicMergePatch.apply(try JSONValue.parse(patch), to: try JSONValue.parse(object), type: type).text()
}

private func failure(_ object: String, _ patch: String, _ type: String = "core.v1.Pod") -> PatchError? {
    #expect(throws: PatchError.self) { try merged(object, patch, type) }
}

@Suite("Strategic merge patch") struct StrategicMergePatchTests {
    @Test("a container is added or changed by its name")
    func containers() throws {
        let object = #"{"spec":{"containers":[{"name":"a","image":"1","args":["x"]},{"name":"b"}]}}"#
        #expect(
            try merged(object, #"{"spec":{"containers":[{"name":"a","image":"2"}]}}"#)
                == #"{"spec":{"containers":[{"name":"a","image":"2","args":["x"]},{"name":"b"}]}}"#)
        #expect(
            try merged(object, #"{"spec":{"containers":[{"name":"c"}]}}"#)
                == #"{"spec":{"containers":[{"name":"c"},{"name":"a","image":"1","args":["x"]},{"name":"b"}]}}"#)
        // Lists without a strategy are replaced.
        #expect(
            try merged(object, #"{"spec":{"containers":[{"name":"a","args":["y","z"]}]}}"#)
                == #"{"spec":{"containers":[{"name":"a","image":"1","args":["y","z"]},{"name":"b"}]}}"#)
    }

    @Test("null removes, and is not kept where there was nothing")
    func null() throws {
        let object = #"{"metadata":{"labels":{"a":"1","b":"2"}}}"#
        #expect(
            try merged(object, #"{"metadata":{"labels":{"a":null,"c":null}}}"#) == #"{"metadata":{"labels":{"b":"2"}}}"#
        )
        #expect(
            try merged(object, #"{"spec":{"nodeName":null,"hostname":"h"}}"#)
                == #"{"metadata":{"labels":{"a":"1","b":"2"}},"spec":{"hostname":"h"}}"#)
        #expect(try merged(object, #"{"metadata":null}"#) == "{}")
    }

    @Test("$patch: delete takes an element out, $patch: replace takes the patch's list or object")
    func directives() throws {
        let object =
            #"{"spec":{"containers":[{"name":"a"},{"name":"b"}],"securityContext":{"runAsUser":1,"fsGroup":2}}}"#
        #expect(
            try merged(object, #"{"spec":{"containers":[{"name":"a","$patch":"delete"}]}}"#)
                == #"{"spec":{"containers":[{"name":"b"}],"securityContext":{"runAsUser":1,"fsGroup":2}}}"#)
        #expect(
            try merged(object, #"{"spec":{"containers":[{"name":"c"},{"$patch":"replace"}]}}"#)
                == #"{"spec":{"containers":[{"name":"c"}],"securityContext":{"runAsUser":1,"fsGroup":2}}}"#)
        #expect(
            try merged(object, #"{"spec":{"securityContext":{"fsGroup":3,"$patch":"replace"}}}"#)
                == #"{"spec":{"containers":[{"name":"a"},{"name":"b"}],"securityContext":{"fsGroup":3}}}"#)
        #expect(
            try merged(object, #"{"spec":{"securityContext":{"$patch":"delete"},"containers":[]}}"#)
                == #"{"spec":{"containers":[{"name":"a"},{"name":"b"}],"securityContext":{}}}"#)
    }

    @Test("$retainKeys clears what it does not name: a volume or a strategy changes its kind")
    func retainKeys() throws {
        #expect(
            try merged(
                #"{"spec":{"volumes":[{"name":"v","emptyDir":{}},{"name":"w","emptyDir":{}}]}}"#,
                #"{"spec":{"volumes":[{"$retainKeys":["name","hostPath"],"name":"v","hostPath":{"path":"/x"}}]}}"#)
                == #"{"spec":{"volumes":[{"name":"v","hostPath":{"path":"/x"}},{"name":"w","emptyDir":{}}]}}"#)
        let deployment = #"{"spec":{"replicas":1,"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":1}}}}"#
        #expect(
            try merged(
                deployment, #"{"spec":{"strategy":{"$retainKeys":["type"],"type":"Recreate"}}}"#, "apps.v1.Deployment")
                == #"{"spec":{"replicas":1,"strategy":{"type":"Recreate"}}}"#)
        for bad in [#"{"$retainKeys":["type"],"rollingUpdate":{}}"#, #"{"$retainKeys":"type"}"#] {
            #expect(
                failure(deployment, #"{"spec":{"strategy":\#(bad)}}"#, "apps.v1.Deployment")
                    == PatchError(.invalid, "invalid patch format of retainKeys"))
        }
    }

    @Test("primitive lists merge as sets, and $deleteFromPrimitiveList takes from them")
    func primitives() throws {
        let object = #"{"metadata":{"finalizers":["a","b","c"]}}"#
        #expect(
            try merged(object, #"{"metadata":{"finalizers":["d","b"]}}"#)
                == #"{"metadata":{"finalizers":["d","a","b","c"]}}"#)
        #expect(
            try merged(object, #"{"metadata":{"$deleteFromPrimitiveList/finalizers":["a","c","x"]}}"#)
                == #"{"metadata":{"finalizers":["b"]}}"#)
        #expect(
            try merged(
                object,
                #"{"metadata":{"$setElementOrder/finalizers":["d","c"],"$deleteFromPrimitiveList/finalizers":["a"],"finalizers":["d"]}}"#
            )
                == #"{"metadata":{"finalizers":["d","b","c"]}}"#)
        #expect(failure(object, #"{"metadata":{"$deleteFromPrimitiveList":["a"]}}"#) == .badPrimitiveList)
    }

    @Test("$setElementOrder orders what the patch knows, the rest stays where it was")
    func order() throws {
        // The examples of "Preserve Order in Strategic Merge Patch".
        let object = #"{"spec":{"containers":[{"name":"a"},{"name":"s"},{"name":"b"},{"name":"t"}]}}"#
        #expect(
            try merged(object, #"{"spec":{"$setElementOrder/containers":[{"name":"b"},{"name":"a"}]}}"#)
                == #"{"spec":{"containers":[{"name":"s"},{"name":"b"},{"name":"a"},{"name":"t"}]}}"#)
        #expect(
            try merged(
                object,
                #"{"spec":{"$setElementOrder/containers":[{"name":"a"},{"name":"c"},{"name":"b"}],"containers":[{"name":"c"},{"name":"b","image":"i"}]}}"#
            )
                == #"{"spec":{"containers":[{"name":"a"},{"name":"c"},{"name":"s"},{"name":"b","image":"i"},{"name":"t"}]}}"#
        )
        #expect(
            try merged(
                object,
                #"{"spec":{"$setElementOrder/containers":[{"name":"b"}],"containers":[{"name":"a","$patch":"delete"}]}}"#
            )
                == #"{"spec":{"containers":[{"name":"s"},{"name":"b"},{"name":"t"}]}}"#)
        #expect(
            try merged(
                #"{"spec":{}}"#,
                #"{"spec":{"$setElementOrder/containers":[{"name":"b"}],"containers":[{"name":"b","image":null}]}}"#)
                == #"{"spec":{"containers":[{"name":"b"}]}}"#)
        #expect(try merged(#"{"spec":{}}"#, #"{"spec":{"$setElementOrder/containers":[]}}"#) == #"{"spec":{}}"#)
    }

    @Test("an order that the patch does not follow is refused")
    func wrongOrder() {
        let object = #"{"spec":{"containers":[{"name":"a"}]}}"#
        let patch = #"{"spec":{"$setElementOrder/containers":[{"name":"a"}],"containers":[{"name":"b"}]}}"#
        #expect(
            failure(object, patch)?.message
                == "The order in patch list:\n[map[name:b]]\n doesn't match $setElementOrder list:\n[map[name:a]]\n")
        #expect(failure(object, #"{"spec":{"$setElementOrder/containers":{}}}"#) == .badElementOrder)
        #expect(failure(object, #"{"spec":{"$setElementOrder/":[]}}"#) == .badElementOrder)
        #expect(
            failure(object, #"{"spec":{"$setElementOrder/nonsense":[],"nonsense":[]}}"#)?.message
                == #"unable to find api field in struct PodSpec for the json field "nonsense""#)
    }

    @Test(
        "patches that mean nothing",
        arguments: [
            (
                #"{"spec":{"containers":[{"image":"x"}]}}"#,
                "map: map[image:x] does not contain declared merge key: name"
            ),
            (
                #"{"spec":{"containers":[{"$patch":"delete"}]}}"#,
                "map: map[$patch:delete] does not contain declared merge key: name"
            ),
            (#"{"spec":{"containers":["x"]}}"#, "list element types are not identical: [[map[name:a]] [x]]"),
            (
                #"{"spec":{"containers":[{"name":"a","$patch":"merge"}]}}"#,
                "merging lists cannot yet be specified in the patch"
            ),
            (
                #"{"spec":{"containers":[{"name":"a","$patch":1}]}}"#,
                "unknown patch type: 1 in map: map[$patch:1 name:a]"
            ),
            (#"{"spec":{"$patch":"jump"}}"#, "unknown patch type: jump in map: map[$patch:jump]"),
            (#"[]"#, "error decoding patch: expected an object, got a list"),
        ])
    func refused(patch: String, message: String) {
        #expect(failure(#"{"spec":{"containers":[{"name":"a"}]}}"#, patch)?.message == message)
    }

    @Test("a selector that is replaced, ports by their number, conditions of an atomic list by type")
    func strategies() throws {
        #expect(
            try merged(
                #"{"spec":{"selector":{"matchLabels":{"a":"b"}}}}"#,
                #"{"spec":{"selector":{"matchLabels":{"c":"d"}}}}"#,
                "policy.v1.PodDisruptionBudget") == #"{"spec":{"selector":{"matchLabels":{"c":"d"}}}}"#)
        #expect(
            try merged(
                #"{"spec":{"ports":[{"port":80,"protocol":"TCP"},{"port":443}]}}"#,
                #"{"spec":{"ports":[{"port":80,"targetPort":"http"}]}}"#, "core.v1.Service")
                == #"{"spec":{"ports":[{"port":80,"protocol":"TCP","targetPort":"http"},{"port":443}]}}"#)
        #expect(
            try merged(
                #"{"status":{"conditions":[{"type":"A","status":"False"}]}}"#,
                #"{"status":{"conditions":[{"type":"A","status":"True"}]}}"#, "batch.v1.Job")
                == #"{"status":{"conditions":[{"type":"A","status":"True"}]}}"#)
    }

    @Test("what a patch brings anew carries no directives")
    func fresh() throws {
        #expect(
            try merged(
                #"{}"#,
                #"{"spec":{"$retainKeys":["volumes"],"volumes":[{"name":"v","$retainKeys":["name"]},{"name":"w","$patch":"delete"}],"$setElementOrder/volumes":[{"name":"v"}]}}"#
            )
                == #"{"spec":{"volumes":[{"name":"v"}]}}"#)
    }

    @Test("long lists merge in linear time")
    func long() throws {
        func list(_ range: Range<Int>) -> JSONValue {
            ["spec": ["containers": .array(range.map { ["name": .string("c\($0)"), "image": "i"] })]]
        }
        let type = try #require(Schema.kubernetes.type(named: "core.v1.Pod"))
        let result = try StrategicMergePatch.apply(list(10_000..<30_000), to: list(0..<20_000), type: type)
        #expect(result["spec"]?["containers"]?.arrayValue?.count == 30_000)
    }
}
