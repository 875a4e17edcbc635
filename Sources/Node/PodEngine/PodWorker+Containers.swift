import ContainerRuntime
import Images
import Linux
import OCI
import Resources

/// Bringing containers to run: which one is next, its image, its start, its postStart hook.
extension PodWorker {
    func containersStep(_ sandbox: Sandbox) async -> Step {
        var next: Step = .waitForEvent
        func later(_ step: Step) {
            if case .waitUntil(let moment) = step {
                if case .waitUntil(let earlier) = next, earlier < moment { return }
                next = step
            }
        }
        for index in record.containers.indices {
            let role = record.containers[index].role
            if role == .app { continue }
            if role == .initialization && record.initialized { continue }
            let step = await advance(index, sandbox)
            if case .again = step { return .again }
            later(step)
            if !record.initialized && !record.containers[index].letsOthersStart { return next }
        }
        if !record.initialized {
            record.initialized = true
            save()
        }
        for index in record.containers.indices where record.containers[index].role == .app {
            let step = await advance(index, sandbox)
            if case .again = step { return .again }
            later(step)
        }
        if let seconds = spec.activeDeadlineSeconds, let startedAt = record.startedAt {
            later(.waitUntil(startedAt + seconds))
        }
        return next
    }

    /// Brings one container a step further; `.again` when something changed.
    private func advance(_ index: Int, _ sandbox: Sandbox) async -> Step {
        let container = record.containers[index]
        switch container.state {
        case .running:
            return .waitForEvent
        case .terminated:
            return restart(index)
        case .waiting(let reason, _) where reason == "CrashLoopBackOff":
            return restart(index)
        case .waiting:
            return await create(index, sandbox)
        }
    }

    private func restart(_ index: Int) -> Step {
        let now = Moment.now()
        switch record.containers[index].restartDecision(policy: spec.restartPolicy, now: now) {
        case .never: return .waitForEvent
        case .now:
            record.containers[index].noteRestart(at: now)
            save()
            return .again
        case .after(let moment):
            if let end = record.containers[index].state.termination {
                let container = record.containers[index]
                record.containers[index].lastTermination = end
                record.containers[index].state = .waiting(
                    reason: "CrashLoopBackOff",
                    message: "back-off \(container.backOff)s restarting failed container=\(container.name)")
                save()
            }
            return .waitUntil(moment)
        }
    }

    // MARK: - Images

    /// The container's image, if it is here; else a pull begins, and the loop comes back.
    private func image(for index: Int) -> Image? {
        let name = record.containers[index].name
        guard let container = definition(of: name) else { return nil }
        if let image = images[name] { return image }
        guard activities[.pull(name)] == nil else { return nil }
        if let image = fetched.removeValue(forKey: container.image) {
            accept(image, for: index)
            return image
        }
        if container.imagePullPolicy != .always, let image = try? node.images.present(container.image) {
            accept(image, for: index)
            return image
        }
        if container.imagePullPolicy == .never {
            let message = "Container image \"\(container.image)\" is not present with pull policy of Never"
            failImage(index, reason: "ErrImageNeverPull", message: message)
            return nil
        }
        setWaiting(index, reason: "ContainerCreating", message: "pulling image \(container.image)")
        begin(.pull(name)) { worker in await worker.pull(container) }
        return nil
    }

    private func pull(_ container: Container) async {
        do {
            let image = try await node.images.obtain(
                container.image, policy: container.imagePullPolicy, registriesFile: node.configuration.registriesFile
            ) { _ in }
            // A pod that is to end needs no image, and one that is gone would hold it for ever.
            guard let index = index(of: container.name), record.wish == .running, !isDetached else { return }
            accept(image, for: index)
        } catch {
            guard let index = index(of: container.name), !Task.isCancelled else { return }
            let reason = if case .invalidReference = error { "InvalidImageName" } else { "ErrImagePull" }
            logger.error("container \(container.name): \(error)")
            failImage(index, reason: reason, message: error.description)
        }
    }

    private func accept(_ image: Image, for index: Int) {
        let name = record.containers[index].name
        do {
            try node.images.pin(image, owner: uid.text)
            images[name] = image
            retries[name] = nil
            record.containers[index].imageID = image.repositoryDigests.first ?? image.id.description
            record.containers[index].imageManifest = image.manifestDigest.description
        } catch {
            failImage(index, reason: "ImageInspectError", message: error.description)
        }
    }

    private func failImage(_ index: Int, reason: String, message: String) {
        let name = record.containers[index].name
        noteRetry(name, message: message, first: 10, longest: 300)
        setWaiting(index, reason: reason, message: message)
    }

    /// Whether the container must still wait after a failure; a failed pull shows as back-off meanwhile.
    private func waiting(_ index: Int) -> Step? {
        let name = record.containers[index].name
        guard let retry = retries[name], Moment.now() < retry.notBefore else { return nil }
        return .waitUntil(retry.notBefore)
    }

    func noteRetry(_ name: String, message: String, first: Int64, longest: Int64) {
        let delay = retries[name].map { min($0.delay * 2, longest) } ?? first
        retries[name] = Retry(notBefore: Moment.now() + delay, delay: delay, message: message)
    }

    func setWaiting(_ index: Int, reason: String, message: String) {
        let state = ContainerState.waiting(reason: reason, message: message)
        guard record.containers[index].state != state else { return }
        record.containers[index].state = state
        save()
    }

    // MARK: - Creation

