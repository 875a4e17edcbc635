import Cgroups
import Netlink
import PodNetwork
import Resources

extension PodSpec {
    /// Where the pod's cgroup stands in the kubepods tree.
    var cgroupClass: CPUShares.QualityOfService {
        switch qualityOfService {
        case .guaranteed: .guaranteed
        case .burstable: .burstable
        case .bestEffort: .bestEffort
        }
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
