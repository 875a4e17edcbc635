import Glibc
import Netlink

extension NetlinkError {
    /// What it means that the kernel refused `repair` of what is called `name`, and what to do about it.
    func problem(
        of repair: Repair, _ name: String, _ configuration: OverlayConfiguration
    ) -> OverlayProblem {
        let (vni, port) = (configuration.vni, configuration.port)
        if isOfDevice(repair) {
            switch errno {
            case EOPNOTSUPP:
                return OverlayProblem(
                    .unsupported, name,
                    "this kernel makes no VXLAN devices: load its module (modprobe vxlan), or choose backend host-gw; "
                        + "\(self)")
            case EINVAL where configuration.backend == .tunnel:
                return OverlayProblem(
                    .unsupported, name,
                    "this kernel makes no external GPE devices (Linux 4.7 does): choose backend vxlan; \(self)")
            case EADDRINUSE:
                return OverlayProblem(
                    .inUse, name,
                    "UDP port \(port) is in use by another program or tunnel (ss -ulnp 'sport = \(port)'): stop it, or "
                        + "choose another port on all nodes")
            case EEXIST:
                return OverlayProblem(
                    .inUse, name,
                    "VNI \(vni) on UDP port \(port), or the name of \(name), is somebody else's: remove that device, or "
                        + "choose another VNI on all nodes; \(self)")
            default: break
            }
        }
        if case .entry(.route) = repair.subject, errno == EOPNOTSUPP, configuration.backend == .tunnel {
            return OverlayProblem(
                .unsupported, name,
                "this kernel has no routes that encapsulate (CONFIG_LWTUNNEL): choose backend vxlan; \(self)")
        }
        return OverlayProblem(.refused, name, "\(name): \(self); it is tried again")
    }
    private func isOfDevice(_ repair: Repair) -> Bool {
        switch repair.subject {
        case .device, .settings: true
        default: false
        }
    }
}
