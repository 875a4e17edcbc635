import Linux
import NFTables
import Netlink

// What pods' networks and Services are made of. Everything is tried in a network namespace that ends with its thread.
extension Doctor {
    func network() -> [DoctorCheck] {
        var checks: [DoctorCheck]
        switch DoctorThread.run(unsharing: CLONE_NEWNET, { Self.rules() + [Self.veth()] + Self.optional() }) {
        case .success(let found): checks = found
        case .failure(let error):
            checks = [
                DoctorCheck(
                    "network", "namespace", .failed, "\(error)", remedy: "run as root, with CONFIG_NET_NS in the kernel"
                )
            ]
        }
        return checks + [Self.forwarding(), Self.firewall(), Self.nftProgram()]
    }

    /// Each kind of rule by itself in a table of its own.
    private static func rules() -> [DoctorCheck] {
        let outgoing = BaseChain(.nat, .postrouting, priority: BaseChain.sourceNATPriority)
        let incoming = BaseChain(.nat, .prerouting, priority: BaseChain.destinationNATPriority)
        let filter = BaseChain(.filter, .input, priority: BaseChain.filterPriority)
        let address = Literal.ipv4(0x0a00_0001)
        let port = Literal.port(80)
        let probes: [(name: String, option: String, hook: BaseChain, rule: Rule)] = [
            ("nf_tables", "CONFIG_NF_TABLES_IPV4", filter, Rule(.counter(), .verdict(.accept))),
            ("numgen", "CONFIG_NFT_NUMGEN", filter, Rule(.match(.random(modulus: 2), .equal, .integer(1)))),
            ("fib", "CONFIG_NFT_FIB_IPV4", filter, Rule(.match(.fibType(.destinationAddress), .equal, .localAddress))),
            (
                "conntrack", "CONFIG_NF_CONNTRACK, CONFIG_NFT_CT", filter,
                Rule(.match(.conntrack(.state), .hasAnyOf, .state(.established)))
            ),
            ("reject", "CONFIG_NFT_REJECT_IPV4", filter, Rule(.reject())),
            ("masquerade", "CONFIG_NFT_MASQ", outgoing, Rule(.masquerade(.fullyRandom))),
            (
                "dnat", "CONFIG_NFT_NAT", incoming,
                Rule(
                    .match(.meta(.transportProtocol), .equal, .transport(.tcp)),
                    .destinationNAT(.addressAndPort(.literal(address), .literal(port))))
            ),
        ]
        return probes.map { name, option, hook, rule in
            do {
                var socket = try NFTablesSocket()
                let table = TableName(.ipv4, "swiftlet-doctor")
                var transaction = Transaction()
                transaction.replace(with: Table(table, chains: [Chain("probe", hook: hook, rules: [rule])]))
                transaction.remove(table)
                try socket.commit(transaction)
                return DoctorCheck("network", name, .ok, "a rule was accepted")
            } catch {
                return DoctorCheck(
                    "network", name, .failed, "\(error)", remedy: "use a kernel with \(option), or load its module")
            }
        }
    }

    private static func veth() -> DoctorCheck {
        do {
            var socket = try RouteSocket()
            try socket.apply([
                .createVeth(VethPair(name: "doctor0", peerName: "doctor1")), .deleteLink(.name("doctor0")),
            ])
            return DoctorCheck("network", "veth", .ok, "a pair was made")
        } catch {
            return DoctorCheck("network", "veth", .failed, "\(error)", remedy: "modprobe veth (CONFIG_VETH)")
        }
    }

    /// What only some set-ups need: reported, never a problem.
    private static func optional() -> [DoctorCheck] {
        func information(_ name: String, _ present: Bool?, _ use: String) -> DoctorCheck {
            let found = present.map { $0 ? "available" : "not available" } ?? "unknown"
            return DoctorCheck("network", name, .ok, "\(found) (\(use))")
        }
        return [
            information("vxlan", NetlinkProbe.hasLinkKind("vxlan"), "only for an overlay between nodes"),
            information("bridge", NetlinkProbe.hasLinkKind("bridge"), "only for --network bridge"),
            information("tbf", hasTokenBucket(), "only for pods' bandwidth annotations"),
            information("ipv6", hasIPv6Rules(), "only for pods with IPv6 addresses"),
            information("ipvs", NetlinkProbe.hasGenericFamily("IPVS"), "only for the IPVS service proxy"),
        ]
    }

    /// Whether traffic can be shaped. `lo` of a namespace that nobody uses will do.
    private static func hasTokenBucket() -> Bool? {
        guard var socket = try? RouteSocket() else { return nil }
        return (try? socket.apply([.setRootQdisc(1, TokenBucket(rate: 1_000_000, burst: 65536, limit: 65536))])) != nil
    }

    /// Whether the kernel has IPv6, and translates its addresses.
    private static func hasIPv6Rules() -> Bool? {
        guard access("/proc/sys/net/ipv6/conf/all/forwarding", F_OK) == 0 else { return false }
        let table = TableName(.ipv6, "swiftlet-doctor")
        let hook = BaseChain(.nat, .postrouting, priority: BaseChain.sourceNATPriority)
        var transaction = Transaction()
        transaction.replace(with: Table(table, chains: [Chain("probe", hook: hook, rules: [Rule(.masquerade())])]))
        transaction.remove(table)
        guard var socket = try? NFTablesSocket() else { return nil }
        return (try? socket.commit(transaction)) != nil
    }

