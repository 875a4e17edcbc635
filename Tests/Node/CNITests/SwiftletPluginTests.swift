import JSONTree
import Linux
import NFTables
import Netlink
import PodNetwork
import TestSupport
import Testing

@testable import CNI

/// `swiftlet-cni` against the kernel, called as its program calls it, on a host that each test makes.
@Suite struct SwiftletPluginTests {
    @Test(
        "ADD answers in the shape of each version, and the container reaches and is reached; DEL needs no namespace and can come twice"
    )
    func addition() async throws {
        try await PluginHost.with { host in
            let plugin = PluginCaller.Swiftlet(host)
            let (one, two) = (try TestNamespace(), try TestNamespace())
            let goldens = [
                "0.4.0": """
                {"cniVersion":"0.4.0","interfaces":[{"name":"HOST","mac":"02:53:4c:00:00:01"},{"name":"eth0",\
                "mac":"0a:58:0a:58:00:02","sandbox":"PATH"}],"ips":[{"version":"4","interface":1,\
                "address":"10.88.0.2/32","gateway":"169.254.1.1"},{"version":"6","interface":1,\
                "address":"fd88::2/128","gateway":"fe80::1"}],"routes":[{"dst":"0.0.0.0/0","gw":"169.254.1.1"},\
                {"dst":"::/0","gw":"fe80::1"}],"dns":{"nameservers":["10.88.0.1"]}}
                """,
                "1.0.0": """
                {"cniVersion":"1.0.0","interfaces":[{"name":"HOST","mac":"02:53:4c:00:00:01"},{"name":"eth0",\
                "mac":"0a:58:0a:58:00:03","sandbox":"PATH"}],"ips":[{"interface":1,"address":"10.88.0.3/32",\
                "gateway":"169.254.1.1"},{"interface":1,"address":"fd88::3/128","gateway":"fe80::1"}],\
                "routes":[{"dst":"0.0.0.0/0","gw":"169.254.1.1"},{"dst":"::/0","gw":"fe80::1"}],\
                "dns":{"nameservers":["10.88.0.1"]}}
                """,
                "1.1.0": """
                {"cniVersion":"1.1.0","interfaces":[{"name":"HOST","mac":"02:53:4c:00:00:01","mtu":1450},\
                {"name":"eth0","mac":"0a:58:0a:58:00:04","mtu":1450,"sandbox":"PATH"}],"ips":[{"interface":1,\
                "address":"10.88.0.4/32","gateway":"169.254.1.1"},{"interface":1,"address":"fd88::4/128",\
                "gateway":"fe80::1"}],"routes":[{"dst":"0.0.0.0/0","gw":"169.254.1.1"},{"dst":"::/0","gw":"fe80::1"}],\
                "dns":{"nameservers":["10.88.0.1"]}}
                """,
            ]
            for version in goldens.keys.sorted() {
                let more = #","cniVersion":"\#(version)","mtu":1450,"dns":{"nameservers":["10.88.0.1"]}"#
                let answer = try plugin.call("ADD", "c1", one, more: more)
                let name = try answer.json["interfaces"]?[0]?["name"]?.stringValue ?? ""
                let path = plugin.path(of: one)
                let golden = (goldens[version] ?? "").replacing("HOST", with: name).replacing("PATH", with: path)
                try requireEqual(answer.text, golden + "\n")
                try plugin.call("DEL", "c1", version == "1.0.0" ? one : nil, more: more).requireSuccess()
                try plugin.call("DEL", "c1", nil, more: more).requireSuccess()
                try require(try host.shell("ip -o link").contains(name) == false)
            }
            try plugin.call("ADD", "c1", one).requireSuccess()
            try plugin.call("ADD", "c2", two).requireSuccess()
            try requireEqual(try peerSeen(from: one, to: "10.88.0.6", 80, at: two, 80), "10.88.0.5")
            try requireEqual(try peerSeen(from: host.namespace, to: "10.88.0.6", 81, at: two, 81), "10.88.0.1")
            try requireEqual(
                try peerSeen(from: one, to: PluginHost.outsideAddress, 80, at: host.outside, 80), PluginHost.address)
        }
    }

