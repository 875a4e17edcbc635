import JSONTree
import Testing

@testable import Resources

private func service(_ spec: String, metadata: String = #"{"name":"web"}"#) throws -> Service {
    try Service(tree: JSONValue.parse(#"{"apiVersion":"v1","kind":"Service","metadata":\#(metadata),"spec":\#(spec)}"#))
}

private let portRange = "must be between 1 and 65535, inclusive"

@Suite("Services are read and refused in Kubernetes' words") struct ServiceTests {
    @Test("defaults: ClusterIP, TCP, the port itself as target")
    func defaults() throws {
        let service = try service(#"{"ports":[{"port":80}]}"#)
        #expect(service.spec.type == .clusterIP)
        #expect(service.spec.clusterIP == "")
        #expect(service.spec.ports == [ServicePort(port: 80)])
        #expect(service.spec.ports[0].protocol == .tcp)
        #expect(service.spec.ports[0].targetPort == .number(80))
    }

    @Test("everything that is served is read, and survives being written and read again")
    func everything() throws {
        let ports =
            #"[{"name":"a","port":80,"targetPort":"http","nodePort":30080},{"name":"b","port":53,"protocol":"UDP","targetPort":5353}]"#
        let service = try service(
            #"{"type":"NodePort","clusterIP":"10.43.0.5","clusterIPs":["10.43.0.5"],"selector":{"app":"web"},"ports":\#(ports)}"#
        )
        #expect(try Service(tree: service.tree) == service)
        #expect(service.spec.type == .nodePort)
        #expect(service.spec.clusterIP == "10.43.0.5")
        #expect(service.spec.ports[0].targetPort == .name("http"))
        #expect(service.spec.ports[0].nodePort == 30080)
        #expect(service.spec.ports[1].protocol == .udp)
        #expect(service.spec.ports[1].targetPort == .number(5353))
    }

    @Test(
        "what Kubernetes refuses",
        arguments: [
            (#"{}"#, ["spec.ports: Required value"]), (#"{"clusterIP":"None"}"#, []),
            (
                #"{"type":"Magic","ports":[{"port":1}]}"#,
                [#"spec.type: Unsupported value: "Magic": supported values: "ClusterIP", "NodePort""#]
            ),
            (#"{"ports":[{}]}"#, ["spec.ports[0].port: Required value"]),
            (#"{"ports":[{"port":0}]}"#, ["spec.ports[0].port: Invalid value: 0: \(portRange)"]),
            (#"{"ports":[{"port":1},{"port":2,"name":"x"}]}"#, ["spec.ports[0].name: Required value"]),
            (
                #"{"ports":[{"port":1,"name":"x"},{"port":1,"name":"x"}]}"#,
                [#"spec.ports[1].name: Duplicate value: "x""#, #"spec.ports[1]: Duplicate value: "TCP/1""#]
            ),
            (#"{"ports":[{"port":1,"name":"x"},{"port":1,"protocol":"UDP","name":"y"}]}"#, []),
            (
                #"{"ports":[{"port":1,"name":"X"}]}"#,
                [#"spec.ports[0].name: Invalid value: "X": \#(NameRules.dns1123Label("X")[0])"#]
            ),
            (
                #"{"ports":[{"port":1,"targetPort":"http_port"}]}"#,
                [
                    #"spec.ports[0].targetPort: Invalid value: "http_port": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"#
                ]
            ),
            (
                #"{"ports":[{"port":1,"targetPort":99999}]}"#,
                ["spec.ports[0].targetPort: Invalid value: 99999: \(portRange)"]
            ),
            (
                #"{"ports":[{"port":1,"targetPort":true}]}"#,
                ["spec.ports[0].targetPort: expected an integer or a string, got a boolean"]
            ),
            (
                #"{"ports":[{"port":1,"nodePort":30000}]}"#,
                ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"]
            ),
            (
                #"{"type":"NodePort","ports":[{"port":1,"nodePort":80}]}"#,
                [
                    "spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767"
                ]
            ),
            (
                #"{"type":"NodePort","ports":[{"port":1,"name":"a","nodePort":30000},{"port":2,"name":"b","nodePort":30000}]}"#,
                [#"spec.ports[1].nodePort: Duplicate value: "TCP/30000""#]
            ),
            (
                #"{"clusterIP":"10.0.0","ports":[{"port":1}]}"#,
                [
                    #"spec.clusterIP: Invalid value: "10.0.0": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"#
                ]
            ),
            (
                #"{"clusterIP":"fd00::1","ports":[{"port":1}]}"#,
                ["spec.clusterIP: an IPv6 address is valid in Kubernetes but not served by Swiftlet yet: IPv4 only"]
            ),
            (
                #"{"clusterIP":"10.0.0.1","clusterIPs":["10.0.0.2"],"ports":[{"port":1}]}"#,
                [#"spec.clusterIPs: Invalid value: ["10.0.0.2"]: first value must match `clusterIP`"#]
            ),
            (
                #"{"clusterIPs":["10.0.0.2","fd00::1"],"ports":[{"port":1}]}"#,
                [
                    "spec.clusterIPs[1]: a second address is valid in Kubernetes but not served by Swiftlet yet: IPv4 only"
                ]
            ),
            (
                #"{"type":"NodePort","clusterIP":"None","ports":[{"port":1}]}"#,
                [#"spec.clusterIP: Invalid value: "None": may not be set to 'None' for NodePort services"#]
            ),
            (
                #"{"selector":{"a b":"c"},"ports":[{"port":1}]}"#,
                [#"spec.selector: Invalid value: "a b": \#(NameRules.qualifiedName("a b")[0])"#]
            ),
        ] as [(String, [String])])
    func refuses(spec: String, expected: [String]) {
        #expect(faults { try service(spec) } == expected)
    }

    @Test("a Service's name starts with a letter")
    func name() {
        #expect(
            faults { try service(#"{"ports":[{"port":1}]}"#, metadata: #"{"name":"1a"}"#) } == [
                #"metadata.name: Invalid value: "1a": \#(NameRules.dns1035Label("1a")[0])"#
            ])
    }

    @Test("a selector selects pods of its namespace that have all its labels")
    func selects() throws {
        let web = try service(#"{"selector":{"app":"web","tier":"front"},"ports":[{"port":1}]}"#)
        #expect(web.selects(labels: ["app": "web", "tier": "front", "x": "y"], namespace: "default"))
        #expect(!web.selects(labels: ["app": "web"], namespace: "default"))
        #expect(!web.selects(labels: ["app": "web", "tier": "back"], namespace: "default"))
        #expect(!web.selects(labels: ["app": "web", "tier": "front"], namespace: "other"))
        #expect(try !service(#"{"ports":[{"port":1}]}"#).selects(labels: ["app": "web"], namespace: "default"))
    }
}

@Suite("Label selectors") struct LabelSelectorTests {
    @Test(
        "expressions match as Kubernetes says",
        arguments: [
            (#"{}"#, true), (#"{"matchLabels":{"a":"1"}}"#, true), (#"{"matchLabels":{"a":"2"}}"#, false),
            (#"{"matchExpressions":[{"key":"a","operator":"In","values":["1","2"]}]}"#, true),
            (#"{"matchExpressions":[{"key":"z","operator":"In","values":["1"]}]}"#, false),
            (#"{"matchExpressions":[{"key":"a","operator":"NotIn","values":["1"]}]}"#, false),
            (#"{"matchExpressions":[{"key":"z","operator":"NotIn","values":["1"]}]}"#, true),
            (#"{"matchExpressions":[{"key":"a","operator":"Exists"}]}"#, true),
            (#"{"matchExpressions":[{"key":"a","operator":"DoesNotExist"}]}"#, false),
            (#"{"matchLabels":{"a":"1"},"matchExpressions":[{"key":"b","operator":"Exists"}]}"#, false),
        ])
    func matches(selector: String, expected: Bool) throws {
        #expect(try LabelSelector(tree: JSONValue.parse(selector)).matches(["a": "1"]) == expected)
    }

    @Test(
        "bad selectors are refused",
        arguments: [
            (#"{"matchExpressions":[{"operator":"Exists"}]}"#, "matchExpressions[0].key: Required value"),
            (#"{"matchExpressions":[{"key":"a"}]}"#, "matchExpressions[0].operator: Required value"),
            (
                #"{"matchExpressions":[{"key":"a","operator":"Gt"}]}"#,
                #"matchExpressions[0].operator: Invalid value: "Gt": not a valid selector operator"#
            ),
            (
                #"{"matchExpressions":[{"key":"a","operator":"In"}]}"#,
                "matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'"
            ),
            (
                #"{"matchExpressions":[{"key":"a","operator":"Exists","values":["x"]}]}"#,
                "matchExpressions[0].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            ),
            (#"[]"#, "expected an object, got a list"),
        ])
    func refuses(selector: String, expected: String) {
        #expect(faults { try LabelSelector(tree: JSONValue.parse(selector)) } == [expected])
    }
}
