import Cgroups
import ContainerRuntime
import Linux
import Resources

/// Ending containers and pods: preStop, TERM, KILL, sidecars last; and what is kept of a container's end.
extension PodWorker {
    // MARK: - The end of a container

    /// A container's main process ended: its exit is taken over into the record, then forgotten by the pause process.
    func noteExit(_ status: ContainerStatus) async {
        guard let index = index(of: status.name), case .exited(let exit, let finishedAt) = status.state else { return }
        let attempt = Int(status.attempt)
        endedRuns.append(EndedRun(name: status.name, attempt: attempt))
        // What is known already is only cleared up after: an earlier agent may have died before it had.
        guard record.containers[index].attempt == attempt, record.containers[index].isUnderWay else { return save() }
        let end = termination(
            of: record.containers[index], code: exit.code, signal: exit.signal,
            startedAt: Moment(nanoseconds: status.startedAt), finishedAt: Moment(nanoseconds: finishedAt))
        record.containers[index].state = .terminated(end)
        record.containers[index].processID = 0
        activities.removeValue(forKey: .postStart(status.name))?.cancel()
        activities.removeValue(forKey: .termination(status.name))?.cancel()
        save()
        logger.info(
            "container \(status.name) ended",
            metadata: ["reason": "\(end.reason)", "exitCode": "\(end.exitCode)", "attempt": "\(attempt)"])
        wake()
    }

    /// Removes what a run has left, and only then lets the pause process forget it: what it remembers is what the next
    /// agent has to clear up after. In the background, for a large tree must not hold up the next exit.
    func clearUp(_ run: EndedRun) {
        let sandbox = sandbox
        Task {
            await discard(run)
            let old = LogTail.files(
                of: (try? listDirectory(paths.log(run.name))) ?? [],
                beforeLast: Int(node.configuration.logMaximumFiles), of: run.attempt)
            for file in old { unlink("\(paths.log(run.name))/\(file)") }
            try? await sandbox?.forget(run.name, attempt: UInt32(clamping: run.attempt))
        }
    }

    /// What Kubernetes shows of an end: reason and message.
    func termination(
        of container: ContainerRecord, code: Int32, signal: Int32, startedAt: Moment, finishedAt: Moment
    ) -> Termination {
        var reason = code == 0 ? "Completed" : "Error"
        if code != 0, let cgroup = try? node.cgroup(stored, container.cgroup), let kills = try? cgroup.oomKills(),
            kills > 0
        {
            reason = "OOMKilled"
        }
        return Termination(
            exitCode: code, signal: signal, reason: reason, message: terminationMessage(container, failed: code != 0),
            startedAt: startedAt, finishedAt: finishedAt)
    }

    /// terminationMessagePath's content, at most 4 KiB; with FallbackToLogsOnError the log's last 2 KiB or 80 lines
    /// where a failed container wrote none.
    private func terminationMessage(_ container: ContainerRecord, failed: Bool) -> String {
        let path = terminationLog(paths.attempt(container.name, container.attempt))
        if let file = try? OwnedDescriptor(opening: path, flags: O_RDONLY | O_NOFOLLOW | O_NONBLOCK) {
            var bytes = [UInt8](repeating: 0, count: 4096)
            let count = read(file.number, &bytes, bytes.count)
            if count > 0 { return String(decoding: bytes[..<count], as: UTF8.self) }
        }
        guard failed, definition(of: container.name)?.terminationMessagePolicy == .fallbackToLogsOnError else {
            return ""
        }
        return LogTail.text("\(paths.log(container.name))/\(container.attempt).log", lines: 80, bytes: 2048)
    }

    // MARK: - Ending a container

    /// Ends a running container: preStop hook, its stop signal, and SIGKILL when the grace is over.
    func endContainer(_ name: String) {
        guard let index = index(of: name), record.containers[index].state.isRunning else { return }
        let attempt = record.containers[index].attempt
        begin(.termination(name)) { worker in await worker.terminate(name, attempt) }
    }

