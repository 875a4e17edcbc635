import ContainerRuntime
import Linux
import OCI
import Resources

/// Under which rights a container runs: the container's securityContext laid over the pod's, over the image's user.
enum ContainerSecurity {
    /// Resolves who the container runs as in its root file system, `root` being a descriptor of it.
    static func user(_ container: Container, pod: PodSpec, image: ImageConfig, root: Int32) throws(PodError)
        -> ResolvedUser
    {
        let context = container.securityContext
        let uid = context.runAsUser ?? pod.securityContext.runAsUser
        let gid = context.runAsGroup ?? pod.securityContext.runAsGroup
        let mustNotBeRoot = context.runAsNonRoot ?? pod.securityContext.runAsNonRoot ?? false
        var resolved: ResolvedUser
        do {
            resolved = try UserLookup.resolve(uid.map { String($0) } ?? image.user, root: root)
        } catch {
            throw PodError(.invalid, "image \(container.image): user \"\(image.user)\": \(error)")
        }
        if mustNotBeRoot {
            let name = image.user.prefix { $0 != ":" }
            if uid == nil, !name.isEmpty, UInt32(name) == nil {
                throw PodError(
                    .invalid,
                    "container has runAsNonRoot and image has non-numeric user (\(name)), cannot verify user is non-root"
                )
            }
            if resolved.user.uid == 0 {
                throw PodError(.invalid, "container has runAsNonRoot and image will run as root")
            }
        }
        if let gid { resolved.user.gid = UInt32(clamping: gid) }
        if pod.securityContext.supplementalGroupsPolicy == .strict { resolved.user.additionalGroups = [] }
        var groups = resolved.user.additionalGroups
        groups += pod.securityContext.supplementalGroups.map { UInt32(clamping: $0) }
        if let fsGroup = pod.securityContext.fsGroup { groups.append(UInt32(clamping: fsGroup)) }
        resolved.user.additionalGroups = Array(Set(groups)).sorted()
        return resolved
    }

    /// The runtime's default set plus `add` minus `drop`; all that this process has for a privileged container.
    static func capabilities(_ context: SecurityContext) throws(PodError) -> CapabilitySets {
        do {
            let mine = try Capabilities.current()
            if context.privileged { return CapabilitySets(mine) }
            var set = Capabilities.containerDefault
            func named(_ name: String) throws(PodError) -> Capabilities {
                guard let capability = Capabilities(named: name) else {
                    throw PodError(.invalid, "capability \"\(name)\" is unknown")
                }
                return capability
            }
            // Kubernetes' order: ALL first in either list, then single names.
            if context.capabilitiesAdd.contains(where: { $0.uppercased() == "ALL" }) { set = mine }
            if context.capabilitiesDrop.contains(where: { $0.uppercased() == "ALL" }) { set = [] }
            for name in context.capabilitiesAdd where name.uppercased() != "ALL" { set.formUnion(try named(name)) }
            for name in context.capabilitiesDrop where name.uppercased() != "ALL" { set.subtract(try named(name)) }
            return CapabilitySets(set)
        } catch let error as PodError {
            throw error
        } catch {
            throw PodError(.internalError, "\(error)")
        }
    }

    /// The signal that stops a container, from the image's `STOPSIGNAL`: a name, a number, `RTMIN+n`; TERM without one.
    static func stopSignal(_ image: ImageConfig) -> Int32 {
        let text = image.stopSignal.uppercased()
        if let number = Int32(text), (1...64).contains(number) { return number }
        let name = text.hasPrefix("SIG") ? String(text.dropFirst(3)) : text
        if name.hasPrefix("RTMIN+"), let offset = Int32(name.dropFirst(6)), (0...30).contains(offset) {
            return 34 + offset
        }
        return signalNumbers[name] ?? SIGTERM
    }

    private static let signalNumbers: [String: Int32] = [
        "HUP": SIGHUP, "INT": SIGINT, "QUIT": SIGQUIT, "ABRT": SIGABRT, "KILL": SIGKILL, "USR1": SIGUSR1,
        "USR2": SIGUSR2, "TERM": SIGTERM, "CONT": SIGCONT, "STOP": SIGSTOP, "WINCH": SIGWINCH, "PWR": SIGPWR,
        "RTMIN": 34,
    ]
}

/// Which processes the kernel kills first when memory runs out (Kubernetes, "Node-pressure Eviction").
enum OOMScore {
    /// oom_score_adj of a container: -997 guaranteed, 1000 best effort, else by the share of memory it asked for.
    static func adjustment(
        qualityOfService: QOSClass, memoryRequest: Int64, memoryCapacity: Int64
    ) -> Int32 {
        switch qualityOfService {
        case .guaranteed: return -997
        case .bestEffort: return 1000
        case .burstable:
            guard memoryCapacity > 0 else { return 999 }
            let share = 1000 - (1000 * Double(memoryRequest) / Double(memoryCapacity))
            return Int32(min(max(share, 3), 999))
        }
    }
}

/// Kernel parameters that a pod may set: those of its own namespaces that Kubernetes calls safe, and what the node
/// allows beyond ("Using sysctls in a Kubernetes Cluster").
enum SysctlPolicy {
    static let safe: Set<String> = [
        "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range", "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
    ]

    static func check(_ spec: PodSpec, allowedUnsafe: [String]) throws(PodError) {
        for sysctl in spec.securityContext.sysctls {
            let name = sysctl.name.contains("/") ? sysctl.name.replacingSlashes() : sysctl.name
            if name.hasPrefix("net.") && spec.hostNetwork {
                throw PodError(.invalid, "SysctlForbidden: sysctl \"\(name)\" is not allowed with hostNetwork")
            }
            let isIPC =
                name.hasPrefix("kernel.shm") || name.hasPrefix("kernel.msg") || name == "kernel.sem"
                || name.hasPrefix("fs.mqueue.")
            if isIPC && spec.hostIPC {
                throw PodError(.invalid, "SysctlForbidden: sysctl \"\(name)\" is not allowed with hostIPC")
            }
            guard isIPC || name.hasPrefix("net.") else {
                throw PodError(.invalid, "SysctlForbidden: sysctl \"\(name)\" does not belong to a pod's namespaces")
            }
            let allowed =
                safe.contains(name)
                || allowedUnsafe.contains { pattern in
                    pattern.hasSuffix("*") ? name.hasPrefix(pattern.dropLast()) : pattern == name
                }
            guard allowed else {
                throw PodError(
                    .invalid,
                    "SysctlForbidden: sysctl \"\(name)\" is not in the safe set; "
                        + "allow it with swiftlet node --allowed-unsafe-sysctls")
            }
        }
    }
}

extension String {
    fileprivate func replacingSlashes() -> String { String(map { $0 == "/" ? "." : $0 == "." ? "/" : $0 }) }
}
