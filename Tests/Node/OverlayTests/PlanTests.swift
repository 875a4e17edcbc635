import Testing

@testable import Netlink
@testable import Overlay

/// Desired state and differences as values: no kernel is asked.
@Suite struct PlanTests {
    private let configuration = OverlayConfiguration(nodeName: "node-0")

    private func leases(_ count: Int) -> [NodeLease] {
        (0..<count).map { number in
            NodeLease(
                name: "node-\(number)", publicIPv4: IPv4Address(0xc612_0000 + UInt32(number)),
                podCIDRs: [CIDR(containing: .v4(IPv4Address(0x0a2a_0000 + UInt32(number) << 8)), prefixLength: 24)]
                    .compactMap { $0 })
        }
    }

    private func plan(_ leases: [NodeLease], _ kernel: KernelState) -> Plan {
        var plan = Plan(configuration: configuration)
        _ = plan.update(LeaseTable(leases, ownName: "node-0"), for: kernel)
        return plan
    }

    /// A host with the first node's address and, if asked for, the overlay's device as it should be.
    private func kernel(device: Bool = true) -> KernelState {
        var kernel = KernelState()
        kernel.doubts = []
        kernel.take(.link(Self.link(2, "eth0", mtu: 1500)))
        kernel.take(.address(Address(link: 2, address: .v4(IPv4Address(0xc612_0000)), prefixLength: 15)))
        if device {
            var link = Self.link(7, "swiftlet.1", mtu: 1450)
            link.kind = "vxlan"
            link.alias = OverlayConfiguration.alias
            link.mac = NodeLease.derivedMAC(of: "node-0", .v4)
            link.vxlan = VXLANSettings(vni: 1, local: .v4(IPv4Address(0xc612_0000)), underlay: 2, udpChecksum: false)
            kernel.take(.link(link))
            kernel.take(.address(Address(link: 7, address: .v4(IPv4Address(0x0a2a_0000)), prefixLength: 32)))
        }
        _ = kernel.takeEntries()
        return kernel
    }

    private static func link(_ index: Int32, _ name: String, mtu: UInt32) -> Link {
        Link(
            index: index, name: name, mtu: mtu, flags: [.up, .running], operationalState: .up, peerIsElsewhere: false)
    }

    /// As the kernel answers: each change comes back as an event.
    private func apply(_ repairs: [Repair], to kernel: inout KernelState) {
        for change in repairs.flatMap(\.changes) {
            switch change {
            case .setNeighbour(let it): kernel.take(.neighbour(it))
            case .deleteNeighbour(let it): kernel.take(.neighbourGone(it))
            case .setForwardingEntry(let it):
                kernel.replaced(by: it)
                kernel.take(.forwardingEntry(it))
            case .deleteForwardingEntry(let it): kernel.take(.forwardingEntryGone(it))
            case .setRoute(let it), .addRoute(let it):
                kernel.replaced(by: it)
                kernel.take(.route(it))
            case .deleteRoute(let it): kernel.take(.routeGone(it))
            default: break
            }
        }
    }

    @Test func aDeviceComesBeforeWhatIsOnIt() throws {
        let kernel = kernel(device: false)
        let plan = plan(leases(3), kernel)
        #expect(plan.entries.isEmpty)
        let repairs = plan.deviceRepairs(kernel, known: []).repairs
        #expect(repairs.map(\.subject) == [.device("swiftlet.1")])
        guard case .createLink(let link)? = repairs.first?.changes.first else { throw PlanFailure() }
        #expect(link.mtu == 1450)
        #expect(link.isUp)
    }

    @Test func entriesComeInTheOrderThatPacketsNeedAndGoInTheReverse() {
        var kernel = kernel()
        let repairs = plan(leases(3), kernel).entryRepairs(kernel, of: nil)
        #expect(ranks(repairs) == [0, 0, 1, 1, 3, 3])
        apply(repairs, to: &kernel)
        #expect(plan(leases(3), kernel).entryRepairs(kernel, of: nil).isEmpty)
        let removals = plan(leases(1), kernel).entryRepairs(kernel, of: nil)
        #expect(ranks(removals) == [3, 3, 1, 1, 0, 0])
    }

    private func ranks(_ repairs: [Repair]) -> [Int] {
        repairs.map { if case .entry(let key) = $0.subject { key.rank } else { -1 } }
    }

