import Glibc
import Linux
import Netlink
import TestSupport
import Testing

@testable import PodNetwork

/// Whose addresses are whose, while owners are killed at any moment. The owner is a process of its own
/// (Tests/Node/PodNetworkChurn), which says what it is about to do and what it has done; the test keeps the books.
@Suite struct ChurnTests {
    /// What is known of the pods after reading all that a killed owner said.
    private struct Books {
        /// Addresses by uid, as acknowledged.
        var joined: [String: [String]] = [:]
        /// What the owner was about to do with a pod when it died: either may be the case.
        var uncertain: Set<String> = []
        var operations = 0

        mutating func note(_ line: Substring) throws {
            let words = line.split(separator: " ").map(String.init)
            try #require(words.count >= 2, "\(line)")
            let uid = words[1]
            switch words[0] {
            case "join", "leave": uncertain.insert(uid)
            case "joined":
                joined[uid] = words[2].split(separator: ",").map(String.init)
                uncertain.remove(uid)
                operations += 1
            case "left":
                joined[uid] = nil
                uncertain.remove(uid)
                operations += 1
            default: throw TestFailure("the owner says: \(line)")
            }
        }

        /// Compares with what was found, and takes that for what was uncertain.
        mutating func check(against found: [String: [String]]) throws {
            var owners: [String: String] = [:]
            for (uid, addresses) in found {
                for address in addresses {
                    let other = owners.updateValue(uid, forKey: address)
                    #expect(other == nil, "\(address) is \(uid)'s and \(other ?? "")'s")
                }
            }
            for uid in Set(joined.keys).union(found.keys) where !uncertain.contains(uid) {
                #expect(found[uid] == joined[uid], "\(uid)")
            }
            joined = found
            uncertain = []
        }
    }

    /// An owner at work, whose words arrive by a small pipe: it is never far ahead of its reader.
    private final class Owner {
        private let pid: pid_t
        private let pipe: OwnedDescriptor
        private var rest: [UInt8] = []

        init(_ arguments: [String], descriptors: [Int32] = []) throws {
            var ends: [Int32] = [-1, -1]
            try check(
                socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends), "socketpair")
            pipe = OwnedDescriptor(owning: ends[0])
            let writer = OwnedDescriptor(owning: ends[1])
            var size: Int32 = 4096
            setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &size, socklen_t(MemoryLayout<Int32>.size))
            var path = [CChar](repeating: 0, count: Int(PATH_MAX))
            try check(readlink("/proc/self/exe", &path, path.count - 1), "readlink")
            let test = String(decoding: path.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            let program = test.split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" } + "/PodNetworkChurn"
            pid = try spawn(
                program, arguments: ["PodNetworkChurn"] + arguments, environment: [],
                descriptors: [-1, writer.number, STDERR_FILENO] + descriptors)
        }

        /// Reads until `lines` were read, kills, and reads what is left.
        func run(lines: Int, _ body: (Substring) throws -> Void) throws {
            var left = lines
            defer {
                kill(pid, SIGKILL)
                var status: Int32 = 0
                waitpid(pid, &status, 0)
            }
            while try read(&left, body) {
                if left <= 0 { kill(pid, SIGKILL) }
            }
            try #require(left <= 0, "the owner ended by itself")
        }

        /// False at the end.
        private func read(_ left: inout Int, _ body: (Substring) throws -> Void) throws -> Bool {
            var buffer = [UInt8](repeating: 0, count: 4096)
            let count = try check(Glibc.read(pipe.number, &buffer, buffer.count), "read")
            rest += buffer[..<count]
            while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
                try body(String(decoding: rest[..<end], as: UTF8.self)[...])
                rest.removeSubrange(...end)
                left -= 1
            }
            return count > 0
        }
    }

    @Test(
        "In 10,000 random attachments, detachments and SIGKILLs no address is ever two pods', and none is lost",
        .timeLimit(.minutes(2)))
    func leases() throws {
        try withTemporaryDirectory { directory in
            var books = Books()
            var kills = 0
            while books.operations < 10_000 {
                let owner = try Owner(
                    ["leases", directory, "\(UInt64.random(in: 1...UInt64.max))"] + TestNode.networks)
                try owner.run(lines: Int.random(in: 1...150)) { try books.note($0) }
                kills += 1
                try books.check(against: found(in: directory))
            }
            #expect(kills > 50)
            // A new owner reads all of it.
            let networks = try TestNode.networks.map { try #require(CIDR($0)) }
            var leases = try AddressLeases.open(directory, configuration: PodNetworkConfiguration(podCIDRs: networks))
            let all = try leases.all()
            #expect(all.count == books.joined.count)
        }
    }

    /// Addresses by uid, read without the code that wrote them: one file per pod, named after its addresses.
    private func found(in directory: String) throws -> [String: [String]] {
        var found: [String: [String]] = [:]
        for file in try listDirectory(directory + "/leases") where !file.hasPrefix(".") {
            let text = String(decoding: try readFile("\(directory)/leases/\(file)", limit: 1 << 16), as: UTF8.self)
            let uid = try #require(text.split(separator: "\"uid\":\"").last?.prefix { $0 != "\"" })
            let addresses = file.split(separator: ",").dropLast().map(String.init)
            #expect(found.updateValue(addresses, forKey: String(uid)) == nil, "\(uid) has two leases")
        }
        return found
    }

    @Test(
        "With real interfaces: after each SIGKILL what pods have agrees with the books, and the rest is taken back",
        .timeLimit(.minutes(2)))
    func kernel() throws {
        let node = try TestNode()
        let before = try node.census()
        let pods = try (0..<12).map { try TestPod("\($0)") }
        var books = Books()
        var kills = 0
        while books.operations < 300 {
            node.close()
            let owner = try Owner(
                ["kernel:\(pods.count)", node.directory, "\(UInt64.random(in: 1...UInt64.max))"] + TestNode.networks,
                descriptors: [node.namespace.descriptor.number] + pods.map { $0.namespace.descriptor.number })
            try owner.run(lines: Int.random(in: 1...60)) { try books.note($0) }
            kills += 1
            try books.check(against: found(in: node.directory))
            try node.restart()
            let report = try node.network.reconcile(live: books.joined.keys)
            for uid in report.lost {
                // Killed while it attached: the engine would attach it anew.
                try node.network.detach(uid: uid)
                books.joined[uid] = nil
            }
            try compare(pods, with: books.joined)
        }
        #expect(kills > 5)
        try node.network.reconcile(live: [])
        #expect(try node.census() == before)
    }

    /// What is inside of each pod is what the books say.
    private func compare(_ pods: [TestPod], with joined: [String: [String]]) throws {
        for (number, pod) in pods.enumerated() {
            var inside = try RouteSocket(in: pod.namespace.descriptor)
            guard let eth0 = try inside.link(.name("eth0")) else {
                #expect(joined["pod-\(number)"] == nil)
                continue
            }
            let link = CIDR("fe80::/10")
            let addresses = try inside.addresses(of: eth0.index).map(\.address).filter { link?.contains($0) == false }
            #expect(Set(addresses.map(\.description)) == Set(joined["pod-\(number)"] ?? []))
        }
    }
}
