// Statements, expressions and constants as nft prints them.
import Glibc

extension Text {
    static func verdict(_ verdict: Verdict) -> String {
        switch verdict {
        case .accept: "accept"
        case .drop: "drop"
        case .continue: "continue"
        case .return: "return"
        case .jump(let chain): "jump \(chain)"
        case .goto(let chain): "goto \(chain)"
        }
    }

    static func statement(_ statement: Statement, family: Family) -> String {
        switch statement {
        case .match(let left, let comparison, let right): match(left, comparison, right)
        case .lookup(let key, let set, let negated): "\(expression(key)) \(negated ? "!= " : "")@\(set)"
        case .verdictMap(let key, let map): "\(expression(key)) vmap @\(map)"
        case .verdict(let verdict): self.verdict(verdict)
        case .setMeta(let key, let value): "\(key.text) set \(expression(value))"
        case .setConntrackMark(let value): "ct mark set \(expression(value))"
        case .destinationNAT(let target, let flags): "dnat" + nat(target, flags, family)
        case .sourceNAT(let target, let flags): "snat" + nat(target, flags, family)
        case .masquerade(let flags): "masquerade" + self.flags(flags)
        case .notrack: "notrack"
        case .reject(let reason): reject(reason)
        case .counter(let packets, let bytes): "counter packets \(packets) bytes \(bytes)"
        case .unknown(let text): "<\(text)>"
        }
    }

    private static func match(_ left: Expression, _ comparison: Comparison, _ right: Literal) -> String {
        let sign =
            switch comparison {
            case .equal: left.isOperation ? "== " : ""
            case .notEqual: "!= "
            case .less: "< "
            case .lessOrEqual: "<= "
            case .greater: "> "
            case .greaterOrEqual: ">= "
            case .hasAnyOf: ""
            }
        return "\(expression(left)) \(sign)\(right.text)"
    }

    private static func nat(_ target: NATTarget, _ flags: NATFlags, _ family: Family) -> String {
        let names = { (address: Expression) -> String in
            family == .inet ? (address.mentionsIPv6 ? " ip6" : " ip") : ""
        }
        let words =
            switch target {
            case .address(let address): "\(names(address)) to \(expression(address))"
            case .addressAndPort(let address, let port):
                "\(names(address)) to " + bracketed(address) + ":\(expression(port))"
            case .mapped(let map):
                (family == .ipv6 || map.mentionsIPv6 ? " ip6" : " ip") + " to \(expression(map))"
            }
        return words + self.flags(flags)
    }

    private static func bracketed(_ address: Expression) -> String {
        address.type == .ipv6Address ? "[\(expression(address))]" : expression(address)
    }

    private static func flags(_ flags: NATFlags) -> String {
        let names: [(NATFlags, String)] = [
            (.random, "random"), (.fullyRandom, "fully-random"), (.persistent, "persistent"),
        ]
        let set = names.filter { flags.contains($0.0) }.map(\.1)
        return set.isEmpty ? "" : " " + set.joined(separator: ",")
    }

    private static func reject(_ reason: RejectReason) -> String {
        switch reason {
        case .portUnreachable: return "reject"
        case .tcpReset: return "reject with tcp reset"
        case .icmp(let code):
            let names: [UInt8: String] = [
                0: "net-unreachable", 1: "host-unreachable", 2: "prot-unreachable", 3: "port-unreachable",
                9: "net-prohibited", 10: "host-prohibited", 13: "admin-prohibited",
            ]
            return "reject with icmp \(names[code] ?? "\(code)")"
        case .icmpv6(let code):
            let names: [UInt8: String] = [
                0: "no-route", 1: "admin-prohibited", 3: "addr-unreachable", 4: "port-unreachable", 5: "policy-fail",
                6: "reject-route",
            ]
            return "reject with icmpv6 \(names[code] ?? "\(code)")"
        }
    }