    @Test func stepByStepOrAtOnceThePlanIsTheSame() throws {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<50 {
            var kernel = kernel()
            var stepwise = Plan(configuration: configuration)
            var all = leases(12)
            var table = LeaseTable([], ownName: "node-0")
            for _ in 0..<15 {
                let number = Int.random(in: 1..<all.count, using: &random)
                switch Int.random(in: 0..<5, using: &random) {
                case 0: all[number].vtepMAC = MACAddress(0x0200_0000_0000 | UInt64.random(in: 1...3, using: &random))
                case 1: all[number].publicIPv4 = IPv4Address(0xc612_0000 + UInt32.random(in: 1..<20, using: &random))
                case 2: all.swapAt(number, Int.random(in: 1..<all.count, using: &random))
                case 3: all[number].podCIDRs = all[Int.random(in: 1..<all.count, using: &random)].podCIDRs
                default: all[number] = leases(40)[Int.random(in: 1..<40, using: &random)]
                }
                table = LeaseTable(all, ownName: "node-0", after: table)
                let keys = stepwise.update(table, for: kernel)
                let atOnce = plan(all, kernel)
                #expect(stepwise.entries == atOnce.entries)
                #expect(Set(stepwise.problems) == Set(atOnce.problems))
                // What it says has changed is enough to bring the kernel there.
                apply(stepwise.entryRepairs(kernel, of: keys), to: &kernel)
                #expect(kernel.doubts.isEmpty)
                let left = stepwise.entryRepairs(kernel, of: nil)
                #expect(left.isEmpty, "\(left)")
            }
        }
    }

    @Test func everyDerivedMACIsADevicesOwnAndNoTwoAreAlike() {
        var seen: Set<MACAddress> = []
        for number in 0..<10_000 {
            for family in IPFamily.allCases {
                let mac = NodeLease.derivedMAC(of: "node-\(number)", family)
                #expect(mac.bytes[0] & 3 == 2, "\(mac)")
                #expect(seen.insert(mac).inserted)
            }
        }
        // Others have programmed it: it never changes.
        #expect("\(NodeLease.derivedMAC(of: "node-1", .v4))" == "ee:08:40:dd:2d:68")
        #expect("\(NodeLease.derivedMAC(of: "node-1", .v6))" == "\(NodeLease.derivedMAC(of: "node-1", .v6))")
    }

    @Test(arguments: [
        (OverlayBackend.vxlan, 1500, 1450, 1430), (.vxlanDirect, 9000, 8950, 8930), (.tunnel, 1500, 1464, 1444),
        (.hostGateway, 1500, 1500, 1500), (.none, 1400, 1400, 1400), (.vxlan, 1400, 1350, 1330),
    ])
    func theMTUIsTheUnderlaysWithoutTheHeaders(
        _ backend: OverlayBackend, _ underlay: UInt32, _ v4: UInt32, _ v6: UInt32
    ) {
        let configuration = OverlayConfiguration(nodeName: "a", backend: backend)
        #expect(underlay - configuration.overhead(.v4) == v4)
        #expect(underlay - configuration.overhead(.v6) == v6)
    }

    @Test func anMTUThatWasAskedForIsAnUpperBound() {
        var plan = Plan(configuration: OverlayConfiguration(nodeName: "node-0", mtu: 1400))
        _ = plan.update(LeaseTable(leases(1), ownName: "node-0"), for: kernel())
        #expect(plan.podMTU == 1400)
        plan = Plan(configuration: OverlayConfiguration(nodeName: "node-0", mtu: 9000))
        _ = plan.update(LeaseTable(leases(1), ownName: "node-0"), for: kernel())
        #expect(plan.podMTU == 1450)
    }

    @Test(arguments: [
        (UInt32(1), "swiftlet.1", "swiftlet6.1"), (99999, "swiftlet.99999", "swiftlet6.99999"),
        (100_000, "swiftlet.100000", "swiftle6.186a0"), (999_999, "swiftlet.999999", "swiftle6.f423f"),
        (1_048_576, "swiftle4.100000", "swiftle6.100000"), (16_777_215, "swiftle4.ffffff", "swiftle6.ffffff"),
    ])
    func deviceNamesFit(_ vni: UInt32, _ v4: String, _ v6: String) {
        let configuration = OverlayConfiguration(nodeName: "a", vni: vni)
        #expect(configuration.deviceName(.v4) == v4)
        #expect(configuration.deviceName(.v6) == v6)
        for name in [v4, v6] {
            #expect(name.utf8.count <= 15)
            #expect(OverlayConfiguration.isDeviceName(name, vni: vni))
            #expect(OverlayConfiguration.isDeviceName(name, vni: nil))
            #expect(!OverlayConfiguration.isDeviceName(name, vni: vni - 1))
        }
    }

    @Test(arguments: [
        "swiftlet.", "swiftlet.0", "swiftlet.01", "swiftlet.x", "swiftlet.16777216", "flannel.1", "sl7k2",
        "sl.16777215", "swiftle4.f4240x", "swiftle4.1", "swiftle6.00186a0", "swiftlet.+1", "swiftlet",
    ])
    func otherNamesAreNotOurs(_ name: String) { #expect(!OverlayConfiguration.isDeviceName(name, vni: nil)) }

    @Test func wrongConfigurationsAreRefused() {
        for configuration in [
            OverlayConfiguration(nodeName: "a", vni: 0), OverlayConfiguration(nodeName: "a", vni: 1 << 24),
            OverlayConfiguration(nodeName: "a", port: 0), OverlayConfiguration(nodeName: "a", mtu: 100),
        ] { #expect(throws: OverlayError.self) { try configuration.validate() } }
    }
}

private struct PlanFailure: Error {}
