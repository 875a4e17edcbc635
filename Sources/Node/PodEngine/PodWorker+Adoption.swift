import ContainerRuntime
import Linux
import Resources

/// Taking up a pod that an earlier agent led.
extension PodWorker {
    /// Compares the record with what the pause process says. What the agent missed is caught up: no exit is lost, and
    /// a start that was begun but never reached the pause process is begun again.
    func adopt() async {
        do {
            let sandbox = try await Sandbox.adopt(socketDirectory: paths.run)
            guard record.hasSandbox else {
                // The earlier agent died while it made the sandbox; no container has run in it.
                self.sandbox = sandbox
                await clearSandbox()
                return publish()
            }
            let running = try await settledStatus(of: sandbox)
            listen(to: sandbox)
            await catchUp(with: running)
        } catch {
            if !error.isSandboxGone { logger.warning("cannot reach the pod's pause process: \(error)") }
            if record.hasSandbox || fileExists(paths.run) { hasLostSandbox = true }
        }
        publish()
    }

    /// What runs and what has ended. A start that the earlier agent had just asked for is over in milliseconds.
    private func settledStatus(of sandbox: Sandbox) async throws(LaunchError) -> [ContainerStatus] {
        var statuses = try await sandbox.status()
        var patience = 200
        while statuses.contains(where: { $0.state == .starting }), patience > 0 {
            patience -= 1
            try? await Task.sleep(for: .milliseconds(10))
            statuses = try await sandbox.status()
        }
        return statuses
    }

    private func catchUp(with statuses: [ContainerStatus]) async {
        for status in statuses {
            guard let index = index(of: status.name), record.containers[index].attempt == Int(status.attempt) else {
                if case .exited = status.state { await noteExit(status) }
                continue
            }
            switch status.state {
            case .running(let pid):
                record.containers[index].state = .running(startedAt: Moment(nanoseconds: status.startedAt))
                record.containers[index].processID = pid
                record.containers[index].started = true
            case .starting: break
            case .exited: await noteExit(status)
            }
        }
        for index in record.containers.indices {
            let container = record.containers[index]
            let isKnown = statuses.contains { $0.name == container.name && Int($0.attempt) == container.attempt }
            if isKnown { continue }
            if case .running(let since) = container.state {
                record.containers[index].state = .terminated(
                    Termination(
                        exitCode: 137, reason: "ContainerStatusUnknown",
                        message: "The container could not be located when the agent was started",
                        startedAt: since, finishedAt: Moment.now()))
            } else if container.isUnderWay {
                record.containers[index].attempted = false
                await discard(EndedRun(name: container.name, attempt: container.attempt))
            }
        }
        save()
    }

    /// The sandbox cannot be used any more (its network is gone): it is ended, and the loop makes another.
    func replaceSandbox() async {
        guard sandbox != nil, !spec.hostNetwork else { return }
        logger.error("the pod's network interface is gone; its containers are started anew")
        hasLostSandbox = true
        wake()
    }

    /// Whether the agent has let go of the pod while it runs.
    var isLetGo: Bool { isDetached }
}
