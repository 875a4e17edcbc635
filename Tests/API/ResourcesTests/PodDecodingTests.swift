import JSONTree
import Testing

@testable import Resources

@Suite("Pods are read with the API server's defaults") struct PodDecodingTests {
    @Test("the smallest Pod gets every default")
    func defaults() throws {
        let pod = try pod(spec: #"{"containers":[{"name":"c","image":"nginx","ports":[{"containerPort":80}]}]}"#)
        #expect(pod.metadata.namespace == "default")
        #expect(pod.spec.restartPolicy == .always)
        #expect(pod.spec.dnsPolicy == .clusterFirst)
        #expect(pod.spec.terminationGracePeriodSeconds == 30)
        let container = pod.spec.containers[0]
        #expect(container.imagePullPolicy == .always)
        #expect(container.terminationMessagePath == "/dev/termination-log")
        #expect(container.terminationMessagePolicy == .file)
        #expect(container.ports[0].protocol == .tcp)
        #expect(container.ports[0].hostPort == nil)
        #expect(container.command == nil)
        #expect(!container.isSidecar)
    }

    @Test(
        "the pull policy follows the tag",
        arguments: [
            ("nginx", .always), ("nginx:latest", .always), ("nginx:1.27", .ifNotPresent),
            ("r.example:5000/nginx", .always),
            ("r.example:5000/nginx:1", .ifNotPresent), ("nginx@sha256:abc", .ifNotPresent),
            ("nginx:latest@sha256:abc", .always), ("nginx:1@sha256:abc", .ifNotPresent),
        ] as [(String, Container.ImagePullPolicy)])
    func pullPolicy(image: String, policy: Container.ImagePullPolicy) {
        #expect(Container.defaultPullPolicy(image) == policy)
    }

    @Test("limits stand for requests that are not made")
    func requestsFromLimits() throws {
        let pod = try pod(container: #""resources":{"limits":{"cpu":"500m","memory":"64Mi"},"requests":{"cpu":0.1}}"#)
        let resources = pod.spec.containers[0].resources
        #expect(resources.requests.cpu?.milliValue == 100)
        #expect(resources.requests.memory?.value == 64 << 20)
    }

    @Test("everything that is served is read, and survives being written and read again")
    func everything() throws {
        let pod = try Pod(tree: JSONValue.parse(everyField))
        #expect(try Pod(tree: pod.tree) == pod)
        #expect(try Pod(tree: JSONValue.parse(pod.tree.encoded())) == pod)
        #expect(pod.metadata.uid == "u-1")
        #expect(pod.metadata.labels == ["app": "web"])
        let spec = pod.spec
        #expect(spec.initContainers.map(\.isSidecar) == [false, true])
        #expect(spec.activeDeadlineSeconds == 60)
        #expect(spec.dnsConfig?.options == [.init(name: "ndots", value: "2"), .init(name: "debug", value: nil)])
        #expect(spec.hostAliases == [HostAlias(ip: "10.0.0.1", hostnames: ["db", "db.local"])])
        #expect(spec.securityContext.seccompProfile == .localhost("profiles/a.json"))
        #expect(spec.securityContext.sysctls == [.init(name: "net.core.somaxconn", value: "1024")])
        #expect(spec.volumes[1].source == .emptyDir(memory: true, sizeLimit: 64 << 20))
        #expect(spec.volumes[2].source == .hostPath(path: "/dev/null", type: .charDevice))
        let container = spec.containers[0]
        #expect(container.command == ["/bin/sh"])
        #expect(container.args == ["-c", "echo $(A)"])
        #expect(container.env[1].source == .field("metadata.labels['app']"))
        #expect(container.ports[0].hostPort == 8080)
        #expect(container.lifecycle.preStop == ["sleep", "1"])
        #expect(container.volumeMounts[1].mountPath == "/relative")
        #expect(container.volumeMounts[1].subPath == "a/b")
        #expect(container.securityContext.capabilitiesAdd == ["NET_ADMIN"])
        #expect(container.securityContext.capabilitiesDrop == ["ALL"])
        #expect(container.securityContext.procMount == .unmasked)
        #expect(container.tty && container.stdin && container.stdinOnce)
    }

    @Test("a size limit of zero is none, as the kubelet has it")
    func zeroSizeLimit() throws {
        let volumes = #""volumes":[{"name":"v","emptyDir":{"sizeLimit":"0"}}]"#
        #expect(
            try pod(container: #""stdin":false"#, spec: volumes).spec.volumes[0].source
                == .emptyDir(memory: false, sizeLimit: nil))
    }

    @Test("the older name of the service account is read")
    func serviceAccount() throws {
        #expect(
            try pod(container: #""stdin":false"#, spec: #""serviceAccount":"old""#).spec.serviceAccountName == "old")
    }

    @Test(
        "keys of labels in field paths",
        arguments: [
            ("metadata.labels['a/b']", "a/b"), ("metadata.labels['']", nil), ("metadata.labels", nil),
            ("metadata.labels['a'", nil), ("metadata.annotations['a']", nil), ("metadata.labels['", nil),
        ])
    func subscripts(path: String, key: String?) {
        #expect(EnvVar.subscriptKey(path, of: "metadata.labels") == key)
    }

    @Test("no mutation of a Pod's tree crashes")
    func mutations() throws {
        let tree = try JSONValue.parse(everyField)
        var random = SystemRandomNumberGenerator()
        var refused = 0
        for _ in 0..<3_000 {
            do {
                let pod = try Pod(tree: mutated(tree, &random))
                #expect(try Pod(tree: pod.tree) == pod)
            } catch {
                refused += 1
            }
        }
        #expect(refused > 0)
    }

    /// The tree with one value somewhere in it replaced.
    private func mutated(_ value: JSONValue, _ random: inout SystemRandomNumberGenerator) -> JSONValue {
        let replacements: [JSONValue] = [
            .null, true, -1, 0, .integer(.max), .number("1e400"), "", "..", "ä", "-", "\0", [], [.null], [[:]], [:],
            ["": .null],
        ]
        switch value {
        case .array(let elements) where !elements.isEmpty && Int.random(in: 0..<8, using: &random) > 0:
            var elements = elements
            let index = Int.random(in: 0..<elements.count, using: &random)
            elements[index] = mutated(elements[index], &random)
            return .array(elements)
        case .object(var object) where !object.isEmpty && Int.random(in: 0..<8, using: &random) > 0:
            let (key, member) = object[Int.random(in: 0..<object.count, using: &random)]
            object[key] = mutated(member, &random)
            return .object(object)
        default: return replacements.randomElement(using: &random) ?? .null
        }
    }

    private let everyField = """
        {"apiVersion":"v1","kind":"Pod",
        "metadata":{"name":"web","namespace":"prod","uid":"u-1","labels":{"app":"web"},"annotations":{"a/b":"any text"}},
        "spec":{"restartPolicy":"OnFailure","terminationGracePeriodSeconds":5,"activeDeadlineSeconds":60,"dnsPolicy":"None",
        "dnsConfig":{"nameservers":["10.0.0.10"],"searches":["svc.local"],"options":[{"name":"ndots","value":"2"},{"name":"debug"}]},
        "hostPID":true,"hostIPC":true,"hostname":"h","subdomain":"s","setHostnameAsFQDN":true,
        "hostAliases":[{"ip":"10.0.0.1","hostnames":["db","db.local"]}],"nodeName":"n1","serviceAccountName":"sa",
        "securityContext":{"runAsUser":1,"runAsGroup":2,"runAsNonRoot":true,"fsGroup":3,"fsGroupChangePolicy":"OnRootMismatch",
        "supplementalGroups":[4,5],"supplementalGroupsPolicy":"Strict",
        "seccompProfile":{"type":"Localhost","localhostProfile":"profiles/a.json"},
        "sysctls":[{"name":"net.core.somaxconn","value":"1024"}]},
        "volumes":[{"name":"a","emptyDir":{}},{"name":"b","emptyDir":{"medium":"Memory","sizeLimit":"64Mi"}},
        {"name":"c","hostPath":{"path":"/dev/null","type":"CharDevice"}}],
        "initContainers":[{"name":"i","image":"i:1"},{"name":"s","image":"s:1","restartPolicy":"Always"}],
        "containers":[{"name":"c","image":"c:1","imagePullPolicy":"Never","command":["/bin/sh"],"args":["-c","echo $(A)"],
        "workingDir":"/w","ports":[{"name":"http","containerPort":80,"hostPort":8080,"hostIP":"127.0.0.1","protocol":"UDP"}],
        "env":[{"name":"A","value":"x"},{"name":"B","valueFrom":{"fieldRef":{"fieldPath":"metadata.labels['app']"}}}],
        "resources":{"limits":{"cpu":"1.5","memory":"1Gi"},"requests":{"cpu":"100m"}},
        "volumeMounts":[{"name":"a","mountPath":"/a","readOnly":true,"mountPropagation":"Bidirectional"},
        {"name":"b","mountPath":"relative","subPath":"a/b"}],
        "lifecycle":{"postStart":{"exec":{"command":["true"]}},"preStop":{"exec":{"command":["sleep","1"]}}},
        "terminationMessagePath":"/t","terminationMessagePolicy":"FallbackToLogsOnError",
        "securityContext":{"runAsUser":7,"runAsGroup":8,"runAsNonRoot":false,"privileged":true,
        "capabilities":{"add":["CAP_NET_ADMIN"],"drop":["all"]},"readOnlyRootFilesystem":true,"allowPrivilegeEscalation":true,
        "seccompProfile":{"type":"RuntimeDefault"},"procMount":"Unmasked"},
        "stdin":true,"stdinOnce":true,"tty":true}]}}
        """
}
