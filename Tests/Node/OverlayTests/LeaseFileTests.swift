import Glibc
import JSONTree
import Linux
import Netlink
import TestSupport
import Testing

@testable import Overlay

/// Leases in files: what they may say, and what happens to them while a node runs.
@Suite struct LeaseFileTests {
    @Test func everyFieldIsRead() throws {
        let text = """
            nodes:
            - name: a
              publicIP: 192.0.2.1
              podCIDR: 10.42.1.0/24
            - name: b
              publicIP: 192.0.2.2
              publicIPv6: 2001:db8::2
              podCIDRs: [10.42.2.0/24, "fd42:0:0:2::/64"]
              vtepMAC: 5a:11:22:33:44:55
              vtepMACv6: "5a:11:22:33:44:66"
            """
        let leases = try LeaseFile.parse(Array(text.utf8), fileName: "leases.yaml")
        #expect(leases.map(\.name) == ["a", "b"])
        #expect(leases[0].vtepMAC == nil)
        #expect(leases[1].publicIPv6?.description == "2001:db8::2")
        #expect(leases[1].podCIDRs.map(\.description) == ["10.42.2.0/24", "fd42:0:0:2::/64"])
        #expect(leases[1].mac(over: .v4).description == "5a:11:22:33:44:55")
        #expect(leases[1].mac(over: .v6).description == "5a:11:22:33:44:66")
        let json = #"{"nodes": [{"name": "a", "publicIP": "192.0.2.1", "podCIDR": "10.42.1.0/24"}]}"#
        #expect(try LeaseFile.parse(Array(json.utf8), fileName: "leases.json") == [leases[0]])
    }

    @Test(arguments: [
        ("nodes: {}", "f.yaml:1: nodes: expected a list, got an object"),
        ("", "f.yaml: expected an object with the list nodes, got null"),
        ("- a", "f.yaml:1: expected an object with the list nodes, got a list"),
        ("nodes: []\nmore: 1", "f.yaml:2: more: unknown field; known is nodes"),
        ("nodes:\n- 7", "f.yaml:2: nodes[0]: expected an object, got an integer"),
        ("nodes:\n- publicIP: 192.0.2.1\n  podCIDR: 10.42.1.0/24", "f.yaml:2: nodes[0].name: Required value"),
        ("nodes:\n- name: a\n  podCIDR: 10.42.1.0/24", "f.yaml:2: nodes[0]: needs publicIP or publicIPv6"),
        ("nodes:\n- name: a\n  publicIP: 192.0.2.1", "f.yaml:2: nodes[0].podCIDR: Required value"),
        (
            "nodes:\n- name: a\n  publicIP: 192.0.2.1\n  podCIDR: 10.42.1.7/24",
            "f.yaml:4: nodes[0].podCIDR: Invalid value: \"10.42.1.7/24\": bits after the prefix are set; the network is "
                + "10.42.1.0/24"
        ),
        (
            "nodes:\n- name: a\n  publicIP: 192.0.2.1\n  podCIDR: 10.42.1.0",
            "f.yaml:4: nodes[0].podCIDR: Invalid value: \"10.42.1.0\": need an address and a prefix length, such as "
                + "10.42.1.0/24"
        ),
        (
            "nodes:\n- name: a\n  publicIP: 2001:db8::1\n  podCIDR: 10.42.1.0/24",
            "f.yaml:3: nodes[0].publicIP: Invalid value: \"2001:db8::1\": need an IPv4 address; an IPv6 one goes into "
                + "publicIPv6"
        ),
        (
            "nodes:\n- name: a\n  publicIP: 192.0.2.1\n  podCIDRs: [10.42.1.0/24, 10.43.1.0/24]",
            "f.yaml:4: nodes[0].podCIDRs[1]: Invalid value: \"10.43.1.0/24\": a node has one network per family"
        ),
        (
            "nodes:\n- name: a\n  publicIp: 192.0.2.1\n  podCIDR: 10.42.1.0/24",
            "f.yaml:3: nodes[0].publicIp: unknown field; known are name, publicIP, publicIPv6, podCIDR, podCIDRs, vtepMAC, "
                + "vtepMACv6"
        ),
        ("nodes: [", "f.yaml:1: did not find expected node content while parsing a flow node"),
    ])
    func mistakesAreToldWithLineAndField(_ text: String, _ message: String) throws {
        let error = #expect(throws: OverlayError.self) { try LeaseFile.parse(Array(text.utf8), fileName: "f.yaml") }
        #expect(error?.description == message)
    }

    @Test func noBytesCrashTheReader() {
        let good = Array("nodes:\n- {name: a, publicIP: 192.0.2.1, podCIDRs: [10.42.1.0/24], vtepMAC: 5a:1:2}\n".utf8)
        var random = SystemRandomNumberGenerator()
        for _ in 0..<2000 {
            var bytes = good
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            _ = try? LeaseFile.parse(bytes, fileName: "f.yaml")
        }
    }

    // MARK: Following a file

    private final class Place {
        let directory: String
        let loop: EventLoop
        var path: String { "\(directory)/leases.yaml" }
        init() throws {
            directory = try makeTemporaryDirectory()
            loop = try EventLoop(name: "leases")
        }
        deinit {
            loop.stop()
            try? removeTree(directory)
        }

        func write(_ text: String) throws { try writeFileAtomically(path, Array(text.utf8)) }

        func entry(_ name: String, _ number: Int) -> String {
            "- {name: \(name), publicIP: 192.0.2.\(number), podCIDR: 10.42.\(number).0/24}\n"
        }
    }

