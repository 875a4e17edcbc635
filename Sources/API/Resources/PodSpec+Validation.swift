// What must hold between the fields of a pod (core validation of Kubernetes 1.32). What one field may hold is checked
// where it is read.

import JSONTree

extension PodSpec {
    /// What is wrong with the pod's parts taken together; `path` is where the spec stands.
    func faults(at path: JSONPath) -> [FieldError] {
        var faults: [FieldError] = []
        if containers.isEmpty { faults.append(.required(path.field("containers"))) }
        let located = locatedContainers(path)
        let names = located.map { ($0.container.name, $0.path.field("name")) }
        let volumes = self.volumes.enumerated().map { ($1.name, path.field("volumes").index($0).field("name")) }
        faults += duplicates(names) + duplicates(volumes)
        let volumeNames = Set(self.volumes.map(\.name))
        for (container, path) in located {
            faults += container.mountFaults(path, volumeNames) + container.portFaults(path, hostNetwork: hostNetwork)
        }
        // App containers and sidecars run together, every other init container alone.
        let apps = located[initContainers.count...]
        let initial = located[..<initContainers.count]
        faults += hostPortFaults(initial.filter(\.container.isSidecar) + apps)
        for one in initial where !one.container.isSidecar { faults += hostPortFaults([one]) }
        faults += namespaceFaults(path) + dnsFaults(path) + sysctlFaults(path.field("securityContext").field("sysctls"))
        return faults
    }

    typealias LocatedContainer = (container: Container, path: JSONPath)

    private func locatedContainers(_ path: JSONPath) -> [LocatedContainer] {
        initContainers.enumerated().map { ($1, path.field("initContainers").index($0)) }
            + containers.enumerated().map { ($1, path.field("containers").index($0)) }
    }

    private func namespaceFaults(_ path: JSONPath) -> [FieldError] {
        guard shareProcessNamespace, hostPID else { return [] }
        let message = "ShareProcessNamespace and HostPID cannot both be enabled"
        return [.invalid(path.field("shareProcessNamespace"), true, message)]
    }

    private func dnsFaults(_ path: JSONPath) -> [FieldError] {
        guard dnsPolicy == .none else { return [] }
        let path = path.field("dnsConfig")
        guard let dnsConfig else { return [.required(path, "must provide `dnsConfig` when `dnsPolicy` is None")] }
        let message = "must provide at least one DNS nameserver when `dnsPolicy` is None"
        return dnsConfig.nameservers.isEmpty ? [.required(path.field("nameservers"), message)] : []
    }

    private func sysctlFaults(_ path: JSONPath) -> [FieldError] {
        let sysctls = securityContext.sysctls
        let names = sysctls.enumerated().map { ($1.dotted, path.index($0).field("name")) }
        var faults = duplicates(names)
        for (index, sysctl) in sysctls.enumerated() {
            let name = path.index(index).field("name")
            if hostNetwork, sysctl.isNetwork {
                faults.append(.invalid(name, .string(sysctl.name), "may not be specified when 'hostNetwork' is true"))
            }
            if hostIPC, sysctl.isIPC {
                faults.append(.invalid(name, .string(sysctl.name), "may not be specified when 'hostIPC' is true"))
            }
        }
        return faults
    }

    /// Two containers that run at a time cannot have one port of the host.
    private func hostPortFaults(_ containers: [LocatedContainer]) -> [FieldError] {
        let ports = containers.flatMap { container, path in
            container.ports.enumerated().compactMap { index, port -> (String, JSONPath)? in
                guard let hostPort = port.hostPort, hostPort != 0 else { return nil }
                let place = path.field("ports").index(index).field("hostPort")
                return ("\(port.protocol.rawValue)/\(port.hostIP ?? "")/\(hostPort)", place)
            }
        }
        return duplicates(ports)
    }
}

/// A `Duplicate value` for each text that was there before. Empty ones are missing, not duplicates.
func duplicates(_ texts: [(String, JSONPath)]) -> [FieldError] {
    var seen: Set<String> = []
    return texts.compactMap { text, path in
        text.isEmpty || seen.insert(text).inserted ? nil : .duplicate(path, .string(text))
    }
}

extension Container {
    fileprivate func mountFaults(_ path: JSONPath, _ volumes: Set<String>) -> [FieldError] {
        var faults: [FieldError] = []
        var targets: Set<String> = []
        for (index, mount) in volumeMounts.enumerated() {
            let path = path.field("volumeMounts").index(index)
            if !mount.name.isEmpty, !volumes.contains(mount.name) {
                faults.append(.notFound(path.field("name"), .string(mount.name)))
            }
            if !mount.mountPath.isEmpty, !targets.insert(mount.mountPath).inserted {
                faults.append(.invalid(path.field("mountPath"), .string(mount.mountPath), "must be unique"))
            }
            if mount.mountPropagation == .bidirectional, !securityContext.privileged {
                let message = "Bidirectional mount propagation is available only to privileged containers"
                faults.append(.forbidden(path.field("mountPropagation"), message))
            }
        }
        return faults
    }

    fileprivate func portFaults(_ path: JSONPath, hostNetwork: Bool) -> [FieldError] {
        let path = path.field("ports")
        var faults = duplicates(ports.enumerated().map { ($1.name ?? "", path.index($0).field("name")) })
        for (index, port) in ports.enumerated() where hostNetwork && port.hostPort != port.containerPort {
            let message = "must match `hostPort` when `hostNetwork` is true"
            let place = path.index(index).field("containerPort")
            faults.append(.invalid(place, .integer(Int64(port.containerPort)), message))
        }
        return faults
    }
}
