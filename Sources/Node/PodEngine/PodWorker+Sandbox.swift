import Cgroups
import ContainerRuntime
import Linux
import Resources

/// The pod's sandbox: directories, cgroups, pause process, network, the files of its /etc.
extension PodWorker {
    /// The pause process's own cgroup below the pod's; a name that no container can have.
    static let pauseCgroup = "_podinit"

    func sandboxStep() async -> Step {
        if let retry = sandboxRetry, Moment.now() < retry.notBefore { return .waitUntil(retry.notBefore) }
        do {
            let sandbox = try await makeSandbox()
            sandboxRetry = nil
            record.hasSandbox = true
            setSettled(false)
            listen(to: sandbox)
            if record.startedAt == nil { record.startedAt = Moment.now() }
            save()
            return .again
        } catch {
            let delay = sandboxRetry.map { min($0.delay * 2, 60) } ?? 1
            sandboxRetry = Retry(notBefore: Moment.now() + delay, delay: delay, message: error.message)
            logger.error("cannot make the pod's sandbox: \(error)")
            await clearSandbox()
            publish()
            return .waitUntil(Moment.now() + delay)
        }
    }

    private func makeSandbox() async throws(PodError) -> Sandbox {
        do {
            try makeDirectories(paths.exits, mode: 0o700)
            try makeDirectories(paths.etc, mode: 0o755)
            try makeDirectories(paths.run, mode: 0o700)
            try makeDirectories(paths.logs, mode: 0o755)
            let cgroup = try node.cgroup(stored)
            try cgroup.create()
            try cgroup.apply(podResources())
            let pause = try cgroup.child(Self.pauseCgroup)
            try pause.create()
            let entrance = try pause.processDescriptors()

            let exits = try OwnedDescriptor(opening: paths.exits, flags: O_RDONLY | O_DIRECTORY)
            var plan = SandboxPlan(exitsDirectory: exits.number)
            let names = hostNames()
            plan.hostname =
                spec.hostNetwork ? nil : (spec.setHostnameAsFQDN ? names.qualified ?? names.name : names.name)
            plan.newNetwork = !spec.hostNetwork
            plan.newUTS = !spec.hostNetwork
            plan.newIPC = !spec.hostIPC
            plan.sharedPID = spec.shareProcessNamespace
            plan.sysctls = spec.securityContext.sysctls.map { Sysctl($0.name, $0.value) }
            plan.oomScoreAdjustment = node.permittedOOMScore(-998)
            // Process 1 of a shared PID namespace is born by podinit, which therefore has to be in its cgroup before.
            if spec.shareProcessNamespace { plan.cgroupProcesses = entrance.numbers }
            let sandbox = try await Sandbox.launch(plan, socketDirectory: paths.run, program: node.program)
            withExtendedLifetime(entrance) {}
            if !spec.shareProcessNamespace { move(sandbox, into: pause) }
            withExtendedLifetime(exits) {}
            try await attachNetwork(sandbox)
            for volume in spec.volumes { try volumes.prepare(volume) }
            if spec.initContainers.count + spec.containers.count > 1 && !spec.hostIPC { try makeSharedMemory() }
            try writeFiles()
            return sandbox
        } catch let error as PodError {
            throw error
        } catch {
            throw PodError(.internalError, "\(error)")
        }
    }

    /// Moves podinit into its cgroup beside what else is to be done: the kernel may wait 20 ms until it moves the first
    /// process after a pause (``CgroupMigration``). Containers are moved into theirs by themselves.
    private func move(_ sandbox: Sandbox, into cgroup: Cgroup) {
        Task {
            do { try await node.mover.add(sandbox.pid, to: cgroup) } catch { noteUnmoved(sandbox, error) }
        }
    }

    private func noteUnmoved(_ unmoved: Sandbox, _ error: any Error) {
        guard sandbox === unmoved, record.wish == .running else { return }
        logger.error("the pod's pause process cannot be moved into its cgroup, the pod is started anew: \(error)")
        sandboxRetry = Retry(notBefore: Moment.now() + 5, delay: 5, message: "\(error)")
        hasLostSandbox = true
        wake()
    }

    var volumes: Volumes { Volumes(paths: paths, fsGroup: spec.securityContext.fsGroup) }

    func hostNames() -> (name: String, qualified: String?) {
        PodFiles.hostname(
            stored.pod, nodeName: node.configuration.nodeName, clusterDomain: node.configuration.clusterDomain)
    }

    private func podResources() -> CgroupResources {
        var resources = CgroupResources()
        let request = spec.total { $0.resources.requests.cpu?.milliValue ?? 0 } ?? 0
        resources.cpuShares = CPUShares.shares(milliCPU: request)
        if let limit = spec.total({ $0.resources.limits.cpu?.milliValue }) {
            resources.cpuQuota = CPUShares.quota(milliCPU: limit)
            resources.cpuPeriod = CPUShares.defaultPeriod
        }
        resources.memoryLimit = spec.total { $0.resources.limits.memory?.value }
        resources.pidsMax = node.configuration.podPidsLimit
        return resources
    }

