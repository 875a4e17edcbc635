import Cgroups
import ContainerRuntime
import Images
import Linux
import OCI
import Resources

/// A launch plan and the descriptors that it borrows, kept open for as long as this lives.
final class PreparedContainer {
    let plan: ContainerPlan
    private let root: RootFilesystem
    private let descriptors: [Descriptor]
    private let entrance: CgroupEntrance

    /// A descriptor in an array, which cannot hold values that cannot be copied.
    final class Descriptor {
        let owned: OwnedDescriptor
        init(_ owned: consuming OwnedDescriptor) { self.owned = owned }
    }

    init(
        plan: ContainerPlan, root: consuming RootFilesystem, descriptors: [Descriptor], entrance: CgroupEntrance
    ) {
        self.plan = plan
        self.root = root
        self.descriptors = descriptors
        self.entrance = entrance
    }
}

extension PodWorker {
    /// Makes all that a run of a container needs: writable layer, cgroup, mounts, rights.
    func prepare(_ container: Container, _ run: ContainerRecord, image: Image) throws -> PreparedContainer {
        let directory = paths.attempt(container.name, run.attempt)
        try makeDirectories("\(directory)/upper", mode: 0o755)
        try makeDirectories("\(directory)/work", mode: 0o755)
        let root = try RootFilesystem.overlay(
            layers: image.layers, upper: "\(directory)/upper", work: "\(directory)/work")
        let resolved = try ContainerSecurity.user(container, pod: spec, image: image.config, root: root.mount.number)
        var command = try ContainerCommand(
            container, image: image.config, hostname: hostNames().name, fields: { self.field($0) })
        command.setHome(resolved.home)

        let cgroup = try node.cgroup(stored, run.cgroup)
        try cgroup.create()
        try cgroup.apply(containerResources(container))
        let entrance = try cgroup.processDescriptors()

        var process = try processPlan(container, command.arguments)
        process.environment = command.environment
        process.workingDirectory = command.workingDirectory
        process.user = resolved.user
        process.enter(entrance)
        if container.tty { process.terminal = TerminalSize() }

        var plan = ContainerPlan(
            name: container.name, attempt: UInt32(clamping: run.attempt), process: process, root: root.mount.number)
        plan.readOnlyRoot = container.securityContext.readOnlyRootFilesystem
        plan.pidNamespace = spec.hostPID || spec.shareProcessNamespace ? .sandbox : .own
        plan.cgroupView = cgroupView()
        plan.writableSystem = container.securityContext.privileged
        if container.securityContext.privileged || container.securityContext.procMount == .unmasked {
            plan.maskedPaths = []
            plan.readOnlyPaths = []
        }
        if container.securityContext.privileged { plan.devices = try hostDevices() }

        var descriptors: [PreparedContainer.Descriptor] = []
        func keep(_ descriptor: consuming OwnedDescriptor) -> Int32 {
            let number = descriptor.number
            descriptors.append(PreparedContainer.Descriptor(descriptor))
            return number
        }
        try makeDirectories(paths.log(container.name), mode: 0o755)
        let log = keep(try OwnedDescriptor(opening: paths.log(container.name), flags: O_RDONLY | O_DIRECTORY))
        plan.log = ContainerPlan.Log(
            directory: log, maximumSize: node.configuration.logMaximumSize,
            maximumFiles: node.configuration.logMaximumFiles)
        if spec.hostIPC {
            plan.sharedMemory = keep(try privateCopy("/dev/shm").release())
        } else if fileExists(sharedMemory) {
            plan.sharedMemory = keep(try privateCopy(sharedMemory).release())
        }
        for mount in try mounts(container, directory: directory) {
            plan.mounts.append(
                ContainerPlan.Mount(
                    descriptor: keep(mount.take()), target: mount.target, kind: mount.isDirectory ? .directory : .file))
        }
        return PreparedContainer(plan: plan, root: root, descriptors: descriptors, entrance: entrance)
    }

    // MARK: - Mounts

    /// A mount on its way into the plan.
    private final class PendingMount {
        let target: String
        let isDirectory: Bool
        private var mount: DetachedMount?

        init(_ mount: consuming DetachedMount, at target: String, isDirectory: Bool) {
            self.mount = consume mount
            self.target = target
            self.isDirectory = isDirectory
        }

        convenience init(_ opened: consuming OpenedVolume, at target: String) {
            let isDirectory = opened.isDirectory
            self.init(opened.release(), at: target, isDirectory: isDirectory)
        }

        func take() -> OwnedDescriptor {
            guard let mount = mount.take() else { preconditionFailure("a pending mount is taken once") }
            return mount.release()
        }
    }

    /// A copy of a mount for a container. Private: on a host whose mounts are shared, as systemd has them, a volume that is
    /// mounted onto it would appear on the host.
    private func privateCopy(_ path: String) throws(SystemError) -> DetachedMount {
        let mount = try DetachedMount(cloning: path)
        try mount.set(propagation: .private)
        return mount
    }