    @Test("A container has an interface once and several of them; all of it goes with its own DEL")
    func severalInterfaces() async throws {
        try await PluginHost.with { host in
            let plugin = PluginCaller.Swiftlet(host)
            let container = try TestNamespace()
            try plugin.call("ADD", "c1", container).requireSuccess()
            try plugin.call("ADD", "c1", container).requireError(
                4, "CNI_IFNAME: the container has an interface of this name")
            // The same container id, told to be somewhere else.
            try plugin.call("ADD", "c1", try TestNamespace()).requireError(
                4, "already in this network, DEL has to come first")
            try plugin.call("ADD", "c1", container, interface: "net1").requireSuccess()
            try requireEqual(try plugin.leases(), 2)
            try plugin.call("DEL", "c1", container, interface: "eth0").requireSuccess()
            try requireEqual(try plugin.leases(), 1)
            try require(try container.output(of: ["ip", "-o", "link"]).contains("net1"))
            try plugin.call("DEL", "c1", container, interface: "net1").requireSuccess()
            try requireEqual(try plugin.leases(), 0)
        }
    }

    @Test("CHECK agrees with what ADD made, and says what is missing")
    func checking() async throws {
        try await PluginHost.with { host in
            let plugin = PluginCaller.Swiftlet(host)
            let container = try TestNamespace()
            let result = try plugin.call("ADD", "c1", container)
            let previous = #","prevResult":\#(result.text)"#
            func check() throws -> PluginCaller.Swiftlet.Answer {
                try plugin.call("CHECK", "c1", container, more: previous)
            }
            let name = try result.json["interfaces"]?[0]?["name"]?.stringValue ?? ""
            try check().requireSuccess()
            for (harm, repair, complaint) in [
                (
                    "ip route delete default", "ip route add default via 169.254.1.1 dev eth0 onlink",
                    "no route to 0.0.0.0/0"
                ),
                (
                    "ip link set eth0 address 0a:00:00:00:00:01", "ip link set eth0 address 0a:58:0a:58:00:02",
                    "has the MAC 0a:00"
                ),
                (
                    "ip address delete fd88::2/128 dev eth0", "ip address add fd88::2/128 dev eth0 nodad",
                    "does not have the address fd88::2"
                ),
            ] {
                try container.output(of: ["sh", "-c", harm])
                try check().requireError(101, complaint)
                try container.output(of: ["sh", "-c", repair])
                try check().requireSuccess()
            }
            try host.shell("ip route delete 10.88.0.2 dev \(name)")
            try check().requireError(101, "the host has no route to 10.88.0.2")
            try host.shell("ip link set \(name) down")
            try check().requireError(101, "is down on the host")
            try host.shell("ip link delete \(name)")
            try check().requireError(101, "the container has no interface eth0")
            try plugin.call("DEL", "c1", container).requireSuccess()
            try check().requireError(3, "the container is not in this network")
        }
    }