    static func expression(_ expression: Expression) -> String {
        switch expression {
        case .literal(let literal): literal.text
        case .payload(let field): field.layout.text
        case .meta(let key): key.text
        case .conntrack(let key): key.text
        case .fibType(let subject): "fib \(fibSubject(subject)) type"
        case .fibRoute(let subject): "fib \(fibSubject(subject)) oif"
        case .random(let modulus): "numgen random mod \(modulus)"
        case .roundRobin(let modulus): "numgen inc mod \(modulus)"
        case .and(let inner, let bits): "\(self.expression(inner)) & \(Literal.mark(bits).text)"
        case .or(let inner, let bits): "\(self.expression(inner)) | \(Literal.mark(bits).text)"
        case .xor(let inner, let bits): "\(self.expression(inner)) ^ \(Literal.mark(bits).text)"
        case .concatenation(let parts): parts.map { self.expression($0) }.joined(separator: " . ")
        case .map(let key, let map): "\(self.expression(key)) map @\(map)"
        }
    }

    private static func fibSubject(_ subject: FIBSubject) -> String {
        let names: [(FIBSubject, String)] = [
            (.sourceAddress, "saddr"), (.destinationAddress, "daddr"), (.mark, "mark"), (.inputInterface, "iif"),
            (.outputInterface, "oif"),
        ]
        return names.filter { subject.contains($0.0) }.map(\.1).joined(separator: " . ")
    }
}

extension Expression {
    fileprivate var isOperation: Bool {
        switch self {
        case .and, .or, .xor: true
        default: false
        }
    }
}

extension Statement {
    /// Whether what follows it in a rule has to do with TCP only.
    var asksForTCP: Bool {
        guard case .match(let left, let comparison, let right) = self else { return false }
        if case .payload(let field) = left { return field.transportDependency == .tcp }
        return left == .meta(.transportProtocol) && comparison == .equal && right == .transport(.tcp)
    }
}

extension Literal {
    /// As nft prints it.
    public var text: String {
        switch type {
        case .ipv4Address: bytes.map { "\($0)" }.joined(separator: ".") + (prefixLength.map { "/\($0)" } ?? "")
        case .ipv6Address: ipv6Text + (prefixLength.map { "/\($0)" } ?? "")
        case .etherAddress: bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
        case .etherType: Self.etherTypes[number] ?? hexadecimal
        case .inetProtocol: Self.protocolNames[UInt8(truncatingIfNeeded: number)] ?? "\(number)"
        case .nfproto: number == 2 ? "ipv4" : number == 10 ? "ipv6" : "\(number)"
        case .inetService, .integer, .interfaceIndex: "\(number)"
        case .mark: hexadecimal
        case .conntrackDirection: number == 0 ? "original" : "reply"
        case .conntrackState: bits(ConntrackState.allCases.map { ($0.rawValue, "\($0)") })
        case .conntrackStatus: bits(ConntrackStatus.allCases.map { ($0.rawValue, $0.name) })
        case .fibAddressType: Self.addressTypes[number] ?? "\(number)"
        case .boolean: number == 0 ? "missing" : "exists"
        case .interfaceName:
            "\"" + String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self) + (bytes.count < 16 ? "*\"" : "\"")
        }
    }

    private var hexadecimal: String {
        let digits = String(number, radix: 16)
        return "0x" + String(repeating: "0", count: 8 - digits.count) + digits
    }

    /// Names of the bits that are set, lowest first; a number where a bit has no name.
    private func bits(_ names: [(UInt32, String)]) -> String {
        let known = names.filter { number & $0.0 != 0 }
        guard known.reduce(0, { $0 | $1.0 }) == number, number != 0 else { return hexadecimal }
        return known.map(\.1).joined(separator: ",")
    }

    private var ipv6Text: String {
        guard bytes.count == 16 else { return "::" }
        var buffer = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        guard inet_ntop(AF_INET6, bytes, &buffer, socklen_t(INET6_ADDRSTRLEN)) != nil else { return "::" }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static let protocolNames: [UInt8: String] = [
        1: "icmp", 2: "igmp", 6: "tcp", 17: "udp", 33: "dccp", 47: "gre", 50: "esp", 51: "ah", 58: "ipv6-icmp",
        132: "sctp", 136: "udplite",
    ]

    private static let etherTypes: [UInt32: String] = [0x0800: "ip", 0x0806: "arp", 0x86dd: "ip6", 0x8100: "8021q"]

    private static let addressTypes: [UInt32: String] = [
        0: "unspec", 1: "unicast", 2: "local", 3: "broadcast", 4: "anycast", 5: "multicast", 6: "blackhole",
        7: "unreachable", 8: "prohibit",
    ]
}
