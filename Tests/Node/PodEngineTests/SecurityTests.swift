import ContainerRuntime
import Resources
import Testing

@testable import PodEngine

/// Rights, scores and parameters of containers.
@Suite struct SecurityTests {
    @Test func capabilitiesAreTheDefaultsPlusAddMinusDrop() throws {
        var context = SecurityContext()
        #expect(try ContainerSecurity.capabilities(context).bounding == .containerDefault)
        context.capabilitiesDrop = ["ALL"]
        #expect(try ContainerSecurity.capabilities(context).bounding == [])
        context.capabilitiesAdd = ["NET_BIND_SERVICE"]
        #expect(try ContainerSecurity.capabilities(context).bounding == Capabilities(named: "NET_BIND_SERVICE"))
        context.capabilitiesDrop = ["CHOWN"]
        let set = try ContainerSecurity.capabilities(context).bounding
        #expect(Capabilities(named: "CHOWN").map { !set.contains($0) } == true)
        #expect(try ContainerSecurity.capabilities(context).inheritable == [])
    }

    @Test func anUnknownCapabilityFailsTheStart() {
        var context = SecurityContext()
        context.capabilitiesAdd = ["FLY"]
        #expect(throws: PodError.self) { try ContainerSecurity.capabilities(context) }
    }

    @Test(arguments: [
        (QOSClass.guaranteed, Int64(0), Int32(-997)), (.bestEffort, 0, 1000), (.burstable, 0, 999),
        (.burstable, 500, 500), (.burstable, 1000, 3),
    ])
    func oomScoreFollowsTheShareOfMemoryAskedFor(quality: QOSClass, request: Int64, score: Int32) {
        #expect(
            OOMScore.adjustment(qualityOfService: quality, memoryRequest: request, memoryCapacity: 1000) == score)
    }

    @Test(arguments: [
        ("net.ipv4.ip_unprivileged_port_start", false, false, true), ("net.ipv4.ip_forward", false, false, false),
        ("net.ipv4.tcp_syncookies", true, false, false), ("kernel.shmmax", false, false, false),
        ("kernel.shm_rmid_forced", false, false, true), ("kernel.shm_rmid_forced", false, true, false),
        ("kernel.panic", false, false, false), ("vm.swappiness", false, false, false),
    ])
    func onlySafeParametersOfThePodsOwnNamespacesAreAllowed(
        name: String, hostNetwork: Bool, hostIPC: Bool, allowed: Bool
    ) {
        var spec = PodSpec(containers: [Container(name: "c", image: "i")])
        spec.hostNetwork = hostNetwork
        spec.hostIPC = hostIPC
        spec.securityContext.sysctls = [PodSecurityContext.Sysctl(name: name, value: "1")]
        let isAllowed = (try? SysctlPolicy.check(spec, allowedUnsafe: [])) != nil
        #expect(isAllowed == allowed)
    }

    @Test func aNodeMayAllowUnsafeParametersByPattern() throws {
        var spec = PodSpec(containers: [Container(name: "c", image: "i")])
        spec.securityContext.sysctls = [PodSecurityContext.Sysctl(name: "net.core.somaxconn", value: "1024")]
        #expect(throws: PodError.self) { try SysctlPolicy.check(spec, allowedUnsafe: ["net.ipv4.*"]) }
        try SysctlPolicy.check(spec, allowedUnsafe: ["net.core.*"])
        spec.securityContext.sysctls = [PodSecurityContext.Sysctl(name: "kernel.panic", value: "1")]
        #expect(throws: PodError.self) { try SysctlPolicy.check(spec, allowedUnsafe: ["kernel.*"]) }
    }
}