    private static func forwarding() -> DoctorCheck {
        guard let text = try? readText("/proc/sys/net/ipv4/ip_forward") else {
            return DoctorCheck(
                "network", "ip_forward", .failed, "/proc/sys/net/ipv4/ip_forward cannot be read",
                remedy: "mount procfs at /proc")
        }
        return text.hasPrefix("1")
            ? DoctorCheck("network", "ip_forward", .ok, "on")
            : DoctorCheck(
                "network", "ip_forward", .ok, "off; the node turns it on when it starts, and reset turns it off again")
    }

    /// Looks at this host's own rules, and only looks: a forward chain of somebody else that drops by default (Docker's, a
    /// firewall's) drops pods' packets too, whatever swiftlet's tables accept.
    private static func firewall() -> DoctorCheck {
        do {
            var socket = try NFTablesSocket()
            var tables: [Table] = []
            for name in try socket.tableNames() where name.family == .ipv4 || name.family == .inet {
                if let table = try socket.snapshot(of: name, elements: false).table { tables.append(table) }
            }
            return firewall(tables)
        } catch {
            return DoctorCheck(
                "network", "forward policy", .warning, "\(error)", remedy: "run as root, and look at: nft list ruleset")
        }
    }

    static func firewall(_ tables: [Table]) -> DoctorCheck {
        let dropping = tables.filter { table in
            table.chains.contains { $0.hook?.hook == .forward && $0.hook?.policy == .drop }
        }
        guard !dropping.isEmpty else {
            return DoctorCheck("network", "forward policy", .ok, "no nftables chain drops forwarded packets by default")
        }
        return DoctorCheck(
            "network", "forward policy", .warning,
            "drop in table \(dropping.map(\.name.description).joined(separator: ", "))",
            remedy: "accept there what comes from and goes to the pods' addresses (--pod-cidr)")
    }

    private static func nftProgram() -> DoctorCheck {
        let directories = ["/usr/sbin", "/sbin", "/usr/bin", "/usr/local/sbin", "/bin"]
        let found = directories.map { $0 + "/nft" }.first { access($0, X_OK) == 0 }
        if let found {
            return DoctorCheck("network", "nft", .ok, "\(found) (for people; swiftlet does not run it)")
        }
        return DoctorCheck(
            "network", "nft", .warning, "not installed; swiftlet does not need it, people who look at rules do",
            remedy: "apt-get install nftables")
    }
}

/// Questions over netlink that need no more than the error number of the answer.
private enum NetlinkProbe {
    /// Whether links of `kind` can be made (rtnetlink(7)). Asks for one without the settings it needs: the kernel says
    /// EOPNOTSUPP for a kind that it does not know, and loads the module of one that it has.
    static func hasLinkKind(_ kind: String) -> Bool? {
        let name = attribute(3, Array("doctor2\0".utf8))  // IFLA_IFNAME
        let information = attribute(18, attribute(1, Array("\(kind)\0".utf8)))  // IFLA_LINKINFO, IFLA_INFO_KIND
        let payload = [UInt8](repeating: 0, count: 16) + name + information  // struct ifinfomsg
        // RTM_NEWLINK; NLM_F_REQUEST | NLM_F_ACK | NLM_F_EXCL | NLM_F_CREATE
        return answer(protocol: 0, type: 16, flags: 0x605, payload).map { $0 != EOPNOTSUPP }
    }

    /// Whether there is a generic netlink family of this name.
    static func hasGenericFamily(_ name: String) -> Bool? {
        // GENL_ID_CTRL; struct genlmsghdr with CTRL_CMD_GETFAMILY; CTRL_ATTR_FAMILY_NAME
        let payload = [3, 1, 0, 0] + attribute(2, Array("\(name)\0".utf8))
        return answer(protocol: 16, type: 16, flags: 0x005, payload).map { $0 == 0 }
    }

    private static func attribute(_ type: UInt16, _ bytes: [UInt8]) -> [UInt8] {
        let padding = [UInt8](repeating: 0, count: (4 - bytes.count % 4) % 4)
        return raw(UInt16(4 + bytes.count)) + raw(type) + bytes + padding
    }

    /// The error number in the kernel's first answer, 0 for any other message; nil if there was no answer.
    private static func answer(protocol number: Int32, type: UInt16, flags: UInt16, _ payload: [UInt8]) -> Int32? {
        let opened = socket(AF_NETLINK, Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue), number)
        guard opened >= 0 else { return nil }
        let socket = OwnedDescriptor(owning: opened)
        // A probe must not hang, whatever the kernel does with it.
        var limit = timeval(tv_sec: 2, tv_usec: 0)
        setsockopt(socket.number, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        let message =
            raw(UInt32(16 + payload.count)) + raw(type) + raw(flags) + raw(UInt32(1)) + raw(UInt32(0)) + payload
        guard send(socket.number, message, message.count, 0) == message.count else { return nil }
        var buffer = [UInt8](repeating: 0, count: 8192)
        let size = recv(socket.number, &buffer, buffer.count, 0)
        guard size >= 20 else { return nil }
        return buffer.withUnsafeBytes { bytes in
            // NLMSG_ERROR, and the negative error number after the header
            bytes.loadUnaligned(fromByteOffset: 4, as: UInt16.self) == 2
                ? -bytes.loadUnaligned(fromByteOffset: 16, as: Int32.self) : 0
        }
    }

    private static func raw(_ number: some FixedWidthInteger) -> [UInt8] {
        withUnsafeBytes(of: number, Array.init)
    }
}
