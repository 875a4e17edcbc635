// The doctor on this host, and what its report looks like.
import JSONTree
import Linux
import NFTables
import Testing

@testable import LocalNode

// One after the other: a test that looks for what is left must not see what another is about to remove.
@Suite(.serialized)
struct DoctorTests {
    private static let temporary = "/tmp/swiftlet-doctor-test-\(getpid())"

    @Test func aHostThatRunsTheTestsIsFitForANode() throws {
        let doctor = Doctor(dataDirectory: Self.temporary, runDirectory: Self.temporary)
        let report = doctor.examine()
        // podinit lies beside the program, which is the test runner here.
        let failed = report.checks.filter { $0.status == .failed && $0.name != "podinit" }
        #expect(failed.isEmpty, "\(report.text())")
        let names = report.checks.map { "\($0.subject) \($0.name)" }
        for name in ["kernel overlayfs", "kernel seccomp", "cgroups limits", "network masquerade", "network veth"] {
            #expect(names.contains(name))
        }
        #expect(Set(names).count == names.count)
    }

    @Test func whateverIsNotOkHasARemedy() {
        let report = Doctor(dataDirectory: "/proc/nothing/here", runDirectory: "/dev/null").examine()
        #expect(report.failed)
        for check in report.checks where check.status != .ok {
            #expect(check.remedy != nil, "\(check.subject) \(check.name)")
        }
        let failed = Set(report.checks.filter { $0.status == .failed }.map(\.name))
        #expect(failed.isSuperset(of: ["overlayfs", "data-dir", "run-dir"]))
    }

    @Test func anExaminationLeavesNothing() throws {
        func traces() throws -> [String] {
            let mounts = try readText("/proc/self/mountinfo").split(separator: "\n").count
            let links = try listDirectory("/sys/class/net").joined(separator: " ")
            let files = try (listDirectory("/tmp") + listDirectory("/sys/fs/cgroup")).filter { $0.contains("doctor") }
            return ["\(mounts)", links, try readText("/proc/self/cgroup")] + files
        }
        let before = try traces()
        _ = Doctor(dataDirectory: "/tmp", runDirectory: "/tmp").examine()
        #expect(try traces() == before)
    }

    @Test func aFirewallThatDropsForwardedPacketsIsNamed() {
        func table(_ name: String, _ policy: BaseChain.Policy) -> Table {
            Table(
                TableName(.ipv4, name),
                chains: [Chain("FORWARD", hook: BaseChain(.filter, .forward, priority: 0, policy: policy))])
        }
        #expect(Doctor.firewall([table("mine", .accept)]).status == .ok)
        let check = Doctor.firewall([table("mine", .accept), table("filter", .drop)])
        #expect(check.status == .warning && check.detail == "drop in table ip filter" && check.remedy != nil)
    }

    @Test func theTextShowsProblemsWithTheirRemediesAndTotals() {
        let report = DoctorReport(checks: [
            DoctorCheck("kernel", "version", .ok, "6.18"),
            DoctorCheck("kernel", "overlayfs", .failed, "no such device", remedy: "modprobe overlay"),
            DoctorCheck("files", "space", .warning, "1.0 GiB", remedy: "free some"),
        ])
        #expect(
            report.text() == """
                kernel
                  ok       version    6.18
                  failed   overlayfs  no such device
                                      → modprobe overlay

                files
                  warning  space      1.0 GiB
                                      → free some

                1 ok, 1 warnings, 1 failed

                """)
        #expect(report.failed)
        #expect(report.text(colored: true).contains("\u{1b}[31mfailed\u{1b}[0m   overlayfs"))
    }

    @Test func theJSONHasEveryCheckAndTheTotals() throws {
        let report = DoctorReport(checks: [
            DoctorCheck("kernel", "version", .ok, "6.18"), DoctorCheck("files", "space", .warning, "1", remedy: "free"),
        ])
        let read = try JSONValue.parse(report.json().encoded(pretty: true))
        #expect(read["checks"]?.arrayValue?.count == 2)
        #expect(read["checks"]?[1]?["remedy"]?.stringValue == "free")
        #expect(read["checks"]?[0]?["remedy"] == nil)
        #expect(read["ok"]?.integerValue == 1 && read["warnings"]?.integerValue == 1)
        #expect(read["failed"]?.integerValue == 0)
    }

    @Test func theExecutableNamedByTheEnvironmentIsTaken() {
        let doctor = Doctor(dataDirectory: "/tmp", runDirectory: "/tmp")
        #expect(doctor.podinit(named: "/bin/true") == DoctorCheck("files", "podinit", .ok, "/bin/true"))
        #expect(doctor.podinit(named: "/no/such/podinit").status == .failed)
    }
}
