// A Pod as a tree: for the disk, for `inspect`, and for reading back. Everything is said, defaults too, but what is
// empty or false by default is left out.

import JSONTree

extension Pod {
    /// The Pod as a v1 Pod object. `Pod(tree:)` of it gives this Pod again.
    public var tree: JSONValue {
        ["apiVersion": "v1", "kind": "Pod", "metadata": metadata.tree, "spec": spec.tree]
    }
}

extension PodSpec {
    var tree: JSONValue {
        var tree: JSONObject = [:]
        tree.set("initContainers", initContainers.map { $0.tree(in: .initial) })
        tree["containers"] = .array(containers.map { $0.tree(in: .app) })
        tree.set("volumes", volumes.map(\.tree))
        tree["restartPolicy"] = .string(restartPolicy.rawValue)
        tree["terminationGracePeriodSeconds"] = .integer(terminationGracePeriodSeconds)
        tree["activeDeadlineSeconds"] = activeDeadlineSeconds.map { .integer($0) }
        tree["dnsPolicy"] = .string(dnsPolicy.rawValue)
        tree["dnsConfig"] = dnsConfig?.tree
        tree.set("hostNetwork", hostNetwork)
        tree.set("hostPID", hostPID)
        tree.set("hostIPC", hostIPC)
        tree.set("shareProcessNamespace", shareProcessNamespace)
        tree.set("hostname", hostname)
        tree.set("subdomain", subdomain)
        tree.set("setHostnameAsFQDN", setHostnameAsFQDN)
        tree.set("hostAliases", hostAliases.map { ["ip": .string($0.ip), "hostnames": .strings($0.hostnames)] })
        tree.set("securityContext", securityContext.tree)
        tree.set("nodeName", nodeName)
        tree.set("serviceAccountName", serviceAccountName)
        return .object(tree)
    }
}

extension DNSConfig {
    var tree: JSONValue {
        var tree: JSONObject = [:]
        tree.set("nameservers", nameservers.map { .string($0) })
        tree.set("searches", searches.map { .string($0) })
        tree.set(
            "options",
            options.map { option in
                var tree: JSONObject = ["name": .string(option.name)]
                tree["value"] = option.value.map { .string($0) }
                return .object(tree)
            })
        return .object(tree)
    }
}

extension PodSecurityContext {
    var tree: JSONValue {
        var tree: JSONObject = [:]
        tree["runAsUser"] = runAsUser.map { .integer($0) }
        tree["runAsGroup"] = runAsGroup.map { .integer($0) }
        tree["runAsNonRoot"] = runAsNonRoot.map { .bool($0) }
        tree["fsGroup"] = fsGroup.map { .integer($0) }
        tree.set("fsGroupChangePolicy", fsGroupChangePolicy?.rawValue)
        tree.set("supplementalGroups", supplementalGroups.map { .integer($0) })
        if supplementalGroupsPolicy != .merge {
            tree["supplementalGroupsPolicy"] = .string(supplementalGroupsPolicy.rawValue)
        }
        tree["seccompProfile"] = seccompProfile?.tree
        tree.set("sysctls", sysctls.map { ["name": .string($0.name), "value": .string($0.value)] })
        return .object(tree)
    }
}

extension SeccompProfileReference {
    var tree: JSONValue {
        switch self {
        case .runtimeDefault: ["type": "RuntimeDefault"]
        case .unconfined: ["type": "Unconfined"]
        case .localhost(let path): ["type": "Localhost", "localhostProfile": .string(path)]
        }
    }
}

extension Volume {
    var tree: JSONValue {
        var tree: JSONObject = ["name": .string(name)]
        switch source {
        case .emptyDir(let memory, let sizeLimit):
            var source: JSONObject = [:]
            if memory { source["medium"] = "Memory" }
            source["sizeLimit"] = sizeLimit.map { .string(String($0)) }
            tree["emptyDir"] = .object(source)
        case .hostPath(let path, let type):
            tree["hostPath"] = ["path": .string(path), "type": .string(type.rawValue)]
        }
        return .object(tree)
    }
}

extension JSONObject {
    /// Sets a member unless it says nothing.
    mutating func set(_ name: String, _ elements: [JSONValue]) {
        if !elements.isEmpty { self[name] = .array(elements) }
    }

    mutating func set(_ name: String, _ flag: Bool) {
        if flag { self[name] = true }
    }

    mutating func set(_ name: String, _ text: String?) {
        if let text { self[name] = .string(text) }
    }

    mutating func set(_ name: String, _ object: JSONValue) {
        if object != [:] { self[name] = object }
    }
}
