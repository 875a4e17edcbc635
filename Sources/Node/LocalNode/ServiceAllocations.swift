// Which Service has which cluster IP and node ports. Decided once and kept: rules, connections and people's bookmarks
// depend on them. This file decides and knows no disk.
import JSONTree
import Resources

/// Why a Service cannot be served: one line for the log.
public struct ServiceConflict: Error, Hashable, Sendable, CustomStringConvertible {
    /// `namespace/name`
    public let service: String
    public let problem: String
    public var description: String { "service \(service): \(problem)" }
}

/// The addresses and ports that Services have. A value; ``ServiceAllocationFile`` keeps it on disk.
struct ServiceAllocations: Sendable, Hashable {
    /// A node port is its own thing for each protocol.
    struct NodePort: Sendable, Hashable {
        let transport: PortProtocol
        let number: UInt16
    }

    struct Grant: Sendable, Hashable {
        /// Empty for a headless Service.
        var clusterIP = ""
        /// By the port's key, see ``key(of:)``.
        var nodePorts: [String: NodePort] = [:]
    }

    /// By `namespace/name`.
    private(set) var grants: [String: Grant] = [:]

    static func key(of service: Service) -> String { "\(service.metadata.namespace)/\(service.metadata.name)" }

    /// What keeps a port's identity when its list is reordered: its name, or protocol and number.
    static func key(of port: ServicePort) -> String { port.name ?? "\(port.protocol.rawValue)/\(port.port)" }

    /// Gives every Service of `desired` what it asks for and what it had; lets go of what belongs to no Service any more.
    ///
    /// A Service that asks for something of another's, or outside of the ranges, is a conflict: it keeps its grant, if it
    /// has one, but is not in the answer. Who has something keeps it; of two newcomers the one that comes first in
    /// `desired` gets it, and what is asked for by number goes before what is handed out.
    mutating func assign(_ desired: [Service], range: ServiceRange) -> (
        services: [Service], conflicts: [ServiceConflict]
    ) {
        let names = Set(desired.map(Self.key))
        grants = grants.filter { names.contains($0.key) }
        var conflicts: [ServiceConflict] = []
        var accepted: [Service] = []
        var ledger = Ledger(range: range)
        // What is held already, for the Services that still want it.
        for service in desired {
            let key = Self.key(of: service)
            if let grant = grants[key] {
                ledger.take(ledger.left(of: grant.wanted(by: service, in: range), for: key), for: key)
            }
        }
        for service in desired {
            do throws(ServiceConflict) {
                let key = Self.key(of: service)
                let held = grants[key]?.wanted(by: service, in: range) ?? Grant()
                grants[key] = try ledger.explicit(service, held: ledger.left(of: held, for: key))
                accepted.append(service)
            } catch {
                conflicts.append(error)
            }
        }
        var services: [Service] = []
        for service in accepted {
            let key = Self.key(of: service)
            do throws(ServiceConflict) {
                let grant = try ledger.complete(service, grants[key] ?? Grant())
                grants[key] = grant
                services.append(service.applying(grant))
            } catch {
                conflicts.append(error)
            }
        }
        // Of a grant that is kept but not used, somebody else may have been given a part: then it is theirs.
        for conflict in conflicts {
            if let grant = grants[conflict.service] {
                grants[conflict.service] = ledger.left(of: grant, for: conflict.service)
            }
        }
        return (services, conflicts)
    }
}

extension ServiceAllocations.Grant {
    /// The part of what was granted that still fits what the Service says now.
    fileprivate func wanted(by service: Service, in range: ServiceRange) -> Self {
        var kept = Self()
        let asked = service.spec.clusterIP
        if asked.isEmpty ? range.contains(clusterIP) : asked == clusterIP { kept.clusterIP = clusterIP }
        guard service.spec.type == .nodePort else { return kept }
        for port in service.spec.ports {
            let key = ServiceAllocations.key(of: port)
            guard let granted = nodePorts[key], granted.transport == port.protocol,
                port.nodePort == nil || port.nodePort == granted.number
            else { continue }
            kept.nodePorts[key] = granted
        }
        return kept
    }
}

/// Who has what while a list of Services is gone through.
private struct Ledger {
    typealias Grant = ServiceAllocations.Grant
    typealias NodePort = ServiceAllocations.NodePort

    let range: ServiceRange
    private var addresses: [String: String] = [:]
    private var ports: [NodePort: String] = [:]

    init(range: ServiceRange) { self.range = range }

    mutating func take(_ grant: Grant, for owner: String) {
        if !grant.clusterIP.isEmpty, grant.clusterIP != "None" { addresses[grant.clusterIP] = owner }
        for port in grant.nodePorts.values { ports[port] = owner }
    }

    /// The part of `grant` that nobody but `owner` has.
    func left(of grant: Grant, for owner: String) -> Grant {
        var left = grant
        if let other = addresses[grant.clusterIP], other != owner { left.clusterIP = "" }
        left.nodePorts = grant.nodePorts.filter { (ports[$0.value] ?? owner) == owner }
        return left
    }

