// A Service as a tree.

import JSONTree

extension Service {
    /// The Service as a v1 Service object. `Service(tree:)` of it gives this Service again.
    public var tree: JSONValue {
        ["apiVersion": "v1", "kind": "Service", "metadata": metadata.tree, "spec": spec.tree]
    }
}

extension ServiceSpec {
    var tree: JSONValue {
        var tree: JSONObject = ["type": .string(type.rawValue)]
        if !clusterIP.isEmpty { tree["clusterIP"] = .string(clusterIP) }
        if !selector.isEmpty { tree["selector"] = .sortedMap(selector) }
        tree.set("ports", ports.map(\.tree))
        return .object(tree)
    }
}

extension ServicePort {
    var tree: JSONValue {
        var tree: JSONObject = [:]
        tree.set("name", name)
        tree["protocol"] = .string(self.protocol.rawValue)
        tree["port"] = .integer(Int64(port))
        switch targetPort {
        case .number(let number): tree["targetPort"] = .integer(Int64(number))
        case .name(let name): tree["targetPort"] = .string(name)
        }
        tree["nodePort"] = nodePort.map { .integer(Int64($0)) }
        return .object(tree)
    }
}
