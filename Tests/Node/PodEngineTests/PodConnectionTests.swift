import Netlink
import Resources
import Testing

@testable import PodEngine

/// What a manifest asks of the pod's network.
@Suite struct PodConnectionTests {
    func request(_ annotations: [String: String], hostNetwork: Bool = false) throws -> PodConnectionRequest {
        var spec = PodSpec(containers: [Container(name: "c", image: "i")])
        spec.hostNetwork = hostNetwork
        let metadata = ObjectMeta(name: "web-0", namespace: "shop", annotations: annotations)
        return try PodConnectionRequest(Pod(metadata: metadata, spec: spec), uid: PodUID())
    }

    @Test func annotationsAskForBandwidthAddressesAndMAC() throws {
        let request = try request([
            "kubernetes.io/ingress-bandwidth": "10M", "kubernetes.io/egress-bandwidth": "1.5Mi",
            "swiftlet.dev/addresses": "10.42.0.9, fd42::9", "swiftlet.dev/mac": "02:00:00:00:00:09",
        ])
        #expect(request.ingressBandwidth == 10_000_000)
        #expect(request.egressBandwidth == 1_572_864)
        #expect(request.addresses.map(\.description) == ["10.42.0.9", "fd42::9"])
        #expect(request.mac == MACAddress("02:00:00:00:00:09"))
    }

    @Test func aPodWithoutAnnotationsAsksForNothingSpecial() throws {
        let request = try request(["team": "red"])
        #expect(request.ingressBandwidth == nil && request.egressBandwidth == nil)
        #expect(request.addresses.isEmpty && request.mac == nil && request.hostPorts.isEmpty)
        #expect(request.namespace == "shop" && request.name == "web-0")
    }

    @Test(arguments: [
        ("kubernetes.io/ingress-bandwidth", "fast"), ("kubernetes.io/ingress-bandwidth", "999"),
        ("kubernetes.io/egress-bandwidth", "2P"), ("kubernetes.io/egress-bandwidth", "-1M"),
        ("swiftlet.dev/addresses", ""), ("swiftlet.dev/addresses", "10.42.0.9,10.42.0.10"),
        ("swiftlet.dev/addresses", "10.42.0.9/24"), ("swiftlet.dev/mac", "02:00:00:00:00"),
        ("swiftlet.dev/mac", "01:00:5e:00:00:01"), ("swiftlet.dev/mac", "00:00:00:00:00:00"),
    ])
    func nonsenseIsRefusedByTheAnnotationsName(name: String, value: String) {
        let error = #expect(throws: PodError.self) { try request([name: value]) }
        #expect(error?.message.contains(name) == true)
        #expect(error?.reason == .invalid)
    }

    @Test func aPodOnTheHostsNetworkCannotChoose() {
        #expect(throws: PodError.self) { try request(["swiftlet.dev/addresses": "10.42.0.9"], hostNetwork: true) }
        #expect(throws: Never.self) { try request([:], hostNetwork: true) }
    }
}