    private func terminate(_ name: String, _ attempt: Int) async {
        let began = Moment.now()
        var turn = began
        // One grace for the whole pod. Whose turn comes late, after a hook or as a sidecar, still has two seconds, as
        // with Kubernetes (kuberuntime, minimumGracePeriodInSeconds).
        func remaining() -> Double {
            let isStopping = record.wish != .running
            let grace = Double(isStopping ? record.grace : spec.terminationGracePeriodSeconds)
            let now = Moment.now()
            let since = isStopping ? record.stopRequestedAt ?? began : began
            return max(grace - (now - since), min(grace, 2) - (now - turn))
        }
        func isRunning() -> Bool {
            guard let index = index(of: name) else { return false }
            return record.containers[index].attempt == attempt && record.containers[index].state.isRunning
        }
        guard let index = index(of: name), let sandbox else { return }
        if let hook = definition(of: name)?.lifecycle.preStop, record.containers[index].started, remaining() > 0 {
            if let failure = await runHook(hook, in: name, timeout: Int64(remaining().rounded(.up))), isRunning() {
                logger.error("container \(name): preStop hook: \(failure)")
            }
        }
        guard isRunning() else { return }
        turn = Moment.now()
        if remaining() > 0 {
            await send(stopSignal(name), to: name, sandbox)
            // The grace may be shortened meanwhile: requestStop wakes nobody here, so look again each second.
            while isRunning(), remaining() > 0, !Task.isCancelled {
                try? await Task.sleep(for: .seconds(min(max(remaining(), 0.001), 1)))
            }
        }
        guard isRunning(), !Task.isCancelled else { return }
        await send(SIGKILL, to: name, sandbox)
    }

    /// A container that has ended meanwhile is what was wanted.
    private func send(_ signal: Int32, to name: String, _ sandbox: Sandbox) async {
        do {
            try await sandbox.signal(name, signal)
        } catch {
            if !error.isNotRunning && !error.isSandboxGone { logger.warning("container \(name): \(error)") }
        }
    }

    private func stopSignal(_ name: String) -> Int32 {
        guard let image = images[name] ?? definition(of: name).flatMap({ try? node.images.present($0.image) }) else {
            return SIGTERM
        }
        return ContainerSecurity.stopSignal(image.config)
    }

    // MARK: - Ending a pod

    /// One step towards the end of a pod that nobody wants to run any more.
    func stopStep() async -> Step {
        for (activity, task) in activities {
            if case .pull = activity { task.cancel() }
        }
        if sandbox != nil && record.grace > 0 && endRunning() { return .waitForEvent }
        await settle()
        guard record.wish == .removed else { return .waitForEvent }
        await discardPod()
        return .finished
    }

    /// The pod has done its work or failed: its sidecars and its sandbox end.
    func endStep() async -> Step {
        if sandbox != nil && endRunning() { return .waitForEvent }
        if sandbox != nil || !record.addresses.isEmpty { await settle() }
        return .waitForEvent
    }

    /// Begins to end what runs: first all but the sidecars, then these one by one, in the reverse order of their start.
    /// Whether there is anything left to wait for.
    private func endRunning() -> Bool {
        let running = record.containers.filter(\.state.isRunning)
        let first = running.filter { $0.role != .sidecar }
        for container in first.isEmpty ? running.suffix(1) : first[...] { endContainer(container.name) }
        return !running.isEmpty
    }

    /// Takes the sandbox down and lets the record say that nothing runs any more.
    private func settle() async {
        let now = Moment.now()
        for task in activities.values { task.cancel() }
        await clearSandbox()
        record.addresses = []
        for index in record.containers.indices {
            let container = record.containers[index]
            if case .running(let startedAt) = container.state {
                record.containers[index].state = .terminated(
                    Termination(exitCode: 137, signal: 9, reason: "Error", startedAt: startedAt, finishedAt: now))
            } else if container.state.termination == nil, let last = container.lastTermination,
                case .waiting("CrashLoopBackOff", _) = container.state
            {
                record.containers[index].state = .terminated(last)
            }
            record.containers[index].processID = 0
        }
        await node.janitor.remove("\(paths.data)/containers")
        save()
        setSettled(true)
    }

    /// Removes all that there is of the pod on disk. The manifest and the record go last, so that a removal that was cut
    /// off is finished by the next agent; the manifest before the record, or a pod without one would begin anew.
    private func discardPod() async {
        isDiscarded = true
        do { try node.images.unpin(owner: uid.text) } catch { logger.warning("cannot unpin images: \(error)") }
        await node.janitor.remove(paths.logs)
        for part in ["volumes", "containers", "etc", "exits"] { await node.janitor.remove("\(paths.data)/\(part)") }
        await node.janitor.remove(paths.manifest)
        await node.janitor.remove(paths.data)
        logger.info("pod removed")
    }
}
