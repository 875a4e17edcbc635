import Linux

/// Conversions between Kubernetes' thousandths of a processor and what the kernel takes.
public enum CPUShares {
    /// What cpu.shares accepts.
    public static let range: ClosedRange<UInt64> = 2...262_144
    /// The period that Kubernetes uses for quotas, in microseconds.
    public static let defaultPeriod: UInt64 = 100_000
    /// The least quota that the kernel accepts, in microseconds.
    public static let minimumQuota: Int64 = 1_000

    /// cpu.shares for a request of `milliCPU` thousandths of a processor (kubelet, MilliCPUToShares): 1024 for a whole one,
    /// never less than 2.
    public static func shares(milliCPU: Int64) -> UInt64 {
        guard milliCPU > 0 else { return range.lowerBound }
        let (product, overflow) = UInt64(milliCPU).multipliedReportingOverflow(by: 1024)
        return overflow ? range.upperBound : min(max(product / 1000, range.lowerBound), range.upperBound)
    }

    /// The quota in microseconds per `period` for a limit of `milliCPU` (kubelet, MilliCPUToQuota); nil for 0: no limit.
    public static func quota(milliCPU: Int64, period: UInt64 = defaultPeriod) -> Int64? {
        guard milliCPU > 0 else { return nil }
        let (product, overflow) = milliCPU.multipliedReportingOverflow(by: Int64(clamping: period))
        return overflow ? .max / 1000 : max(product / 1000, minimumQuota)
    }

    /// cpu.weight (1…10000) for cpu.shares (2…262144), as runc and crun convert since 2025: a curve through 2→1,
    /// 1024→100, 262144→10000, so that the default of the one is the default of the other
    /// (github.com/kubernetes/kubernetes issue 131216).
    public static func weight(shares: UInt64) -> UInt64 {
        if shares <= range.lowerBound { return 1 }
        if shares >= range.upperBound { return 10_000 }
        let l = log2(Double(shares))
        let exponent = (l * l + 125 * l) / 612 - 7.0 / 34.0
        return UInt64(pow(10, exponent).rounded(.up))
    }

    /// Where Kubernetes puts a container: `/kubepods/pod<uid>/<container>` for guaranteed pods,
    /// `/kubepods/<qos>/pod<uid>/<container>` for `burstable` and `besteffort` ones. Without `container`, the pod's cgroup.
    public static func kubernetesPath(
        qualityOfService: QualityOfService, podUID: String, container: String? = nil, parent: String = "/kubepods"
    ) -> String {
        let tier = qualityOfService == .guaranteed ? "" : "/\(qualityOfService.rawValue)"
        return "\(parent)\(tier)/pod\(podUID)" + (container.map { "/\($0)" } ?? "")
    }

    /// Kubernetes' classes of service, under their names in the cgroup tree.
    public enum QualityOfService: String, Sendable, Hashable, CaseIterable {
        case guaranteed, burstable
        case bestEffort = "besteffort"
    }
}