    private func attachNetwork(_ sandbox: Sandbox) async throws {
        guard !spec.hostNetwork else {
            record.addresses = node.configuration.hostAddresses
            return
        }
        let request = try PodConnectionRequest(stored.pod, uid: uid)
        let addresses = try await node.network.attach(request, to: try await sandbox.network(), pid: sandbox.pid)
        record.addresses = addresses.map(\.description)
    }

    /// Brings the pod's interface to what the node's settings are now.
    func refreshNetwork() async {
        guard let sandbox, record.hasSandbox, !spec.hostNetwork else { return }
        do {
            try await node.network.refresh(uid: uid.text, try await sandbox.network())
        } catch {
            logger.warning("the pod's interface keeps its old settings: \(error)")
        }
    }

    /// What all containers of the pod share as /dev/shm.
    var sharedMemory: String { "\(paths.run)/shm" }

    private func makeSharedMemory() throws(SystemError) {
        if fileExists(sharedMemory) { return }
        try makeDirectories(sharedMemory)
        let mount = try DetachedMount(type: "tmpfs", options: [("mode", "1777"), ("size", "64m")])
        try mount.set([.noSetUserID, .noDevices, .noExecute], propagation: .private)
        try mount.attach(at: sharedMemory)
    }

    private func writeFiles() throws(SystemError) {
        let names = hostNames()
        let hosts = PodFiles.hosts(
            stored.pod, addresses: record.addresses, hostname: names.name, qualifiedName: names.qualified,
            hostFile: spec.hostNetwork ? (try? readText("/etc/hosts")) ?? "" : "")
        let resolver = PodFiles.resolvConf(
            stored.pod, host: (try? readText("/etc/resolv.conf")) ?? "", clusterDNS: node.configuration.clusterDNS,
            clusterDomain: node.configuration.clusterDomain)
        try writeFileAtomically("\(paths.etc)/hosts", Array(hosts.utf8))
        try writeFileAtomically("\(paths.etc)/resolv.conf", Array(resolver.utf8))
        try writeFileAtomically("\(paths.etc)/hostname", Array("\(names.name)\n".utf8))
    }

    // MARK: - The end of a sandbox

    /// Ends the pause process and all containers, and removes what the sandbox has in the kernel: network, cgroups,
    /// mounts. Safe to run again at any point.
    func clearSandbox() async {
        record.hasSandbox = false
        if let sandbox {
            self.sandbox = nil
            do { try await sandbox.terminate() } catch { logger.warning("pause process: \(error)") }
        } else if let stray = try? await Sandbox.adopt(socketDirectory: paths.run) {
            // Launched, but something after it failed.
            do { try await stray.terminate() } catch { logger.warning("pause process: \(error)") }
        }
        do {
            if let cgroup = try? node.cgroup(stored) { await node.janitor.remove(cgroup) }
            if !spec.hostNetwork { try await node.network.detach(uid: uid.text) }
            try unmountAll()
        } catch {
            logger.warning("cannot clear the pod's sandbox: \(error)")
        }
    }

    private func unmountAll() throws(SystemError) {
        let volumes = "\(paths.run)/volumes"
        if fileExists(volumes) {
            for name in try listDirectory(volumes) { try unmount("\(volumes)/\(name)") }
        }
        if fileExists(sharedMemory) { try unmount(sharedMemory) }
        try removeTree(paths.run)
    }

    /// The pause process died, or the host was started anew: what ran has ended, and the record says so.
    func loseSandbox() async {
        hasLostSandbox = false
        let recorded = (try? ExitRecord.read(directory: paths.exits)) ?? []
        for index in record.containers.indices {
            let container = record.containers[index]
            guard container.isUnderWay else { continue }
            if let exit = recorded.first(where: { $0.name == container.name && Int($0.attempt) == container.attempt }) {
                let end = termination(
                    of: container, code: exit.status.code, signal: exit.status.signal,
                    startedAt: Moment(nanoseconds: exit.startedAt), finishedAt: Moment(nanoseconds: exit.finishedAt))
                record.containers[index].state = .terminated(end)
            } else {
                var startedAt = record.createdAt
                if case .running(let since) = container.state { startedAt = since }
                record.containers[index].state = .terminated(
                    Termination(
                        exitCode: 137, signal: 9, reason: "ContainerStatusUnknown",
                        message: "The container could not be located when the pod's pause process was gone",
                        startedAt: startedAt, finishedAt: Moment.now()))
            }
            record.containers[index].processID = 0
            ExitRecord.forget(directory: paths.exits, container.name, attempt: container.attempt)
        }
        await clearSandbox()
        record.addresses = []
        if record.wish == .running && !isEnded { rerunInitialization() }
        save()
    }

    /// Init containers run again in a new sandbox (Kubernetes, "Init Containers": pod restart).
    private func rerunInitialization() {
        record.initialized = false
        for index in record.containers.indices where record.containers[index].role == .initialization {
            guard record.containers[index].state.termination != nil else { continue }
            record.containers[index].noteRestart(at: Moment.now())
            record.containers[index].backOff = 0
        }
    }
}

extension ExitRecord {
    /// Removes a record that has been taken over; one that cannot be removed is harmless.
    static func forget(directory: String, _ name: String, attempt: Int) {
        try? ExitRecord.remove(directory: directory, name: name, attempt: UInt32(clamping: attempt))
    }
}
