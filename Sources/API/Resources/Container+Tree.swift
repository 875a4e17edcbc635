// Containers as trees.

import JSONTree

extension Container {
    func tree(in kind: Kind) -> JSONValue {
        var tree: JSONObject = ["name": .string(name), "image": .string(image)]
        tree["imagePullPolicy"] = .string(imagePullPolicy.rawValue)
        tree.set("command", (command ?? []).map { .string($0) })
        tree.set("args", (args ?? []).map { .string($0) })
        tree.set("workingDir", workingDir)
        if kind == .initial, isSidecar { tree["restartPolicy"] = "Always" }
        tree.set("ports", ports.map(\.tree))
        tree.set("env", env.map(\.tree))
        tree.set("resources", resources.tree)
        tree.set("volumeMounts", volumeMounts.map(\.tree))
        tree.set("lifecycle", lifecycle.tree)
        tree["terminationMessagePath"] = .string(terminationMessagePath)
        tree["terminationMessagePolicy"] = .string(terminationMessagePolicy.rawValue)
        tree.set("securityContext", securityContext.tree)
        tree.set("stdin", stdin)
        tree.set("stdinOnce", stdinOnce)
        tree.set("tty", tty)
        return .object(tree)
    }
}

extension ContainerPort {
    var tree: JSONValue {
        var tree: JSONObject = [:]
        tree.set("name", name)
        tree["containerPort"] = .integer(Int64(containerPort))
        tree["hostPort"] = hostPort.map { .integer(Int64($0)) }
        tree.set("hostIP", hostIP)
        tree["protocol"] = .string(self.protocol.rawValue)
        return .object(tree)
    }
}

extension EnvVar {
    var tree: JSONValue {
        switch source {
        case .value(let value): ["name": .string(name), "value": .string(value)]
        case .field(let path):
            ["name": .string(name), "valueFrom": ["fieldRef": ["apiVersion": "v1", "fieldPath": .string(path)]]]
        }
    }
}

extension ResourceRequirements {
    var tree: JSONValue {
        var tree: JSONObject = [:]
        tree.set("limits", limits.tree)
        tree.set("requests", requests.tree)
        return .object(tree)
    }
}

extension ResourceRequirements.Amounts {
    var tree: JSONValue {
        var tree: JSONObject = [:]
        tree.set("cpu", cpu?.canonical)
        tree.set("memory", memory?.canonical)
        return .object(tree)
    }
}

extension VolumeMount {
    var tree: JSONValue {
        var tree: JSONObject = ["name": .string(name), "mountPath": .string(mountPath)]
        tree.set("readOnly", readOnly)
        tree.set("subPath", subPath)
        if mountPropagation != .none { tree["mountPropagation"] = .string(mountPropagation.rawValue) }
        return .object(tree)
    }
}

extension Lifecycle {
    var tree: JSONValue {
        var tree: JSONObject = [:]
        tree["postStart"] = postStart.map { ["exec": ["command": .strings($0)]] }
        tree["preStop"] = preStop.map { ["exec": ["command": .strings($0)]] }
        return .object(tree)
    }
}

extension SecurityContext {
    var tree: JSONValue {
        var tree: JSONObject = [:]
        tree["runAsUser"] = runAsUser.map { .integer($0) }
        tree["runAsGroup"] = runAsGroup.map { .integer($0) }
        tree["runAsNonRoot"] = runAsNonRoot.map { .bool($0) }
        tree.set("privileged", privileged)
        var capabilities: JSONObject = [:]
        capabilities.set("add", capabilitiesAdd.map { .string($0) })
        capabilities.set("drop", capabilitiesDrop.map { .string($0) })
        tree.set("capabilities", .object(capabilities))
        tree.set("readOnlyRootFilesystem", readOnlyRootFilesystem)
        tree["allowPrivilegeEscalation"] = allowPrivilegeEscalation.map { .bool($0) }
        tree["seccompProfile"] = seccompProfile?.tree
        if procMount != .default { tree["procMount"] = .string(procMount.rawValue) }
        return .object(tree)
    }
}