    /// Takes what the Service asks for by number, on top of what it holds.
    mutating func explicit(_ service: Service, held: Grant) throws(ServiceConflict) -> Grant {
        let owner = ServiceAllocations.key(of: service)
        func conflict(_ problem: String) -> ServiceConflict { ServiceConflict(service: owner, problem: problem) }
        var grant = held
        let asked = service.spec.clusterIP
        if asked == "None" {
            grant.clusterIP = "None"
        } else if !asked.isEmpty, grant.clusterIP != asked {
            guard range.contains(asked) else {
                throw conflict("spec.clusterIP: \(asked) is not in the service CIDR \(range)")
            }
            if let other = addresses[asked] { throw conflict("spec.clusterIP: \(asked) belongs to Service \(other)") }
            grant.clusterIP = asked
        }
        if service.spec.type == .nodePort {
            for (index, port) in service.spec.ports.enumerated() {
                let key = ServiceAllocations.key(of: port)
                guard let number = port.nodePort, grant.nodePorts[key]?.number != number else { continue }
                let path = "spec.ports[\(index)].nodePort: \(number)"
                guard NodePortRange.ports.contains(number) else {
                    throw conflict(
                        "\(path) is not in \(NodePortRange.ports.lowerBound)-\(NodePortRange.ports.upperBound)")
                }
                let wanted = NodePort(transport: port.protocol, number: number)
                if let other = ports[wanted] {
                    throw conflict("\(path)/\(port.protocol.rawValue) belongs to Service \(other)")
                }
                if grant.nodePorts.contains(where: { $0.key != key && $0.value == wanted }) {
                    throw conflict("\(path)/\(port.protocol.rawValue) is asked for twice")
                }
                grant.nodePorts[key] = wanted
            }
        }
        take(grant, for: owner)
        return grant
    }

    /// Hands out what is still missing.
    mutating func complete(_ service: Service, _ explicit: Grant) throws(ServiceConflict) -> Grant {
        let owner = ServiceAllocations.key(of: service)
        var grant = explicit
        if grant.clusterIP.isEmpty {
            guard let address = freeAddress(for: owner) else {
                throw ServiceConflict(service: owner, problem: "no cluster IP of \(range) is free")
            }
            grant.clusterIP = address
        }
        if service.spec.type == .nodePort {
            for port in service.spec.ports {
                let key = ServiceAllocations.key(of: port)
                guard grant.nodePorts[key] == nil else { continue }
                guard let number = freePort(port.protocol, for: "\(owner)/\(key)") else {
                    throw ServiceConflict(service: owner, problem: "no node port is free")
                }
                grant.nodePorts[key] = NodePort(transport: port.protocol, number: number)
                ports[NodePort(transport: port.protocol, number: number)] = owner
            }
        }
        take(grant, for: owner)
        return grant
    }

    /// The first free address from one that the name decides, so that a Service finds its address again also where the
    /// record was lost.
    private func freeAddress(for name: String) -> String? {
        let band = min(range.staticBand, range.capacity)
        let dynamic = range.capacity - band
        if let address = search(dynamic, from: name, { free(range.address(at: band + $0)) }) { return address }
        return search(band, from: name, { free(range.address(at: $0)) })
    }

    private func free(_ address: String) -> String? { addresses[address] == nil ? address : nil }

    private func freePort(_ transport: PortProtocol, for name: String) -> UInt16? {
        let first = NodePortRange.ports.lowerBound
        let band = NodePortRange.staticBand
        func free(_ number: UInt16) -> UInt16? {
            ports[NodePort(transport: transport, number: number)] == nil ? number : nil
        }
        let dynamic = UInt32(NodePortRange.ports.upperBound - first + 1 - band)
        if let port = search(dynamic, from: name, { free(first + band + UInt16($0)) }) { return port }
        return search(UInt32(band), from: name, { free(first + UInt16($0)) })
    }

    private func search<Value>(_ count: UInt32, from name: String, _ free: (UInt32) -> Value?) -> Value? {
        guard count > 0 else { return nil }
        let start = UInt32(truncatingIfNeeded: stableHash(name.utf8) % UInt64(count))
        for step in 0..<count {
            if let value = free((start + step) % count) { return value }
        }
        return nil
    }

}

/// FNV-1a, 64 bits: the same in every process, unlike Hasher.
func stableHash(_ bytes: some Sequence<UInt8>) -> UInt64 {
    bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
}

extension Service {
    /// The Service with its cluster IP and node ports filled in.
    fileprivate func applying(_ grant: ServiceAllocations.Grant) -> Service {
        var service = self
        service.spec.clusterIP = grant.clusterIP
        for index in service.spec.ports.indices {
            service.spec.ports[index].nodePort =
                grant.nodePorts[ServiceAllocations.key(of: service.spec.ports[index])]?.number
        }
        return service
    }
}

// MARK: - On disk

extension ServiceAllocations {
    var tree: JSONValue {
        let services = grants.sorted { $0.key < $1.key }.map { name, grant -> (String, JSONValue) in
            let ports = grant.nodePorts.sorted { $0.key < $1.key }.map { key, port -> (String, JSONValue) in
                (key, ["protocol": .string(port.transport.rawValue), "port": JSONValue(port.number)])
            }
            return (name, ["clusterIP": .string(grant.clusterIP), "nodePorts": .object(JSONObject(ports))])
        }
        return .object(JSONObject(services))
    }

    /// nil where the tree is not what ``tree`` makes.
    init?(tree: JSONValue) {
        guard let services = tree.objectValue else { return nil }
        for (name, value) in services {
            guard let clusterIP = value["clusterIP"]?.stringValue, let ports = value["nodePorts"]?.objectValue else {
                return nil
            }
            var grant = Grant(clusterIP: clusterIP)
            for (key, port) in ports {
                guard let transport = port["protocol"]?.stringValue.flatMap(PortProtocol.init(rawValue:)),
                    let number = port["port"]?.integerValue.flatMap(UInt16.init(exactly:))
                else { return nil }
                grant.nodePorts[key] = NodePort(transport: transport, number: number)
            }
            grants[name] = grant
        }
    }
}
