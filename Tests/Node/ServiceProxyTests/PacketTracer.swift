// Walks a packet through a table as the kernel would: which verdict for which packet, without root.
import NFTables
import Netlink
import Testing

/// What becomes of the first packet of a connection.
enum Fate: Hashable {
    case untouched
    case dropped
    case reset
    case unreachable
    case sent(to: String, masqueraded: Bool)
}

struct Packet {
    var source: IPv4Address
    var destination: IPv4Address
    var transport: TransportProtocol
    var port: UInt16
    var mark: UInt32 = 0
    var isTranslated = false

    init(_ source: String, _ destination: String, _ transport: TransportProtocol, _ port: UInt16) throws {
        (self.source, self.destination) = (try address(source), try address(destination))
        (self.transport, self.port) = (transport, port)
    }
}

/// Runs the base chains of a table over a packet. Fails the test on a statement it does not know.
struct PacketTracer {
    let table: Table
    /// The node's own addresses.
    var localAddresses: Set<String> = []
    /// What `numgen random` gives: the slot, taken modulo the modulus.
    var roll: UInt32 = 0

    private enum Outcome { case goOn, accept, drop, reset, unreachable, returned }

    func fate(of packet: Packet, entering hook: String = "prerouting") throws -> Fate {
        var packet = packet
        switch try run(hook, &packet, masqueraded: nil) {
        case .drop: return .dropped
        case .reset: return .reset
        case .unreachable: return .unreachable
        default: break
        }
        guard packet.isTranslated else { return .untouched }
        var masqueraded = false
        try withUnsafeMutablePointer(to: &masqueraded) { _ = try run("postrouting", &packet, masqueraded: $0) }
        #expect(packet.mark == 0, "the proxy's mark does not leave the node")
        return .sent(to: "\(packet.destination):\(packet.port)", masqueraded: masqueraded)
    }

    private func run(
        _ name: String, _ packet: inout Packet, masqueraded: UnsafeMutablePointer<Bool>?
    ) throws -> Outcome {
        let chain = try #require(table[chain: name], "chain \(name)")
        for rule in chain.rules {
            let outcome = try run(rule, &packet, masqueraded)
            if case .goOn = outcome { continue }
            if case .returned = outcome { return .goOn }
            return outcome
        }
        return .goOn
    }

    private func run(
        _ rule: Rule, _ packet: inout Packet, _ masqueraded: UnsafeMutablePointer<Bool>?
    ) throws -> Outcome {
        for statement in rule.statements {
            switch statement {
            case .match(let left, let comparison, let right):
                guard try matches(left, comparison, right, packet) else { return .goOn }
            case .lookup(let key, let set, let negated):
                let bytes = try value(key, packet)
                let isThere = try #require(table[set: set]).elements.contains { $0.key == bytes }
                guard isThere != negated else { return .goOn }
            case .verdictMap(let key, let map):
                let bytes = try value(key, packet)
                guard let element = try #require(table[set: map]).elements.first(where: { $0.key == bytes }),
                    case .verdict(let verdict) = element.value
                else { return .goOn }
                let outcome = try follow(verdict, &packet, masqueraded)
                if case .goOn = outcome { continue }
                return outcome
            case .verdict(let verdict):
                let outcome = try follow(verdict, &packet, masqueraded)
                if case .goOn = outcome { continue }
                return outcome
            case .setMeta(.mark, let new): packet.mark = number(try value(new, packet))
            case .destinationNAT(.mapped(.map(let key, let map)), _):
                let bytes = try value(key, packet)
                guard let element = try #require(table[set: map]).elements.first(where: { $0.key == bytes }),
                    case .data(let target) = element.value
                else { return .goOn }
                packet.destination = IPv4Address(target.prefix(4).reduce(0) { $0 << 8 | UInt32($1) })
                packet.port = UInt16(target[4]) << 8 | UInt16(target[5])
                packet.isTranslated = true
                return .accept
            case .masquerade:
                masqueraded?.pointee = true
                return .accept
            case .reject(.tcpReset):
                guard packet.transport == .tcp else { return .goOn }
                return .reset
            case .reject: return .unreachable
            default: Issue.record("the tracer does not know \(statement)")
            }
        }
        return .goOn
    }

    private func follow(
        _ verdict: Verdict, _ packet: inout Packet, _ masqueraded: UnsafeMutablePointer<Bool>?
    ) throws -> Outcome {
        switch verdict {
        case .accept: return .accept
        case .drop: return .drop
        case .continue: return .goOn
        case .return: return .returned
        case .jump(let chain): return try run(chain, &packet, masqueraded: masqueraded)
        case .goto(let chain):
            let outcome = try run(chain, &packet, masqueraded: masqueraded)
            if case .goOn = outcome { return .returned }
            return outcome
        }
    }

    private func matches(
        _ left: Expression, _ comparison: Comparison, _ right: Literal, _ packet: Packet
    ) throws -> Bool {
        var bytes = try value(left, packet)
        if let prefix = right.prefixLength {
            bytes = Literal.ipv4(bytes.reduce(0) { $0 << 8 | UInt32($1) }, prefixLength: prefix).bytes
        }
        switch comparison {
        case .equal: return bytes == right.bytes
        case .notEqual: return bytes != right.bytes
        case .hasAnyOf: return zip(bytes, right.bytes).contains { $0 & $1 != 0 }
        default:
            Issue.record("the tracer does not know \(comparison)")
            return false
        }
    }

    private func value(_ expression: Expression, _ packet: Packet) throws -> [UInt8] {
        switch expression {
        case .literal(let literal): return literal.bytes
        case .payload(.ipSource): return packet.source.bytes
        case .payload(.ipDestination): return packet.destination.bytes
        case .payload(.transportDestination): return Literal.port(packet.port).bytes
        case .meta(.transportProtocol): return [packet.transport.rawValue]
        case .meta(.mark): return Literal.mark(packet.mark).bytes
        case .conntrack(.status): return packet.isTranslated ? Literal.status(.dnat).bytes : [0, 0, 0, 0]
        case .fibType:
            return localAddresses.contains("\(packet.destination)") || packet.destination.value >> 24 == 127
                ? Literal.localAddress.bytes : [1, 0, 0, 0]
        case .random(let modulus): return Literal.integer(roll % modulus).bytes
        case .and(let inner, let bits): return Literal.mark(number(try value(inner, packet)) & bits).bytes
        case .or(let inner, let bits): return Literal.mark(number(try value(inner, packet)) | bits).bytes
        case .xor(let inner, let bits): return Literal.mark(number(try value(inner, packet)) ^ bits).bytes
        case .concatenation(let parts):
            return try parts.flatMap { part in
                let bytes = try value(part, packet)
                return bytes + Array(repeating: 0, count: (4 - bytes.count % 4) % 4)
            }
        default:
            Issue.record("the tracer does not know \(expression)")
            return []
        }
    }

    private func number(_ bytes: [UInt8]) -> UInt32 { bytes.reversed().reduce(0) { $0 << 8 | UInt32($1) } }
}