    private func create(_ index: Int, _ sandbox: Sandbox) async -> Step {
        if let step = waiting(index) {
            showBackOff(index)
            return step
        }
        guard let image = image(for: index) else { return waiting(index) ?? .waitForEvent }
        let name = record.containers[index].name
        guard let container = definition(of: name) else { return .waitForEvent }
        let attempt = record.containers[index].attempt
        do {
            let prepared = try prepare(container, record.containers[index], image: image)
            record.containers[index].attempted = true
            try writeFileAtomically(paths.status, record.tree.encoded(), mode: 0o600)
            let started = try await sandbox.start(prepared.plan)
            withExtendedLifetime(prepared) {}
            noteStart(name, attempt: attempt, started)
        } catch let error as LaunchError {
            if error.isSandboxGone { return .waitForEvent }
            noteStartFailure(name, attempt: attempt, container: container, error)
        } catch {
            guard let index = self.index(of: name) else { return .waitForEvent }
            record.containers[index].attempted = false
            // The image may be what is wrong: it is looked up again.
            images[name] = nil
            let isConfiguration = (error as? PodError)?.reason == .invalid
            let reason = isConfiguration ? "CreateContainerConfigError" : "CreateContainerError"
            logger.error("container \(name): \(error)")
            noteRetry(name, message: "\(error)", first: 2, longest: 60)
            setWaiting(index, reason: reason, message: "\(error)")
            await discard(EndedRun(name: name, attempt: attempt))
        }
        return .again
    }

    /// A pull or creation that failed is shown as back-off once its error has been seen.
    private func showBackOff(_ index: Int) {
        guard case .waiting(let reason, _) = record.containers[index].state, reason == "ErrImagePull",
            let container = definition(of: record.containers[index].name),
            let retry = retries[record.containers[index].name]
        else { return }
        setWaiting(
            index, reason: "ImagePullBackOff",
            message: "Back-off pulling image \"\(container.image)\": \(retry.message)")
    }

    private func noteStart(_ name: String, attempt: Int, _ started: StartedContainer) {
        guard let index = index(of: name), record.containers[index].attempt == attempt else { return }
        retries[name] = nil
        // Its end may have come before this: then the state tells of the end already.
        guard record.containers[index].state.termination == nil else { return }
        record.containers[index].processID = started.pid
        record.containers[index].state = .running(startedAt: Moment(nanoseconds: started.startedAt))
        logger.info("container \(name) started", metadata: ["pid": "\(started.pid)", "attempt": "\(attempt)"])
        if let command = definition(of: name)?.lifecycle.postStart {
            begin(.postStart(name)) { worker in await worker.runPostStart(name, attempt, command) }
        } else {
            record.containers[index].started = true
        }
        save()
    }

    private func noteStartFailure(_ name: String, attempt: Int, container: Container, _ error: LaunchError) {
        guard let index = index(of: name), record.containers[index].attempt == attempt else { return }
        let now = Moment.now()
        let message = "failed to start container \"\(name)\": \(error)"
        logger.error("\(message)")
        record.containers[index].state = .terminated(
            Termination(exitCode: 128, reason: "StartError", message: message, startedAt: now, finishedAt: now))
        save()
        Task { await discard(EndedRun(name: name, attempt: attempt)) }
    }

    private func runPostStart(_ name: String, _ attempt: Int, _ command: [String]) async {
        let failure = await runHook(command, in: name, timeout: nil)
        guard let index = index(of: name), record.containers[index].attempt == attempt,
            record.containers[index].state.isRunning
        else { return }
        if let failure {
            logger.error("container \(name): postStart hook: \(failure)")
            endContainer(name)
        } else {
            record.containers[index].started = true
            save()
        }
    }

    /// Runs a hook's command in a container; nil when it ended with 0, else what went wrong.
    func runHook(_ command: [String], in name: String, timeout: Int64?) async -> String? {
        guard let sandbox, let index = index(of: name), var plan = execPlan(name, command: command) else {
            return "the container is not running"
        }
        do {
            // Under the container's limits and device rules, as all that runs in it.
            let entrance = try node.cgroup(stored, record.containers[index].cgroup).processDescriptors()
            plan.process.cgroupProcesses = entrance.numbers
            let process = try await sandbox.exec(in: name, plan)
            withExtendedLifetime(entrance) {}
            let killer = timeout.map { seconds in
                Task {
                    // The grace may be shortened meanwhile.
                    let end = Moment.now() + seconds
                    while true {
                        let rest = min(end, stopDeadline ?? end) - Moment.now()
                        if rest <= 0 { break }
                        try await Task.sleep(for: .seconds(min(max(rest, 0.001), 1)))
                    }
                    try? await process.signal(SIGKILL)
                }
            }
            defer { killer?.cancel() }
            guard let status = await process.exitStatus() else { return "lost" }
            return status.code == 0 ? nil : "exited with \(status.code)"
        } catch {
            return "\(error)"
        }
    }

    /// When the pod's grace is over, once it is to end.
    private var stopDeadline: Moment? {
        guard record.wish != .running, let since = record.stopRequestedAt else { return nil }
        return since + record.grace
    }

    /// Removes the writable layer and the cgroup of a run that is over.
    func discard(_ run: EndedRun) async {
        let cgroup = ContainerRecord.cgroup(run.name, attempt: run.attempt)
        if let cgroup = try? node.cgroup(stored, cgroup) { await node.janitor.remove(cgroup) }
        await node.janitor.remove(paths.attempt(run.name, run.attempt))
    }
}
