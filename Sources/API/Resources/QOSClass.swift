// The quality-of-service class of a pod, from what its containers ask for.

/// How a pod ranks when its node runs short (Kubernetes documentation, Pod Quality of Service Classes).
public enum QOSClass: String, Sendable, Hashable, CaseIterable {
    /// Every container is limited in CPU and memory, and asks for all of it.
    case guaranteed = "Guaranteed"
    case burstable = "Burstable"
    /// No container asks for or is limited to anything.
    case bestEffort = "BestEffort"
}

extension PodSpec {
    /// As the kubelet computes it: amounts are summed over all containers, init containers too; zero is nothing.
    public var qosClass: QOSClass {
        let all = containers + initContainers
        let requests = Amounts(all.map(\.resources.requests))
        let limits = Amounts(all.map(\.resources.limits))
        if requests.isZero && limits.isZero { return .bestEffort }
        let allLimited = all.allSatisfy { container in
            let limits = container.resources.limits
            return (limits.cpu?.milliValue ?? 0) > 0 && (limits.memory?.milliValue ?? 0) > 0
        }
        return allLimited && requests == limits ? .guaranteed : .burstable
    }

    private struct Amounts: Equatable {
        var cpu: Int64 = 0
        var memory: Int64 = 0
        var isZero: Bool { cpu == 0 && memory == 0 }

        init(_ amounts: [ResourceRequirements.Amounts]) {
            for amount in amounts {
                cpu = cpu.saturatingSum(amount.cpu?.milliValue ?? 0)
                memory = memory.saturatingSum(amount.memory?.milliValue ?? 0)
            }
        }
    }
}

extension Int64 {
    fileprivate func saturatingSum(_ other: Int64) -> Int64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}