    /// The files of /etc, the termination log and the volumes, shallow targets first, so that one mount may stand inside
    /// another.
    private func mounts(_ container: Container, directory: String) throws -> [PendingMount] {
        var mounts: [PendingMount] = []
        let taken = Set(container.volumeMounts.map(\.mountPath))
        for name in ["hosts", "hostname", "resolv.conf"] where !taken.contains("/etc/\(name)") {
            let mount = try privateCopy("\(paths.etc)/\(name)")
            if container.securityContext.readOnlyRootFilesystem { try mount.set(.readOnly) }
            mounts.append(PendingMount(mount, at: "/etc/\(name)", isDirectory: false))
        }
        let message = terminationLog(directory)
        try writeFileAtomically(message, [], mode: 0o666)
        let path = container.terminationMessagePath
        if !taken.contains(path) {
            mounts.append(PendingMount(try privateCopy(message), at: path, isDirectory: false))
        }
        for mount in container.volumeMounts {
            guard let volume = spec.volumes.first(where: { $0.name == mount.name }) else {
                throw PodError(.invalid, "volumeMounts: there is no volume \"\(mount.name)\"")
            }
            mounts.append(PendingMount(try volumes.open(mount, of: volume), at: mount.mountPath))
        }
        func depth(_ mount: PendingMount) -> Int { mount.target.split(separator: "/").count }
        return mounts.enumerated().sorted { (depth($0.element), $0.offset) < (depth($1.element), $1.offset) }
            .map(\.element)
    }

    /// The file behind the container's terminationMessagePath.
    func terminationLog(_ directory: String) -> String { "\(directory)/termination-log" }

    // MARK: - Rights and limits

    /// The part of a plan that a container's main process and what is run in it later have in common.
    func processPlan(_ container: Container, _ arguments: [String]) throws -> ProcessPlan {
        let context = container.securityContext
        var process = ProcessPlan(arguments: arguments)
        process.capabilities = try ContainerSecurity.capabilities(context)
        process.noNewPrivileges = context.allowPrivilegeEscalation == false
        process.oomScoreAdjustment = node.permittedOOMScore(
            OOMScore.adjustment(
                qualityOfService: spec.qosClass, memoryRequest: container.resources.requests.memory?.value ?? 0,
                memoryCapacity: node.memoryCapacity))
        if !context.privileged {
            let profile =
                context.seccompProfile ?? spec.securityContext.seccompProfile
                ?? node.configuration.defaultSeccompProfile
            process.seccompProgram = try node.seccomp.program(
                for: profile, capabilities: process.capabilities.bounding,
                directory: node.configuration.seccompDirectory)
        }
        return process
    }

    private func containerResources(_ container: Container) -> CgroupResources {
        var resources = CgroupResources()
        let requests = container.resources.requests
        let limits = container.resources.limits
        resources.cpuShares = CPUShares.shares(milliCPU: requests.cpu?.milliValue ?? limits.cpu?.milliValue ?? 0)
        if let limit = limits.cpu {
            resources.cpuQuota = CPUShares.quota(milliCPU: limit.milliValue)
            resources.cpuPeriod = CPUShares.defaultPeriod
        }
        resources.memoryLimit = limits.memory?.value
        resources.devices = container.securityContext.privileged ? DeviceRule.everything : DeviceRule.containerDefaults
        return resources
    }

    /// How `/sys/fs/cgroup` looks on this host.
    private func cgroupView() -> ContainerPlan.CgroupView {
        let hierarchies = node.cgroups.hierarchies
        if case .unified = node.cgroups.mode { return .unified }
        return .hierarchies(hierarchies.map(\.label))
    }

    /// All device nodes of the host's /dev but those that every container has of its own.
    private func hostDevices() throws(SystemError) -> [ContainerPlan.Device] {
        let own: Set<String> = [
            "null", "zero", "full", "random", "urandom", "tty", "console", "ptmx", "fd", "stdin", "stdout", "stderr",
        ]
        var devices: [ContainerPlan.Device] = []
        func collect(_ directory: String, prefix: String, depth: Int) throws(SystemError) {
            for name in try listDirectory(directory) where !(prefix.isEmpty && own.contains(name)) {
                var status = stat()
                guard lstat("\(directory)/\(name)", &status) == 0 else { continue }
                let kind = status.st_mode & S_IFMT
                if kind == S_IFDIR && depth < 3 && !(prefix.isEmpty && ["pts", "shm", "mqueue"].contains(name)) {
                    try collect("\(directory)/\(name)", prefix: "\(prefix)\(name)/", depth: depth + 1)
                } else if kind == S_IFCHR || kind == S_IFBLK {
                    devices.append(
                        ContainerPlan.Device(
                            path: prefix + name, isBlock: kind == S_IFBLK, major: cl_major(UInt64(status.st_rdev)),
                            minor: cl_minor(UInt64(status.st_rdev)), mode: status.st_mode & 0o777, uid: status.st_uid,
                            gid: status.st_gid))
                }
            }
        }
        try collect("/dev", prefix: "", depth: 0)
        return devices
    }

    /// The value of a pod field as env.valueFrom.fieldRef names it ("Downward API").
    func field(_ path: String) -> String? {
        let metadata = stored.pod.metadata
        switch path {
        case "metadata.name": return metadata.name
        case "metadata.namespace": return metadata.namespace
        case "metadata.uid": return uid.text
        case "spec.nodeName": return node.configuration.nodeName
        case "spec.serviceAccountName": return spec.serviceAccountName ?? "default"
        case "status.podIP": return record.addresses.first ?? ""
        case "status.podIPs": return record.addresses.joined(separator: ",")
        case "status.hostIP": return node.configuration.hostAddresses.first ?? ""
        case "status.hostIPs": return node.configuration.hostAddresses.joined(separator: ",")
        default:
            for (prefix, values) in [
                ("metadata.labels['", metadata.labels), ("metadata.annotations['", metadata.annotations),
            ]
            where path.hasPrefix(prefix) && path.hasSuffix("']") {
                return values[String(path.dropFirst(prefix.count).dropLast(2))] ?? ""
            }
            return nil
        }
    }
}
