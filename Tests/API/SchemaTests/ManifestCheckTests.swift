import JSONTree
import Testing

@testable import Schema

/// What the check finds, one line each.
private func faults(_ text: String, _ type: String = "Pod") throws -> [String] {
    Schema.kubernetes.check(try JSONValue.parse(text), as: "core.v1.\(type)").errors.map(\.description)
}

private let notServed = "is valid in Kubernetes but not served by Swiftlet yet; remove it to run this here"

@Suite("Objects are checked by the table") struct CheckTests {
    @Test(
        "unknown fields, with what was meant",
        arguments: [
            (#"{"spec":{"contaniers":[]}}"#, #"spec.contaniers: unknown field; did you mean "containers"?"#),
            (#"{"spec":{"hostnetwork":true}}"#, #"spec.hostnetwork: unknown field; did you mean "hostNetwork"?"#),
            (
                #"{"spec":{"containers":[{"imagePullPolcy":"x"}]}}"#,
                #"spec.containers[0].imagePullPolcy: unknown field; did you mean "imagePullPolicy"?"#
            ),
            (#"{"spec":{"image":"x"}}"#, "spec.image: unknown field; it belongs in containers[] or initContainers[]"),
            (#"{"containers":[]}"#, "containers: unknown field; it belongs in spec"),
            (
                #"{"spec":{"containers":[{"readOnlyRootFilesystem":true}]}}"#,
                "spec.containers[0].readOnlyRootFilesystem: unknown field; it belongs in securityContext"
            ),
            (#"{"spec":{"somethingElse":1}}"#, "spec.somethingElse: unknown field"),
            (#"{"spec":{"x":null}}"#, "spec.x: unknown field"),
            (#"{"metadata":{"lables":{}}}"#, #"metadata.lables: unknown field; did you mean "labels"?"#),
        ])
    func unknown(text: String, expected: String) throws {
        #expect(try faults(text) == [expected])
    }

    @Test(
        "values of a wrong type",
        arguments: [
            (#"{"spec":{"containers":"x"}}"#, "spec.containers: expected a list, got a string"),
            (#"{"spec":[]}"#, "spec: expected an object, got a list"),
            (#"{"metadata":{"labels":["a"]}}"#, "metadata.labels: expected a map, got a list"),
            (
                #"{"metadata":{"labels":{"a":1}}}"#,
                "metadata.labels[a]: expected a string, got an integer (1); write it in quotes"
            ),
            (#"{"metadata":{"labels":{"a":null}}}"#, "metadata.labels[a]: expected a string, got null"),
            (
                #"{"metadata":{"name":true}}"#,
                "metadata.name: expected a string, got a boolean (true); write it in quotes"
            ),
            (#"{"spec":{"hostNetwork":"yes"}}"#, "spec.hostNetwork: expected a boolean (true or false), got a string"),
            (
                #"{"spec":{"terminationGracePeriodSeconds":1.5}}"#,
                "spec.terminationGracePeriodSeconds: expected an integer, got a number"
            ),
            (
                #"{"spec":{"containers":[{"ports":[{"containerPort":"80"}]}]}}"#,
                "spec.containers[0].ports[0].containerPort: expected an integer, got a string"
            ),
            (
                #"{"spec":{"containers":[{"ports":[{"containerPort":8000000000}]}]}}"#,
                "spec.containers[0].ports[0].containerPort: expected a 32-bit integer, got 8000000000"
            ),
            (
                #"{"spec":{"containers":[{"resources":{"limits":{"cpu":true}}}]}}"#,
                "spec.containers[0].resources.limits[cpu]: expected an amount such as 500m or 64Mi, got a boolean"
            ),
            (
                #"{"spec":{"containers":[{"command":["a",null]}]}}"#,
                "spec.containers[0].command[1]: expected a string, got null"
            ),
            (#"{"spec":{"containers":[null]}}"#, "spec.containers[0]: expected an object, got null"),
            (#"[]"#, "expected an object, got a list"),
        ])
    func types(text: String, expected: String) throws {
        #expect(try faults(text) == [expected])
    }

    @Test("a port's target is a number or a name")
    func intOrString() throws {
        #expect(try faults(#"{"spec":{"ports":[{"targetPort":80},{"targetPort":"http"}]}}"#, "Service") == [])
        #expect(
            try faults(#"{"spec":{"ports":[{"targetPort":[]}]}}"#, "Service") == [
                "spec.ports[0].targetPort: expected an integer or a string, got a list"
            ])
    }

    @Test(
        "valid fields that are not served are named, each one",
        arguments: [
            "affinity", "ephemeralContainers", "imagePullSecrets", "nodeSelector", "overhead", "priorityClassName",
            "readinessGates",
            "resourceClaims", "resources", "runtimeClassName", "schedulingGates", "topologySpreadConstraints",
        ])
    func notServedInSpec(field: String) throws {
        let kind = try #require(Schema.kubernetes.type(named: "core.v1.PodSpec")?.field(field)?.kind)
        let (empty, value) =
            switch kind {
            case .string: (#""""#, #""x""#)
            case .list: ("[]", "[{}]")
            case .map: ("{}", #"{"a":"1"}"#)
            default: ("{}", field == "resources" ? #"{"limits":{}}"# : #"{"nodeAffinity":{}}"#)
            }
        #expect(try faults(#"{"spec":{"\#(field)":\#(value)}}"#) == ["spec.\(field): \(notServed)"])
        #expect(try faults(#"{"spec":{"\#(field)":\#(empty)}}"#) == [])
        #expect(try faults(#"{"spec":{"\#(field)":null}}"#) == [])
    }

    @Test("every volume but emptyDir and hostPath is not served")
    func volumes() throws {
        let fields = try #require(Schema.kubernetes.type(named: "core.v1.Volume")?.fields.filter { $0.name != "name" })
        #expect(fields.count == 30)
        for field in fields {
            let found = try faults(#"{"spec":{"volumes":[{"name":"v","\#(field.name)":{}}]}}"#)
            #expect(found == [])
            guard let inner = field.kind.objectType?.fields.first(where: { $0.kind == .string })
            else { continue }
            let served = ["emptyDir", "hostPath"].contains(field.name)
            let text = #"{"spec":{"volumes":[{"name":"v","\#(field.name)":{"\#(inner.name)":"Memory"}}]}}"#
            #expect(try faults(text) == (served ? [] : ["spec.volumes[0].\(field.name): \(notServed)"]))
        }
    }

    @Test("inside of what is not served, errors are found too")
    func insideNotServed() throws {
        #expect(
            try faults(#"{"spec":{"containers":[{"livenessProbe":{"httpGett":{}}}]}}"#) == [
                #"spec.containers[0].livenessProbe.httpGett: unknown field; did you mean "httpGet"?"#,
                "spec.containers[0].livenessProbe: \(notServed)",
            ])
    }

    @Test(
        "values that the API server fills in are accepted, others are not served yet",
        arguments: [
            ("Pod", "schedulerName", #""default-scheduler""#, #""mine""#, #""default-scheduler""#),
            ("Pod", "priority", "0", "5", "0"),
            ("Pod", "automountServiceAccountToken", "false", "true", "false"),
            ("Pod", "hostUsers", "true", "false", "true"),
            ("Service", "type", #""NodePort""#, #""LoadBalancer""#, #""ClusterIP" or "NodePort""#),
            ("Service", "type", #""ClusterIP""#, #""ExternalName""#, #""ClusterIP" or "NodePort""#),
            ("Service", "externalTrafficPolicy", #""Cluster""#, #""Local""#, #""Cluster""#),
            ("Service", "internalTrafficPolicy", #""Cluster""#, #""Local""#, #""Cluster""#),
            ("Service", "sessionAffinity", #""None""#, #""ClientIP""#, #""None""#),
            (
                "Service", "ipFamilyPolicy", #""SingleStack""#, #""RequireDualStack""#,
                #""SingleStack" or "PreferDualStack""#
            ),
            ("Service", "publishNotReadyAddresses", "false", "true", "false"),
        ])
    func values(type: String, field: String, accepted: String, refused: String, choices: String) throws {
        #expect(try faults(#"{"spec":{"\#(field)":\#(accepted)}}"#, type) == [])
        #expect(
            try faults(#"{"spec":{"\#(field)":\#(refused)}}"#, type) == [
                "spec.\(field): \(refused) is valid in Kubernetes but not served by Swiftlet yet; served: \(choices)"
            ])
    }

    @Test("lists of values are looked at element by element, and unknown values are left to validation")
    func valueLists() throws {
        #expect(try faults(#"{"spec":{"ipFamilies":["IPv4"]}}"#, "Service") == [])
        #expect(
            try faults(#"{"spec":{"ipFamilies":["IPv4","IPv6"]}}"#, "Service") == [
                #"spec.ipFamilies: "IPv6" is valid in Kubernetes but not served by Swiftlet yet; served: "IPv4""#
            ])
        #expect(try faults(#"{"spec":{"type":"Nonsense"}}"#, "Service") == [])
        let huge = #"{"spec":{"volumes":[{"emptyDir":{"medium":"HugePages-2Mi"}}]}}"#
        #expect(
            try faults(huge) == [
                #"spec.volumes[0].emptyDir.medium: "HugePages-2Mi" is valid in Kubernetes but not served by Swiftlet yet; served: "Memory""#
            ])
    }

    @Test("what the API server adds is dropped, null is absent, the rest stays as it is")
    func drops() throws {
        let text = """
            {"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","uid":"u","resourceVersion":"5","creationTimestamp":null,
            "managedFields":[{"manager":"kubectl"}],"ownerReferences":[{"uid":"x"}],"generation":3,"labels":{"x":"y"}},
            "spec":{"tolerations":[{"key":"k"}],"enableServiceLinks":true,"preemptionPolicy":"PreemptLowerPriority",
            "hostIPC":null,"nodeSelector":{},"schedulerName":"default-scheduler","containers":[{"name":"c","resources":{}}]},
            "status":{"phase":"Running"}}
            """
        let (object, errors) = Schema.kubernetes.check(try JSONValue.parse(text), as: "core.v1.Pod")
        #expect(errors == [])
        #expect(
            object == [
                "apiVersion": "v1", "kind": "Pod", "metadata": ["name": "a", "labels": ["x": "y"]],
                "spec": ["schedulerName": "default-scheduler", "containers": [["name": "c", "resources": [:]]]],
            ])
    }

    @Test("an element in error keeps its place")
    func places() throws {
        let (object, errors) = Schema.kubernetes.check(
            try JSONValue.parse(#"{"spec":{"containers":[7,{"name":"c","bad":1}]}}"#), as: "core.v1.Pod")
        #expect(errors.count == 2)
        #expect(object == ["spec": ["containers": [.null, ["name": "c"]]]])
    }
}

@Suite("Suggestions") struct SuggestionTests {
    @Test(
        "edit distance counts swaps as one",
        arguments: [
            ("", "", 0), ("a", "", 1), ("abc", "abc", 0), ("abc", "acb", 1), ("polcy", "policy", 1),
            ("kitten", "sitting", 3),
        ])
    func distance(one: String, other: String, expected: Int) {
        #expect(editDistance(one, other) == expected)
        #expect(editDistance(other, one) == expected)
    }

    @Test("nothing is suggested that is not alike")
    func unlike() {
        #expect(closest(to: "xyz", among: ["image", "name"]) == nil)
        #expect(closest(to: "nam", among: ["image", "name"]) == "name")
        #expect(closest(to: "IMAGE", among: ["image", "name"]) == "image")
        #expect(closest(to: String(repeating: "x", count: 1000), among: ["image"]) == nil)
    }
}
