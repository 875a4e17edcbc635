import Testing

@testable import Cgroups

struct CPUSharesTests {
    @Test(arguments: [(0, 2), (1, 2), (2, 2), (100, 102), (250, 256), (1000, 1024), (2500, 2560), (256_001, 262_144)])
    func requestsBecomeSharesAsInKubernetes(milliCPU: Int64, shares: UInt64) {
        #expect(CPUShares.shares(milliCPU: milliCPU) == shares)
    }

    @Test(arguments: [(1, 1000), (9, 1000), (10, 1000), (15, 1500), (500, 50_000), (2000, 200_000)])
    func limitsBecomeQuotasAsInKubernetes(milliCPU: Int64, quota: Int64) {
        #expect(CPUShares.quota(milliCPU: milliCPU) == quota)
    }

    @Test func noLimitIsNoQuota() {
        #expect(CPUShares.quota(milliCPU: 0) == nil)
        #expect(CPUShares.quota(milliCPU: -1) == nil)
    }

    @Test func absurdNumbersDoNotTrap() {
        #expect(CPUShares.shares(milliCPU: .max) == 262_144)
        #expect(CPUShares.shares(milliCPU: .min) == 2)
        #expect(CPUShares.quota(milliCPU: .max) == Int64.max / 1000)
    }

    // The ends and the middle are fixed points of the curve; 256 shares, a quarter of a processor, are 35 with runc.
    @Test(arguments: [(0, 1), (2, 1), (256, 35), (1024, 100), (262_144, 10_000), (999_999, 10_000)])
    func sharesBecomeWeightsAsInRunc(shares: UInt64, weight: UInt64) {
        #expect(CPUShares.weight(shares: shares) == weight)
    }

    @Test func weightNeverFallsWhenSharesGrow() {
        let weights = CPUShares.range.map(CPUShares.weight)
        #expect(zip(weights, weights.dropFirst()).allSatisfy { $0 <= $1 })
        #expect(weights.first == 1 && weights.last == 10_000)
    }

    @Test func podsLieWhereKubernetesPutsThem() {
        #expect(
            CPUShares.kubernetesPath(qualityOfService: .burstable, podUID: "1", container: "web")
                == "/kubepods/burstable/pod1/web")
        #expect(CPUShares.kubernetesPath(qualityOfService: .bestEffort, podUID: "1") == "/kubepods/besteffort/pod1")
        #expect(CPUShares.kubernetesPath(qualityOfService: .guaranteed, podUID: "1") == "/kubepods/pod1")
    }
}
