import Cgroups
import NFTables
import Netlink
import PodNetwork
import Resources

extension PodSpec {
    /// Where the pod's cgroup stands in the kubepods tree.
    var cgroupClass: CPUShares.QualityOfService {
        switch qosClass {
        case .guaranteed: .guaranteed
        case .burstable: .burstable
        case .bestEffort: .bestEffort
        }
    }

    /// What the pod as a whole asks for and is limited to, in thousandths of a CPU and in bytes; nil where a container
    /// is without a limit. Init containers run one after another before the others, so the larger of both counts;
    /// sidecars run beside all that follow them (Kubernetes, "Sidecar Containers", resource sharing).
    func total(_ amount: (Container) -> Int64?) -> Int64? {
        var sidecars: Int64 = 0
        var largest: Int64 = 0
        for container in initContainers {
            guard let value = amount(container) else { return nil }
            if container.isSidecar { sidecars += value }
            largest = max(largest, container.isSidecar ? sidecars : sidecars + value)
        }
        var apps: Int64 = 0
        for container in containers {
            guard let value = amount(container) else { return nil }
            apps += value
        }
        return max(largest, sidecars + apps)
    }

    /// Ports of the node that lead to the pod; none with hostNetwork, where the container itself listens there.
    var hostPorts: [HostPort] {
        (initContainers + containers).flatMap(\.ports).compactMap { port in
            guard let hostPort = port.hostPort, hostPort > 0 else { return nil }
            let transport: TransportProtocol =
                switch port.protocol {
                case .tcp: .tcp
                case .udp: .udp
                case .sctp: .sctp
                }
            return HostPort(
                hostIP: port.hostIP.flatMap { IPAddress($0) }, port: hostPort, transport: transport,
                containerPort: port.containerPort)
        }
    }
}

extension ChangeBroadcast {
    /// Like ``stream()``, with a first element at once: for loops that look, then wait for a change.
    func streamBeginningNow() -> AsyncStream<Void> {
        let stream = stream()
        notify()
        return stream
    }
}

extension PodSnapshot {
    /// Whether each of its containers runs or has ended: what `pod run` waits for.
    var hasBegun: Bool {
        isEnded
            || containers.allSatisfy { container in
                switch container.state {
                case .running: container.started
                case .terminated: true
                case .waiting(let reason, _): reason == "CrashLoopBackOff"
                }
            }
    }
}
