import JSONTree
import Testing

@testable import Resources

/// A Pod whose spec is this JSON.
func pod(spec: String, metadata: String = #"{"name":"web"}"#) throws -> Pod {
    try Pod(tree: JSONValue.parse(#"{"apiVersion":"v1","kind":"Pod","metadata":\#(metadata),"spec":\#(spec)}"#))
}

/// A Pod of one container with these members besides name and image.
func pod(container: String, spec: String = "") throws -> Pod {
    try pod(spec: #"{"containers":[{"name":"c","image":"i:1",\#(container)}]\#(spec.isEmpty ? "" : "," + spec)}"#)
}

/// What is wrong, one line each; empty when nothing is.
func faults(_ read: () throws -> some Any) -> [String] {
    do {
        _ = try read()
        return []
    } catch let error as InvalidObject {
        return error.errors.map(\.description)
    } catch {
        return ["\(error)"]
    }
}

private let label = NameRules.dns1123Label("A")[0]
private let subdomain = NameRules.dns1123Subdomain("A")[0]
private let qualified = NameRules.qualifiedName("-")[0]
private let idRange = "must be between 0 and 2147483647, inclusive"
private let portRange = "must be between 1 and 65535, inclusive"
private let address = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"

@Suite("Pods are refused in Kubernetes' words") struct PodValidationTests {
    @Test(
        "metadata",
        arguments: [
            (#"{}"#, ["metadata.name: Required value: name or generateName is required"]),
            (
                #"{"generateName":"web-"}"#,
                ["metadata.name: Required value: generateName needs an API server; give the object a name"]
            ),
            (#"{"name":"A_B"}"#, [#"metadata.name: Invalid value: "A_B": \#(subdomain)"#]),
            (#"{"name":"a","namespace":"a.b"}"#, [#"metadata.namespace: Invalid value: "a.b": \#(label)"#]),
            (#"{"name":5}"#, ["metadata.name: expected a string, got an integer"]),
            (
                #"{"name":"a","labels":{"-":"x","ok":"a b"}}"#,
                [
                    #"metadata.labels: Invalid value: "-": \#(qualified)"#,
                    #"metadata.labels: Invalid value: "a b": \#(NameRules.labelValue("a b")[0])"#,
                ]
            ),
            (#"{"name":"a","labels":{"x":1}}"#, ["metadata.labels[x]: expected a string, got an integer"]),
            (
                #"{"name":"a","annotations":{"a/b/c":"any text at all"}}"#,
                [#"metadata.annotations: Invalid value: "a/b/c": \#(NameRules.qualifiedName("a/b/c")[0])"#]
            ),
            (#"{"name":"a","annotations":{"Example.COM/x":"any text at all"}}"#, []),
            (
                #"{"name":"a","annotations":{"x":"\#(String(repeating: "x", count: 262_144))"}}"#,
                ["metadata.annotations: Too long: may not be more than 262144 bytes"]
            ),
        ])
    func metadata(metadata: String, expected: [String]) {
        #expect(faults { try pod(spec: #"{"containers":[{"name":"c","image":"i"}]}"#, metadata: metadata) } == expected)
    }

    @Test(
        "the spec",
        arguments: [
            (
                #""restartPolicy":"Sometimes""#,
                [
                    #"spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "Never", "OnFailure""#
                ]
            ),
            (
                #""terminationGracePeriodSeconds":-1"#,
                ["spec.terminationGracePeriodSeconds: Invalid value: -1: must be greater than or equal to 0"]
            ),
            (#""terminationGracePeriodSeconds":0"#, []),
            (
                #""activeDeadlineSeconds":0"#,
                ["spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"]
            ),
            (
                #""dnsPolicy":"x""#,
                [
                    #"spec.dnsPolicy: Unsupported value: "x": supported values: "ClusterFirst", "ClusterFirstWithHostNet", "Default", "None""#
                ]
            ),
            (
                #""dnsPolicy":"None""#,
                ["spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"]
            ),
            (
                #""dnsPolicy":"None","dnsConfig":{}"#,
                [
                    "spec.dnsConfig.nameservers: Required value: must provide at least one DNS nameserver when `dnsPolicy` is None"
                ]
            ),
            (#""dnsPolicy":"None","dnsConfig":{"nameservers":["1.1.1.1"]}"#, []),
            (
                #""dnsConfig":{"nameservers":["1.1.1","::1"]}"#,
                [#"spec.dnsConfig.nameservers[0]: Invalid value: "1.1.1": \#(address)"#]
            ),
            (
                #""dnsConfig":{"nameservers":["::1","::2","::3","::4"]}"#,
                [
                    #"spec.dnsConfig.nameservers: Invalid value: ["::1","::2","::3","::4"]: must not have more than 3 nameservers"#
                ]
            ),
            (
                #""dnsConfig":{"searches":["a.b.","."," "]}"#,
                [#"spec.dnsConfig.searches[2]: Invalid value: " ": \#(subdomain)"#]
            ),
            (
                #""dnsConfig":{"options":[{"value":"1"}]}"#,
                ["spec.dnsConfig.options[0].name: Required value: must not be empty"]
            ),
            (#""hostname":"a.b""#, [#"spec.hostname: Invalid value: "a.b": \#(label)"#]),
            (#""subdomain":"-a""#, [#"spec.subdomain: Invalid value: "-a": \#(label)"#]),
            (
                #""hostAliases":[{"ip":"300.1.1.1","hostnames":["ok","B"]}]"#,
                [
                    #"spec.hostAliases[0].ip: Invalid value: "300.1.1.1": \#(address)"#,
                    #"spec.hostAliases[0].hostnames[1]: Invalid value: "B": \#(subdomain)"#,
                ]
            ),
            (
                #""hostPID":true,"shareProcessNamespace":true"#,
                [
                    "spec.shareProcessNamespace: Invalid value: true: ShareProcessNamespace and HostPID cannot both be enabled"
                ]
            ),
            (#""hostNetwork":"yes""#, ["spec.hostNetwork: expected a boolean (true or false), got a string"]),
            (#""nodeName":"N""#, [#"spec.nodeName: Invalid value: "N": \#(subdomain)"#]),
            (#""serviceAccount":"A""#, [#"spec.serviceAccount: Invalid value: "A": \#(subdomain)"#]),
            (#""volumes":{}"#, ["spec.volumes: expected a list, got an object"]),
            (#""volumes":["x"]"#, ["spec.volumes[0]: expected an object, got a string"]),
            (#""volumes":[{"name":"v"}]"#, ["spec.volumes[0]: Required value: must specify a volume type"]),
            (
                #""volumes":[{"name":"v","emptyDir":{},"hostPath":{"path":"/"}}]"#,
                ["spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"]
            ),
            (
                #""volumes":[{"name":"V","emptyDir":{}},{"name":"V","emptyDir":{}}]"#,
                [
                    #"spec.volumes[0].name: Invalid value: "V": \#(label)"#,
                    #"spec.volumes[1].name: Invalid value: "V": \#(label)"#,
                    #"spec.volumes[1].name: Duplicate value: "V""#,
                ]
            ),
            (
                #""volumes":[{"name":"v","emptyDir":{"medium":"Disk","sizeLimit":"-1"}}]"#,
                [
                    #"spec.volumes[0].emptyDir.medium: Unsupported value: "Disk": supported values: "", "Memory""#,
                    #"spec.volumes[0].emptyDir.sizeLimit: Invalid value: "-1": must be greater than or equal to 0"#,
                ]
            ),
            (#""volumes":[{"name":"v","hostPath":{}}]"#, ["spec.volumes[0].hostPath.path: Required value"]),
            (
                #""volumes":[{"name":"v","hostPath":{"path":"a/../b","type":"Dir"}}]"#,
                [
                    #"spec.volumes[0].hostPath.path: Invalid value: "a/../b": must be an absolute path"#,
                    #"spec.volumes[0].hostPath.path: Invalid value: "a/../b": must not contain '..'"#,
                    #"spec.volumes[0].hostPath.type: Unsupported value: "Dir": supported values: "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket""#,
                ]
            ),
            (#""initContainers":[{"name":"c","image":"i"}]"#, [#"spec.containers[0].name: Duplicate value: "c""#]),
            (
                #""initContainers":[{"name":"i","image":"i","restartPolicy":"Never"}]"#,
                [#"spec.initContainers[0].restartPolicy: Unsupported value: "Never": supported values: "Always""#]
            ),
            (
                #""initContainers":[{"name":"i","image":"i","lifecycle":{"preStop":{"exec":{"command":["x"]}}}}]"#,
                [
                    "spec.initContainers[0].lifecycle: Forbidden: may not be set for init containers without restartPolicy=Always"
                ]
            ),
            (
                #""initContainers":[{"name":"i","image":"i","restartPolicy":"Always","lifecycle":{"preStop":{"exec":{"command":["x"]}}}}]"#,
                []
            ),
        ] as [(String, [String])])
    func spec(fields: String, expected: [String]) {
        #expect(faults { try pod(spec: #"{"containers":[{"name":"c","image":"i"}],\#(fields)}"#) } == expected)
    }

    @Test(
        "the pod's security context",
        arguments: [
            (
                #""runAsUser":-1,"runAsGroup":4294967296,"fsGroup":-2"#,
                [
                    "runAsUser: Invalid value: -1: \(idRange)", "runAsGroup: Invalid value: 4294967296: \(idRange)",
                    "fsGroup: Invalid value: -2: \(idRange)",
                ]
            ),
            (#""supplementalGroups":[1,-1]"#, ["supplementalGroups[1]: Invalid value: -1: \(idRange)"]),
            (
                #""supplementalGroupsPolicy":"x""#,
                [#"supplementalGroupsPolicy: Unsupported value: "x": supported values: "Merge", "Strict""#]
            ),
            (
                #""fsGroupChangePolicy":"x""#,
                [#"fsGroupChangePolicy: Unsupported value: "x": supported values: "Always", "OnRootMismatch""#]
            ),
            (#""seccompProfile":{}"#, ["seccompProfile.type: Required value"]),
            (
                #""seccompProfile":{"type":"x"}"#,
                [
                    #"seccompProfile.type: Unsupported value: "x": supported values: "Localhost", "RuntimeDefault", "Unconfined""#
                ]
            ),
            (
                #""seccompProfile":{"type":"Localhost"}"#,
                ["seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost"]
            ),
            (
                #""seccompProfile":{"type":"Localhost","localhostProfile":"/a/../b"}"#,
                [
                    #"seccompProfile.localhostProfile: Invalid value: "/a/../b": must be a relative path"#,
                    #"seccompProfile.localhostProfile: Invalid value: "/a/../b": must not contain '..'"#,
                ]
            ),
            (
                #""seccompProfile":{"type":"Unconfined","localhostProfile":"a"}"#,
                [
                    #"seccompProfile.localhostProfile: Invalid value: "a": can only be set when seccomp type is Localhost"#
                ]
            ),
            (#""sysctls":[{"value":"1"}]"#, ["sysctls[0].name: Required value"]),
            (
                #""sysctls":[{"name":"Kernel.x","value":"1"}]"#,
                [#"sysctls[0].name: Invalid value: "Kernel.x": \#(NameRules.sysctl("K")[0])"#]
            ),
            (
                #""sysctls":[{"name":"vm.swappiness","value":"1"}]"#,
                ["sysctls[0].name: Forbidden: vm.swappiness is not namespaced: it would change the whole host"]
            ),
            (
                #""sysctls":[{"name":"net.core.somaxconn","value":"1"},{"name":"net/core/somaxconn","value":"2"},{"name":"kernel.shmmax","value":"1"}]"#,
                [#"sysctls[1].name: Duplicate value: "net.core.somaxconn""#]
            ),
        ])
    func podSecurityContext(fields: String, expected: [String]) {
        let spec = #"{"containers":[{"name":"c","image":"i"}],"securityContext":{\#(fields)}}"#
        #expect(faults { try pod(spec: spec) } == expected.map { "spec.securityContext.\($0)" })
    }

    @Test("sysctls of a namespace that the host lends are refused")
    func hostSysctls() {
        let context =
            #""securityContext":{"sysctls":[{"name":"net.core.somaxconn","value":"1"},{"name":"kernel/sem","value":"1"}]}"#
        let spec = #"{"hostNetwork":true,"hostIPC":true,"containers":[{"name":"c","image":"i"}],\#(context)}"#
        #expect(
            faults { try pod(spec: spec) } == [
                #"spec.securityContext.sysctls[0].name: Invalid value: "net.core.somaxconn": may not be specified when 'hostNetwork' is true"#,
                #"spec.securityContext.sysctls[1].name: Invalid value: "kernel/sem": may not be specified when 'hostIPC' is true"#,
            ])
    }

    @Test(
        "a container",
        arguments: [
            (#""name":"A_B""#, [#".name: Invalid value: "A_B": \#(label)"#]),
            (#""image":" i""#, [#".image: Invalid value: " i": must not have leading or trailing whitespace"#]),
            (#""command":"sh""#, [".command: expected a list, got a string"]),
            (#""args":["a",1]"#, [".args[1]: expected a string, got an integer"]),
            (
                #""imagePullPolicy":"x""#,
                [#".imagePullPolicy: Unsupported value: "x": supported values: "Always", "IfNotPresent", "Never""#]
            ),
            (
                #""terminationMessagePolicy":"x""#,
                [
                    #".terminationMessagePolicy: Unsupported value: "x": supported values: "FallbackToLogsOnError", "File""#
                ]
            ),
            (#""restartPolicy":"Always""#, [".restartPolicy: Forbidden: may not be set for non-init containers"]),
            (#""ports":[{}]"#, [".ports[0].containerPort: Required value"]),
            (#""ports":[{"containerPort":70000}]"#, [".ports[0].containerPort: Invalid value: 70000: \(portRange)"]),
            (
                #""ports":[{"containerPort":-1,"hostPort":65536}]"#,
                [
                    ".ports[0].hostPort: Invalid value: 65536: \(portRange)",
                    ".ports[0].containerPort: Invalid value: -1: \(portRange)",
                ]
            ),
            (
                #""ports":[{"containerPort":1,"name":"HTTP"}]"#,
                [
                    #".ports[0].name: Invalid value: "HTTP": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"#,
                    #".ports[0].name: Invalid value: "HTTP": must contain at least one letter (a-z)"#,
                ]
            ),
            (
                #""ports":[{"containerPort":1,"name":"a"},{"containerPort":2,"name":"a"}]"#,
                [#".ports[1].name: Duplicate value: "a""#]
            ),
            (
                #""ports":[{"containerPort":1,"protocol":"ICMP"}]"#,
                [#".ports[0].protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP""#]
            ),
            (#""ports":[{"containerPort":1,"hostIP":"x"}]"#, [#".ports[0].hostIP: Invalid value: "x": \#(address)"#]),
            (
                #""ports":[{"containerPort":1,"hostPort":1,"protocol":"SCTP"}]"#,
                [#".ports[0].protocol: "SCTP" is valid in Kubernetes but not served by Swiftlet yet for a hostPort"#]
            ),
            (
                #""ports":[{"containerPort":1,"hostPort":80},{"containerPort":2,"hostPort":80},{"containerPort":3,"hostPort":80,"protocol":"UDP"}]"#,
                [#".ports[1].hostPort: Duplicate value: "TCP//80""#]
            ),
            (#""env":[{"value":"x"}]"#, [".env[0].name: Required value"]),
            (
                #""env":[{"name":"A=B"}]"#,
                [
                    #".env[0].name: Invalid value: "A=B": a valid environment variable name must consist only of printable ASCII characters other than '='"#
                ]
            ),
            (
                #""env":[{"name":"A","value":"x","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}]"#,
                [#".env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty"#]
            ),
            (
                #""env":[{"name":"A","valueFrom":{}}]"#,
                [
                    #".env[0].valueFrom: Invalid value: "": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"#
                ]
            ),
            (
                #""env":[{"name":"A","valueFrom":{"fieldRef":{}}}]"#,
                [".env[0].valueFrom.fieldRef.fieldPath: Required value"]
            ),
            (
                #""env":[{"name":"A","valueFrom":{"fieldRef":{"apiVersion":"v2","fieldPath":"metadata.labels['a']"}}}]"#,
                [#".env[0].valueFrom.fieldRef.apiVersion: Unsupported value: "v2": supported values: "v1""#]
            ),
            (
                #""env":[{"name":"A","valueFrom":{"fieldRef":{"fieldPath":"metadata.labels['-']"}}}]"#,
                [#".env[0].valueFrom.fieldRef.fieldPath: Invalid value: "metadata.labels['-']": \#(qualified)"#]
            ),
            (
                #""env":[{"name":"A","valueFrom":{"fieldRef":{"fieldPath":"spec.x"}}}]"#,
                [
                    #".env[0].valueFrom.fieldRef.fieldPath: Unsupported value: "spec.x": supported values: "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs""#
                ]
            ),
            (
                #""resources":{"limits":{"cpu":"1","memory":"1Gi"},"requests":{"cpu":2,"memory":"1025Mi"}}"#,
                [
                    #".resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1"#,
                    #".resources.requests: Invalid value: "1025Mi": must be less than or equal to memory limit of 1Gi"#,
                ]
            ),
            (
                #""resources":{"limits":{"cpu":"1core"}}"#,
                [
                    #".resources.limits[cpu]: Invalid value: "1core": quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"#
                ]
            ),
            (
                #""resources":{"limits":{"cpu":"-1"}}"#,
                [#".resources.limits[cpu]: Invalid value: "-1": must be greater than or equal to 0"#]
            ),
            (
                #""resources":{"limits":{"cpu":true}}"#,
                [".resources.limits[cpu]: expected an amount such as 500m or 64Mi, got a boolean"]
            ),
            (
                #""resources":{"limits":{"ram":1}}"#,
                [#".resources.limits[ram]: Invalid value: "ram": must be a standard resource type or fully qualified"#]
            ),
            (#""resources":{"limits":{"-":1}}"#, [#".resources.limits[-]: Invalid value: "-": \#(qualified)"#]),
            (
                #""resources":{"requests":{"ephemeral-storage":"1Gi","nvidia.com/gpu":1}}"#,
                [
                    ".resources.requests[ephemeral-storage]: is valid in Kubernetes but not served by Swiftlet yet; served: cpu and memory",
                    ".resources.requests[nvidia.com/gpu]: is valid in Kubernetes but not served by Swiftlet yet; served: cpu and memory",
                ]
            ),
            (
                #""volumeMounts":[{}]"#,
                [".volumeMounts[0].mountPath: Required value", ".volumeMounts[0].name: Required value"]
            ),
            (
                #""volumeMounts":[{"name":"v","mountPath":"/a"},{"name":"w","mountPath":"/a","subPath":"../x"}]"#,
                [
                    #".volumeMounts[1].subPath: Invalid value: "../x": must not contain '..'"#,
                    #".volumeMounts[1].name: Not found: "w""#,
                    #".volumeMounts[1].mountPath: Invalid value: "/a": must be unique"#,
                ]
            ),
            (
                #""volumeMounts":[{"name":"v","mountPath":"/a","subPath":"/x"}]"#,
                [#".volumeMounts[0].subPath: Invalid value: "/x": must be a relative path"#]
            ),
            (
                #""volumeMounts":[{"name":"v","mountPath":"/a","mountPropagation":"x"}]"#,
                [
                    #".volumeMounts[0].mountPropagation: Unsupported value: "x": supported values: "Bidirectional", "HostToContainer", "None""#
                ]
            ),
            (
                #""volumeMounts":[{"name":"v","mountPath":"/a","mountPropagation":"Bidirectional"}]"#,
                [
                    ".volumeMounts[0].mountPropagation: Forbidden: Bidirectional mount propagation is available only to privileged containers"
                ]
            ),
            (
                #""securityContext":{"privileged":true},"volumeMounts":[{"name":"v","mountPath":"/a","mountPropagation":"Bidirectional"}]"#,
                []
            ),
            (#""lifecycle":{"postStart":{}}"#, [".lifecycle.postStart: Required value: must specify a handler type"]),
            (#""lifecycle":{"preStop":{"exec":{}}}"#, [".lifecycle.preStop.exec.command: Required value"]),
            (#""securityContext":{"runAsUser":-1}"#, [".securityContext.runAsUser: Invalid value: -1: \(idRange)"]),
            (
                #""securityContext":{"procMount":"x"}"#,
                [#".securityContext.procMount: Unsupported value: "x": supported values: "Default", "Unmasked""#]
            ),
            (
                #""securityContext":{"capabilities":{"add":["net_admin","CAP_BPF"],"drop":["ALL","CAP_FLY"]}}"#,
                [#".securityContext.capabilities.drop[1]: Invalid value: "CAP_FLY": is not a capability of Linux"#]
            ),
            (
                #""securityContext":{"privileged":true,"allowPrivilegeEscalation":false}"#,
                [
                    ".securityContext: Invalid value: false: cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
                ]
            ),
            (
                #""securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"add":["SYS_ADMIN"]}}"#,
                [
                    ".securityContext: Invalid value: false: cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
                ]
            ),
        ] as [(String, [String])])
    func container(fields: String, expected: [String]) throws {
        var container = try JSONValue.parse(#"{"name":"c","image":"i"}"#)
        for (key, value) in try #require(JSONValue.parse("{\(fields)}").objectValue) { container[key] = value }
        let spec = #"{"containers":[\#(container.text())],"volumes":[{"name":"v","emptyDir":{}}]}"#
        #expect(faults { try pod(spec: spec) } == expected.map { "spec.containers[0]\($0)" })
    }

    @Test(
        "what is missing or of a wrong kind altogether",
        arguments: [
            (#"{}"#, ["spec.containers: Required value"]), (#"{"containers":[]}"#, ["spec.containers: Required value"]),
            (#"{"containers":"x"}"#, ["spec.containers: expected a list, got a string"]),
            (
                #"{"containers":[1,{"name":"a"}]}"#,
                ["spec.containers[0]: expected an object, got an integer", "spec.containers[1].image: Required value"]
            ),
            (
                #"{"containers":[{}]}"#,
                ["spec.containers[0].name: Required value", "spec.containers[0].image: Required value"]
            ),
            (#"[]"#, ["spec: expected an object, got a list"]),
        ])
    func missing(spec: String, expected: [String]) {
        #expect(faults { try pod(spec: spec) } == expected)
    }

    @Test("host ports are compared among containers that run together only")
    func hostPorts() {
        func container(_ name: String, _ more: String = "") -> String {
            #"{"name":"\#(name)","image":"i","ports":[{"containerPort":1,"hostPort":80}]\#(more)}"#
        }
        let apart = #"{"initContainers":[\#(container("a")),\#(container("b"))],"containers":[\#(container("c"))]}"#
        #expect(faults { try pod(spec: apart) } == [])
        let sidecar = container("a", #","restartPolicy":"Always""#)
        #expect(
            faults { try pod(spec: #"{"initContainers":[\#(sidecar)],"containers":[\#(container("c"))]}"#) } == [
                #"spec.containers[0].ports[0].hostPort: Duplicate value: "TCP//80""#
            ])
    }

    @Test("in the host's network a port is the host's")
    func hostNetworkPorts() throws {
        let served = try pod(container: #""ports":[{"containerPort":80}]"#, spec: #""hostNetwork":true"#)
        #expect(served.spec.containers[0].ports[0].hostPort == 80)
        #expect(
            faults {
                try pod(container: #""ports":[{"containerPort":80,"hostPort":81}]"#, spec: #""hostNetwork":true"#)
            } == [
                "spec.containers[0].ports[0].containerPort: Invalid value: 80: must match `hostPort` when `hostNetwork` is true"
            ])
    }
}
