import Glibc
import Linux
import Synchronization

/// Several hosts on this one machine, joined by a network of their own (scripts/testbed), for one test. All of it vanishes
/// when the test ends, however it ends. No node runs on them: tests start what they need.
public final class Testbed: Sendable {
    /// How the hosts are joined; `scripts/testbed --help` tells the addresses.
    public enum Topology: String, Sendable {
        /// All hosts on one link.
        case bridge
        /// Each host on a link of its own to one router, `r1`.
        case star
        /// Each host behind a router of its own, `r1` …, the routers in a row.
        case chain
    }

    /// Which addresses hosts or pods have.
    public enum Families: String, Sendable { case dual, ipv4, ipv6 }

    /// `h1` …, in order.
    public let hosts: [TestHost]
    /// What stands for the rest of the world: 192.0.2.1 and 2001:db8::1.
    public let outside: TestHost
    /// The leases file, which all hosts see at this path.
    public let leases: String

    private let name: String
    private let state: String
    private let hold: LifelineProcess
    private let others: Mutex<[String: TestHost]>

    private static let count = Atomic<Int>(0)
    private static let program = "\(TestImages.repository)/scripts/testbed"
    private static let environment = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C"]

    /// Makes a testbed, runs `body` on it, and removes it, also when `body` fails. `mtu` is by link: a host's name,
    /// `outside`, `r1-r2`, or `default`.
    public static func with<Result>(
        hosts: Int = 3, topology: Topology = .bridge, mtu: [String: Int] = [:], families: Families = .dual,
        podFamilies: Families = .dual, isolation: isolated (any Actor)? = #isolation,
        _ body: (Testbed) async throws -> Result
    ) async throws -> Result {
        var options = ["--hosts", "\(hosts)", "--topology", topology.rawValue]
        options += ["--families", families.rawValue, "--pod-families", podFamilies.rawValue]
        for (link, bytes) in mtu.sorted(by: { $0.key < $1.key }) {
            options += ["--mtu", link == "default" ? "\(bytes)" : "\(link)=\(bytes)"]
        }
        let testbed = try Testbed(count: hosts, options: options)
        do {
            let result = try await body(testbed)
            try await testbed.remove()
            return result
        } catch {
            // The first failure is the one to report; the removal's own would hide it.
            try? await testbed.remove()
            throw error
        }
    }

    private init(count: Int, options: [String]) throws {
        guard getuid() == 0 else { throw TestFailure("tests of the kernel must run as root: scripts/test") }
        let number = Self.count.add(1, ordering: .relaxed).newValue
        name = "test-\(getpid())-\(number)"
        state = "/tmp/swiftlet-testbed-\(name)"
        leases = "\(state)/leases.yaml"
        hold = try LifelineProcess(
            "a testbed", [Self.program, "--name", name, "up", "--owned", "--no-nodes"] + options,
            environment: Self.environment)
        let (name, state) = (name, state)
        hosts = try (1...count).map { try Self.enter("h\($0)", of: name, in: state) }
        outside = try Self.enter("outside", of: name, in: state)
        others = Mutex([:])
    }

    private static func enter(_ place: String, of testbed: String, in state: String) throws -> TestHost {
        let text = try readText("\(state)/places/\(place)/pid").trimmingWhitespace()
        guard let pid = pid_t(text) else { throw TestFailure("\(place) of the testbed has no process: '\(text)'") }
        return try TestHost(
            enteringNamespacesOf: pid, directory: "\(state)/hosts/\(place)",
            cgroupParent: "/swiftlet-testbed-\(testbed)-\(place)")
    }

    /// A router (`r1` …) or the `switch`, to run something there.
    public func place(_ place: String) throws -> TestHost {
        try others.withLock { others in
            if let host = others[place] { return host }
            let host = try Self.enter(place, of: name, in: state)
            others[place] = host
            return host
        }
    }

    private func remove() async throws {
        hold.letGo()
        for host in hosts + [outside] + others.withLock({ Array($0.values) }) { try await host.leave() }
        try await hold.waitForEnd()
    }

    /// `scripts/testbed COMMAND…` for this testbed; what it said.
    @discardableResult
    public func command(_ words: String...) async throws -> String { try await command(words) }

    @discardableResult
    private func command(_ words: [String]) async throws -> String {
        let full = [Self.program, "--name", name] + words
        return try await blocking {
            let (output, errors) = (try makePipe(), try makePipe())
            let pid = try spawn(
                full[0], arguments: full, environment: Self.environment,
                descriptors: [-1, output.write.number, errors.write.number])
            for end in [output.write, errors.write] { end.close() }
            return try collect(full, pid: pid, output: output.read, errors: errors.read, seconds: 60).orFail().output
        }
    }

    private func name(_ host: TestHost) -> String {
        host.directory.split(separator: "/").last.map(String.init) ?? ""
    }

    /// Unplugs the host's cable. `silently`: the link stays up, but nothing comes through.
    public func cut(_ host: TestHost, silently: Bool = false) async throws {
        try await command(["cut", name(host)] + (silently ? ["--silently"] : []))
    }

    /// Plugs the host's cable in again.
    public func heal(_ host: TestHost) async throws { try await command(["heal", name(host)]) }

    /// Gives the host's uplink other addresses (`192.0.2.77/24`), one of each family at most, and changes its lease to match
    /// unless the nodes are not to be told.
    public func setAddresses(of host: TestHost, _ addresses: String..., keepingLease: Bool = false) async throws {
        try await command(["address", name(host)] + addresses + (keepingLease ? ["--keep-lease"] : []))
    }

    /// Changes the MTU at both ends of a link (as `with`'s `mtu`).
    public func setMTU(of link: String, _ bytes: Int) async throws { try await command(["mtu", link, "\(bytes)"]) }

    /// Changes keys of the host's entry in the leases file (`publicIP=192.0.2.77`, `vtepMAC=`).
    public func changeLease(of host: TestHost, _ changes: String...) async throws {
        try await command(["lease", name(host)] + changes)
    }

    /// Takes the host out of the leases file; any change puts it back.
    public func removeLease(of host: TestHost) async throws { try await command(["lease", name(host), "--remove"]) }
}