    @Test("GC keeps what is valid and takes back the rest")
    func collection() async throws {
        try await PluginHost.with { host in
            let plugin = PluginCaller.Swiftlet(host)
            let containers = try (0..<3).map { _ in try TestNamespace() }
            for (index, container) in containers.enumerated() {
                try plugin.call(
                    "ADD", "c\(index)", container,
                    more: #","runtimeConfig":{"portMappings":[{"hostPort":\#(8000 + index),"containerPort":80}]}"#
                )
                .requireSuccess()
            }
            let valid =
                #","cni.dev/valid-attachments":[{"containerID":"c1","ifname":"eth0"},{"containerID":"c0","ifname":"net1"}]"#
            try plugin.call("GC", nil, nil, more: valid).requireSuccess()
            try requireEqual(try plugin.leases(), 1)
            try require(try containers[1].output(of: ["ip", "-o", "link"]).contains("eth0"))
            try require(try !containers[0].output(of: ["ip", "-o", "link"]).contains("eth0"))
            let rules = try host.shell("nft list table ip swiftlet-cni-net")
            try require(rules.contains("8001") && !rules.contains("8000") && !rules.contains("8002"), rules)
            try plugin.call("GC", nil, nil, more: #","cni.dev/valid-attachments":[]"#).requireSuccess()
            try requireEqual(try plugin.leases(), 0)
        }
    }

    @Test("STATUS tells when no address is left; what a reboot left of others is taken back rather than to fail")
    func status() async throws {
        try await PluginHost.with { host in
            let plugin = PluginCaller.Swiftlet(host, subnets: #"["10.88.0.0/30"]"#)
            try plugin.call("STATUS", nil, nil).requireSuccess()
            var only: TestNamespace? = try TestNamespace()
            try plugin.call("ADD", "c1", only).requireSuccess()
            try plugin.call("STATUS", nil, nil).requireError(50, "pod CIDR 10.88.0.0/30 has no free address")
            let other = try TestNamespace()
            try plugin.call("ADD", "c2", other).requireError(11, "pod CIDR 10.88.0.0/30 has no free address")
            // Its namespace goes without a DEL, and with it the interface on the host.
            try only?.output(of: ["ip", "link", "delete", "eth0"])
            only = nil
            let answer = try plugin.call("ADD", "c2", other)
            try requireEqual(try answer.json["ips"]?[0]?["address"], "10.88.0.2/32")
            let clash = PluginCaller.Swiftlet(host, subnets: #"["192.0.2.0/24"]"#, name: "clash")
            try clash.call("STATUS", nil, nil).requireError(50, "pod CIDR 192.0.2.0/24 is in use on this host")
        }
    }

    @Test("On a bridge, with a chosen address, MAC, bandwidth and host ports")
    func bridge() async throws {
        try await PluginHost.with { host in
            let plugin = PluginCaller.Swiftlet(host)
            let (one, two) = (try TestNamespace(), try TestNamespace())
            let bridge = #","mode":"bridge","bridge":"slbr7""#
            let wishes = """
                ,"runtimeConfig":{"ips":["10.88.0.77/24","fd88::77"],"mac":"0a:00:00:00:00:77",
                "bandwidth":{"ingressRate":8000000,"ingressBurst":1000000,"egressRate":4000000,"egressBurst":1000000},
                "portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"TCP"}]}
                """
            let answer = try plugin.call("ADD", "c1", one, more: bridge + wishes)
            try requireEqual(
                try answer.json["ips"],
                [
                    ["interface": 1, "address": "10.88.0.77/24", "gateway": "10.88.0.1"],
                    ["interface": 1, "address": "fd88::77/128", "gateway": "fd88::1"],
                ])
            try requireEqual(try answer.json["interfaces"]?[1]?["mac"], "0a:00:00:00:00:77")
            try plugin.call("CHECK", "c1", one, more: bridge + #","prevResult":\#(answer.text)"#).requireSuccess()
            try plugin.call("ADD", "c2", two, more: bridge).requireSuccess()
            try requireEqual(try peerSeen(from: two, to: "10.88.0.77", 82, at: one, 82), "10.88.0.2")
            try requireEqual(
                try peerSeen(from: host.outside, to: PluginHost.address, 8080, at: one, 80), PluginHost.outsideAddress)
            try require(try host.shell("tc qdisc show").contains("rate 8Mbit"))
            try require(try one.output(of: ["tc", "qdisc", "show"]).contains("rate 4Mbit"))
            try plugin.call(
                "ADD", "c3", try TestNamespace(), more: bridge + #","runtimeConfig":{"ips":["10.88.0.77"]}"#
            )
            .requireError(100, "address 10.88.0.77 is taken by")
            try plugin.call(
                "ADD", "c3", try TestNamespace(), more: bridge + #","runtimeConfig":{"ips":["10.99.0.77"]}"#
            )
            .requireError(7, "address 10.99.0.77: not one that pods of")
            for container in ["c1", "c2"] { try plugin.call("DEL", container, nil, more: bridge).requireSuccess() }
            try requireEqual(try plugin.leases(), 0)
            try require(try !host.shell("tc qdisc show").contains("tbf"))
        }
    }

    @Test("Two networks on one host leave each other alone, and --remove leaves nothing of one")
    func twoNetworks() async throws {
        try await PluginHost.with { host in
            let before = try host.shell(
                "ip -o link; ip route; ip address show lo; nft list tables; sysctl net.ipv4.ip_forward")
            let first = PluginCaller.Swiftlet(host)
            let second = PluginCaller.Swiftlet(host, subnets: #"["10.89.0.0/24"]"#, name: "other")
            let container = try TestNamespace()
            try first.call("ADD", "c1", container).requireSuccess()
            try second.call("ADD", "c1", container, interface: "net1").requireSuccess()
            try first.call("GC", nil, nil, more: #","cni.dev/valid-attachments":[]"#).requireSuccess()
            try requireEqual(try second.leases(), 1)
            try requireEqual(try peerSeen(from: host.namespace, to: "10.89.0.2", 80, at: container, 80), "10.89.0.1")
            try second.call("DEL", "c1", container, interface: "net1").requireSuccess()
            try first.call("ADD", "c1", container).requireSuccess()
            try SwiftletPlugin.removeNetwork(directory: second.directory)
            try requireEqual(try peerSeen(from: host.namespace, to: "10.88.0.3", 81, at: container, 81), "10.88.0.1")
            try requireEqual(try host.shell("sysctl -n net.ipv4.ip_forward"), "1\n", "the first network forwards still")
            try first.call("DEL", "c1", container).requireSuccess()
            try SwiftletPlugin.removeNetwork(directory: first.directory)
            let after = try host.shell(
                "ip -o link; ip route; ip address show lo; nft list tables; sysctl net.ipv4.ip_forward")
            try requireEqual(after, before)
            let complaint = failure { try SwiftletPlugin.removeNetwork(directory: host.directory) }
            try require(complaint.hasPrefix("no network of swiftlet-cni"), complaint)
        }
    }
}

extension PluginCaller {
    /// Calls `swiftlet-cni` in this process, on the host's thread.
    struct Swiftlet {
        let host: PluginHost
        let base: String
        let directory: String

        struct Answer {
            let text: String
            let exitCode: Int32
            var json: JSONValue { get throws { try JSONValue.parse(text) } }

            func requireSuccess(line: Int = #line) throws {
                try require(exitCode == 0, text, line: line)
            }

            func requireError(_ code: Int64, _ message: String, line: Int = #line) throws {
                let error = CNIError(try json)
                try require(exitCode == 1 && error?.code.rawValue == code, text, line: line)
                try require(error?.description.contains(message) == true, text, line: line)
            }
        }

        init(_ host: PluginHost, subnets: String = #"["10.88.0.0/24","fd88::/64"]"#, name: String = "net") {
            self.host = host
            directory = "\(host.directory)/\(name)"
            base = #""type":"swiftlet-cni","name":"\#(name)","subnets":\#(subnets),"dataDir":"\#(directory)""#
        }

        func path(of container: TestNamespace) -> String { "/proc/thread-self/fd/\(container.descriptor.number)" }

        @discardableResult
        func call(
            _ command: String, _ id: String?, _ container: TestNamespace?, interface: String = "eth0", more: String = ""
        ) throws -> Answer {
            var environment = ["CNI_COMMAND": command, "CNI_PATH": "/usr/lib/cni"]
            environment["CNI_CONTAINERID"] = id
            environment["CNI_IFNAME"] = id == nil ? nil : interface
            environment["CNI_NETNS"] = container.map(path)
            let version =
                more.contains("cniVersion\":\"0") || more.contains(",\"cniVersion") ? "" : #""cniVersion":"1.1.0","#
            let input = "{\(version)\(base)\(more)}"
            let answer = SwiftletPlugin.run(environment: environment) { Array(input.utf8) }
            return Answer(text: String(decoding: answer.output, as: UTF8.self), exitCode: answer.exitCode)
        }

        func leases() throws -> Int { try listDirectory("\(directory)/leases").count }
    }
}

extension String {
    fileprivate func replacing(_ word: String, with other: String) -> String {
        split(separator: word, omittingEmptySubsequences: false).joined(separator: other)
    }
}
