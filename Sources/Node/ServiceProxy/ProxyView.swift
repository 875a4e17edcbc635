// What the kernel's table says, by Service: for `swiftlet proxy show`. Read from the table alone, so it works when no
// agent runs, and shows what packets meet rather than what somebody meant.
import JSONTree
import NFTables

/// The proxy's table, read back.
public struct ProxyView: Sendable, Hashable {
    /// One port of one Service.
    public struct Service: Sendable, Hashable {
        public var namespace: String
        public var name: String
        /// The port's name, or its number where it has none; empty where the names left no room for it.
        public var port: String
        public var frontends: [FrontendView]

        /// `default/web:http`
        public var title: String { "\(namespace)/\(name)" + (port.isEmpty ? "" : ":\(port)") }
    }

    /// One address or NodePort of it, and where connections to it go.
    public struct FrontendView: Sendable, Hashable {
        public var frontend: Frontend
        /// The number of slots that a connection draws from; 0 where it is refused for want of endpoints.
        public var slots: Int
        public var endpoints: [EndpointView]
    }

    /// One endpoint and the slots that lead to it: its share is their number out of all.
    public struct EndpointView: Sendable, Hashable {
        public var backend: Backend
        public var slots: [Int]
    }

    /// By namespace, name and port.
    public let services: [Service]

    /// Reads `table`, a dump with elements. Elements that are not as the proxy writes them are left out.
    public init(_ table: Table) {
        let layout = SlotLayout(table)
        var found: [String: [FrontendView]] = [:]
        for map in [MapName.frontends, .nodePorts] {
            for element in table[set: map.rawValue]?.elements ?? [] {
                guard let frontend = Frontend(key: element.key), case .verdict(.goto(let chain)) = element.value
                else { continue }
                let slots = PickChain(name: chain)?.slots ?? 0
                var endpoints: [Backend: [Int]] = [:]
                for (slot, backend) in (layout.slots[frontend] ?? []).prefix(slots).enumerated() {
                    endpoints[backend, default: []].append(slot)
                }
                let views = endpoints.map { EndpointView(backend: $0.key, slots: $0.value) }
                found[element.comment ?? "", default: []].append(
                    FrontendView(
                        frontend: frontend, slots: slots, endpoints: views.sorted { $0.backend < $1.backend }))
            }
        }
        services = found.map { comment, frontends in
            Service(comment: comment, frontends: frontends.sorted { $0.frontend < $1.frontend })
        }.sorted { ($0.namespace, $0.name, $0.port) < ($1.namespace, $1.name, $1.port) }
    }

    private init(services: [Service]) { self.services = services }

    /// The table that `configuration` names, read through `socket`; nil where there is none.
    public static func read(
        through socket: inout NFTablesSocket, table: TableName = TableName(.ipv4, "swiftlet-proxy")
    ) throws(NFTablesError) -> ProxyView? { try socket.table(table).map(ProxyView.init) }

    /// Only what `service` names: `web`, `default/web` or `default/web:http`.
    public func matching(_ service: String) -> ProxyView {
        ProxyView(
            services: services.filter {
                [$0.name, "\($0.name):\($0.port)", "\($0.namespace)/\($0.name)", $0.title].contains(service)
            })
    }
}

extension ProxyView.Service {
    /// From an element's comment, `namespace/name:port`.
    fileprivate init(comment: String, frontends: [ProxyView.FrontendView]) {
        let colon = comment.firstIndex(of: ":") ?? comment.endIndex
        let names = comment[..<colon].split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        self.init(
            namespace: names.count == 2 ? String(names[0]) : "", name: String(names.last ?? ""),
            port: String(comment[colon...].dropFirst()), frontends: frontends)
    }
}

extension ProxyView.FrontendView {
    /// How a connection is answered: by a `random` slot, or with a `reject`.
    public var policy: String { slots == 0 ? "reject" : "random" }

    /// `ClusterIP` or `NodePort`.
    public var kind: String { frontend.isNodePort ? "NodePort" : "ClusterIP" }
}

extension ProxyView {
    /// Columns for a person; what would be repeated from the line above is left blank.
    public var text: String {
        var rows = [["SERVICE", "TYPE", "FRONTEND", "POLICY", "ENDPOINT", "SLOTS"]]
        for service in services {
            var title = service.title
            for view in service.frontends {
                var start = [title, view.kind, "\(view.frontend)", view.policy]
                for endpoint in view.endpoints {
                    rows.append(start + ["\(endpoint.backend)", Self.ranges(endpoint.slots)])
                    start = ["", "", "", ""]
                }
                if view.endpoints.isEmpty { rows.append(start + ["<none>", ""]) }
                title = ""
            }
        }
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            var line = ""
            for (cell, width) in zip(row, widths) {
                line += cell + String(repeating: " ", count: width - cell.count + 3)
            }
            while line.last == " " { line.removeLast() }
            return line + "\n"
        }.joined()
    }

    /// `0-2,7`
    private static func ranges(_ slots: [Int]) -> String {
        var parts: [ClosedRange<Int>] = []
        for slot in slots {
            if let last = parts.last, last.upperBound + 1 == slot {
                parts[parts.count - 1] = last.lowerBound...slot
            } else {
                parts.append(slot...slot)
            }
        }
        return parts.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
            .joined(separator: ",")
    }

    /// The same as JSON.
    public var json: JSONValue {
        .object(JSONObject([("services", .array(services.map(Self.json)))]))
    }

    private static func json(_ service: Service) -> JSONValue {
        var object = JSONObject([
            ("namespace", .string(service.namespace)), ("name", .string(service.name)),
            ("port", .string(service.port)),
        ])
        for view in service.frontends {
            switch view.frontend {
            case .cluster(let address, _, _): object["clusterIP"] = .string("\(address)")
            case .node(_, let port): object["nodePort"] = .integer(Int64(port))
            }
        }
        object["frontends"] = .array(service.frontends.map(json))
        return .object(object)
    }

    private static func json(_ view: FrontendView) -> JSONValue {
        var members: [(String, JSONValue)] = [("type", .string(view.kind))]
        switch view.frontend {
        case .cluster(let address, let transport, let port):
            members.append(("address", .string("\(address)")))
            members.append(("port", .integer(Int64(port))))
            members.append(("protocol", .string(transport.name.uppercased())))
        case .node(let transport, let port):
            members.append(("port", .integer(Int64(port))))
            members.append(("protocol", .string(transport.name.uppercased())))
        }
        members.append(("policy", .string(view.policy)))
        members.append(("slots", .integer(Int64(view.slots))))
        let endpoints = view.endpoints.map { endpoint in
            JSONValue.object(
                JSONObject([
                    ("address", .string("\(endpoint.backend.address)")),
                    ("port", .integer(Int64(endpoint.backend.port))),
                    ("slots", .array(endpoint.slots.map { .integer(Int64($0)) })),
                ]))
        }
        members.append(("endpoints", .array(endpoints)))
        return .object(JSONObject(members))
    }
}
