// Pods connected by this node itself (`--network pods`, the default, and `--network bridge`).
import ContainerRuntime
import Glibc
import Netlink
import PodEngine
import PodNetwork

/// ``PodNetwork`` as the pod engine wants it.
struct OwnPodNetwork: PodConnector {
    let network: PodNetwork

    func attach(
        _ request: PodConnectionRequest, to sandbox: borrowing SandboxNetwork, pid: pid_t
    ) async throws -> [IPAddress] {
        let given = try network.attach(
            uid: request.uid, name: "\(request.namespace)/\(request.name)", networkNamespace: sandbox.namespace,
            routeSocket: sandbox.routeSocket, hostPorts: request.hostPorts)
        return [given.address]
    }

    func detach(uid: String) async throws { try await network.detachInBackground(uid: uid) }

    func reconcile(live: Set<String>) async throws -> [String] { try network.reconcile(live: live).lost }

    func refresh(uid: String, _ sandbox: borrowing SandboxNetwork) async throws {}
}