    @Test func aFileIsFollowedHoweverItChanges() async throws {
        let place = try Place()
        try place.write("nodes:\n" + place.entry("a", 1))
        let watch = try LeaseFileWatch(place.path, eventLoop: place.loop)
        var readings = watch.readings.makeAsyncIterator()
        #expect(await readings.next()?.leases?.map(\.name) == ["a"])

        // Replaced.
        try place.write("nodes:\n" + place.entry("a", 1) + place.entry("b", 2))
        #expect(await readings.next()?.leases?.map(\.name) == ["a", "b"])

        // Edited in place.
        do {
            let file = try OwnedDescriptor(opening: place.path, flags: O_WRONLY | O_APPEND)
            try file.writeAll(Array(place.entry("c", 3).utf8))
        }
        #expect(await readings.next()?.leases?.map(\.name) == ["a", "b", "c"])

        // Gone: nothing changes for the nodes.
        unlink(place.path)
        let gone = await readings.next()
        #expect(gone?.leases?.count == 3)
        #expect(gone?.problems == ["\(place.path): No such file or directory: its last leases stay in use"])

        // Broken: the same.
        try place.write("nodes: [")
        let broken = await readings.next()
        #expect(broken?.leases?.count == 3)
        #expect(broken?.problems.count == 1)

        // One entry is wrong: its node keeps what it had, the others do as the file says.
        try place.write("nodes:\n" + place.entry("a", 7) + "- {name: b, publicIP: nonsense, podCIDR: 10.42.2.0/24}\n")
        let partly = await readings.next()
        #expect(partly?.leases?.map { "\($0.name) \($0.podCIDRs[0])" } == ["a 10.42.7.0/24", "b 10.42.2.0/24"])
        #expect(partly?.problems.first?.hasPrefix("\(place.path):3: nodes[1].publicIP: Invalid value") == true)

        // Right again.
        try place.write("nodes:\n" + place.entry("a", 7))
        let right = await readings.next()
        #expect(right == LeaseFileWatch.Reading(leases: right?.leases, problems: []))
        #expect(right?.leases?.map(\.name) == ["a"])
        watch.stop()
        #expect(await readings.next() == nil)
    }

    @Test func aFileThatIsBeingWrittenIsNotRead() async throws {
        let place = try Place()
        let watch = try LeaseFileWatch(place.path, eventLoop: place.loop)
        var readings = watch.readings.makeAsyncIterator()
        #expect(await readings.next()?.leases == nil)
        // First a new file, then the same one emptied and written again.
        for round in 1...10 {
            let file = try OwnedDescriptor(opening: place.path, flags: O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
            try file.writeAll(Array(("nodes:\n" + place.entry("a", round)).utf8))
            try writeFileAtomically("\(place.directory)/other", [1])
            try file.writeAll(Array(place.entry("b", 100 + round).utf8))
            _ = consume file
            let leases = await readings.next()?.leases
            #expect(leases?.map { "\($0.podCIDRs[0])" } == ["10.42.\(round).0/24", "10.42.\(100 + round).0/24"])
        }
        watch.stop()
    }

    @Test func aFileWhoseDirectoryComesLaterIsFound() async throws {
        let place = try Place()
        let directory = "\(place.directory)/later"
        let watch = try LeaseFileWatch("\(directory)/leases.yaml", eventLoop: place.loop)
        var readings = watch.readings.makeAsyncIterator()
        let first = await readings.next()
        #expect(first?.leases == nil)
        #expect(first?.problems == ["\(directory)/leases.yaml: No such file or directory"])
        try makeDirectories(directory, mode: 0o700)
        try writeFileAtomically("\(directory)/leases.yaml", Array(("nodes:\n" + place.entry("a", 1)).utf8))
        #expect(await readings.next()?.leases?.map(\.name) == ["a"])
        watch.stop()
    }

    @Test func whatALinkInAnotherDirectoryLeadsToIsFollowed() async throws {
        let place = try Place()
        for name in ["one", "two"] {
            try makeDirectories("\(place.directory)/\(name)", mode: 0o700)
            try writeFileAtomically("\(place.directory)/\(name)/file", Array(("nodes:\n" + place.entry(name, 1)).utf8))
        }
        try check(symlink("one/file", place.path), "symlink")
        let watch = try LeaseFileWatch(place.path, eventLoop: place.loop)
        var readings = watch.readings.makeAsyncIterator()
        #expect(await readings.next()?.leases?.map(\.name) == ["one"])
        try writeFileAtomically("\(place.directory)/one/file", Array(("nodes:\n" + place.entry("b", 1)).utf8))
        #expect(await readings.next()?.leases?.map(\.name) == ["b"])
        // To another place, which is watched from then on.
        try check(symlink("\(place.directory)/two/file", "\(place.path).new"), "symlink")
        try check(rename("\(place.path).new", place.path), "rename")
        #expect(await readings.next()?.leases?.map(\.name) == ["two"])
        do {
            let file = try OwnedDescriptor(opening: "\(place.directory)/two/file", flags: O_WRONLY | O_APPEND)
            try file.writeAll(Array(place.entry("c", 3).utf8))
        }
        #expect(await readings.next()?.leases?.map(\.name) == ["two", "c"])
        watch.stop()
    }

    @Test func whatIsNoRegularFileIsRefusedAtOnce() async throws {
        let place = try Place()
        try check(mkfifo(place.path, 0o600), "mkfifo")
        for path in [place.path, "/dev/zero"] {
            let watch = try LeaseFileWatch(path, eventLoop: place.loop)
            var readings = watch.readings.makeAsyncIterator()
            #expect(await readings.next()?.problems == ["\(path): not a regular file"])
            watch.stop()
        }
    }
}
