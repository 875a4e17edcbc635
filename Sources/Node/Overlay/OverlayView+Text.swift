import JSONTree
import Netlink

extension OverlayView {
    /// Tables for a person: devices, nodes, and below them what is wrong, a line each.
    public var text: String {
        var text = ""
        var head = "backend \(backend.rawValue)"
        if backend.encapsulates { head += ", VNI \(vni), UDP port \(port)" }
        if let podMTU { head += ", MTU of pods \(podMTU)" }
        text += head + "\n\n"
        if !devices.isEmpty {
            text +=
                Self.table(
                    [["DEVICE", "STATUS", "MTU", "OVER", "RECEIVED", "SENT", "ERRORS"]]
                        + devices.map { device in
                            let over = [device.underlay, device.local.map { "\($0)" } ?? ""]
                            return [
                                device.name, device.status.word, "\(device.mtu)",
                                over.filter { !$0.isEmpty }.joined(separator: " "),
                                device.counters.map { "\($0.receivedPackets) (\(Self.size($0.receivedBytes)))" } ?? "",
                                device.counters.map { "\($0.sentPackets) (\(Self.size($0.sentBytes)))" } ?? "",
                                device.counters.map { "\($0.receiveErrors + $0.sendErrors)" } ?? "",
                            ]
                        }) + "\n"
        }
        var rows = [["NODE", "PUBLIC ADDRESS", "POD NETWORK", "WAY", "ROUTE", "NEIGHBOUR", "FORWARDING"]]
        for node in nodes {
            var start = [node.name, node.publicAddresses.map { "\($0)" }.joined(separator: " ")]
            for network in node.networks {
                let statuses = [network.route, network.neighbour, network.forwarding].map(\.word)
                rows.append(start + ["\(network.network)", network.way] + statuses)
                start = ["", ""]
            }
            if node.networks.isEmpty { rows.append(start + ["<none>", "none", "-", "-", "-"]) }
        }
        text += Self.table(rows)
        let faults = faults + problems.map(\.description)
        return faults.isEmpty ? text : text + "\n" + faults.map { Self.printable($0) + "\n" }.joined()
    }

    /// What is missing or wrong, a line each.
    private var faults: [String] {
        var lines: [String] = []
        func note(_ what: String, _ status: Status) {
            switch status {
            case .missing: lines.append("\(what) is missing")
            case .wrong(let found): lines.append("\(what) is wrong: found \(found)")
            case .ok, .notNeeded: break
            }
        }
        for device in devices { note("device \(device.name)", device.status) }
        for node in nodes {
            for network in node.networks {
                note("node \(node.name): route \(network.network)", network.route)
                note("node \(node.name): neighbour \(network.network.address)", network.neighbour)
                note("node \(node.name): forwarding entry for \(network.network)", network.forwarding)
            }
        }
        return lines
    }

    /// `1.5 MiB`
    private static func size(_ bytes: UInt64) -> String {
        var (value, unit) = (bytes * 10, 0)
        let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
        if bytes > .max / 10 { (value, unit) = (bytes / 1024 * 10, 1) }
        while value >= 10240, unit < units.count - 1 { (value, unit) = (value / 1024, unit + 1) }
        return unit == 0 || value >= 1000
            ? "\(value / 10) \(units[unit])" : "\(value / 10).\(value % 10) \(units[unit])"
    }

    private static func table(_ rows: [[String]]) -> String {
        let rows = rows.map { $0.map(printable) }
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

    /// Names come from outside: none of them moves the cursor.
    private static func printable(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 32 || $0.value == 127 ? "?" : $0 }))
    }
}

extension OverlayView {
    /// The same as JSON.
    public var json: JSONValue {
        var object: JSONObject = ["backend": .string(backend.rawValue)]
        if backend.encapsulates {
            object["vni"] = JSONValue(vni)
            object["port"] = JSONValue(port)
        }
        if let podMTU { object["podMTU"] = JSONValue(podMTU) }
        object["devices"] = .array(devices.map(Self.json))
        object["nodes"] = .array(
            nodes.map { node in
                .object([
                    "name": .string(node.name), "isOwn": .bool(node.isOwn),
                    "publicAddresses": .array(node.publicAddresses.map { .string("\($0)") }),
                    "networks": .array(node.networks.map(Self.json)),
                ])
            })
        object["problems"] = .array(
            problems.map { .object(["kind": .string($0.kind.rawValue), "message": .string($0.message)]) })
        return .object(object)
    }

    private static func json(_ device: Device) -> JSONValue {
        var object: JSONObject = [
            "name": .string(device.name), "status": json(device.status), "mtu": JSONValue(device.mtu),
        ]
        if let mac = device.mac { object["mac"] = .string("\(mac)") }
        if !device.underlay.isEmpty { object["underlay"] = .string(device.underlay) }
        if let local = device.local { object["local"] = .string("\(local)") }
        if let counters = device.counters {
            object["counters"] = .object([
                "receivedPackets": JSONValue(counters.receivedPackets),
                "receivedBytes": JSONValue(counters.receivedBytes),
                "sentPackets": JSONValue(counters.sentPackets), "sentBytes": JSONValue(counters.sentBytes),
                "receiveErrors": JSONValue(counters.receiveErrors), "sendErrors": JSONValue(counters.sendErrors),
                "receiveDrops": JSONValue(counters.receiveDrops), "sendDrops": JSONValue(counters.sendDrops),
            ])
        }
        return .object(object)
    }

    private static func json(_ network: Network) -> JSONValue {
        .object([
            "network": .string("\(network.network)"), "way": .string(network.way), "route": json(network.route),
            "neighbour": json(network.neighbour), "forwarding": json(network.forwarding),
        ])
    }

    private static func json(_ status: Status) -> JSONValue {
        switch status {
        case .ok: .object(["status": "ok"])
        case .missing: .object(["status": "missing"])
        case .wrong(let found): .object(["status": "wrong", "found": .string(found)])
        case .notNeeded: .object(["status": "notNeeded"])
        }
    }
}
