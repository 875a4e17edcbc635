import ContainerRuntime
import Linux
import OCI
import Resources

/// Running further commands in a container: `pod exec` and hooks.
extension PodWorker {
    /// The plan for `command` in a running container, under the rights, environment and limits of its main process.
    /// Nil when the container does not run.
    func execPlan(_ name: String, command: [String]) -> ExecPlan? {
        guard let index = index(of: name), record.containers[index].state.isRunning,
            let container = definition(of: name), let image = knownImage(name)
        else { return nil }
        do {
            var process = try processPlan(container, command)
            let pid = record.containers[index].processID
            let root = try OwnedDescriptor(opening: "/proc/\(pid)/root", flags: O_RDONLY | O_DIRECTORY)
            let user = try ContainerSecurity.user(container, pod: spec, image: image, root: root.number)
            var environment = try ContainerCommand(
                container, image: image, hostname: hostNames().name, fields: { self.field($0) })
            environment.setHome(user.home)
            process.user = user.user
            process.environment = environment.environment
            process.workingDirectory = environment.workingDirectory
            return ExecPlan(process: process)
        } catch {
            logger.error("container \(name): cannot prepare exec: \(error)")
            return nil
        }
    }

    /// The configuration of the image that the container runs, also for one that an earlier agent started.
    private func knownImage(_ name: String) -> ImageConfig? {
        if let image = images[name] { return image.config }
        guard let container = definition(of: name), let image = try? node.images.present(container.image) else {
            return nil
        }
        images[name] = image
        return image.config
    }

    /// Starts a command for a person. Descriptors are borrowed.
    func exec(
        container asked: String?, command: [String], terminal: TerminalSize?, streams: StandardStreams
    ) async throws(PodError) -> ExecProcess {
        let name = try containerName(asked)
        guard let sandbox, var plan = execPlan(name, command: command) else {
            throw PodError(.notRunning, "container \(name) of pod \(stored.pod.metadata.name) is not running")
        }
        plan.process.terminal = terminal
        plan.standardInput = streams.input
        plan.standardOutput = streams.output
        plan.standardError = streams.error
        do {
            guard let index = index(of: name) else { throw PodError(.notFound, "there is no container \(name)") }
            let cgroup = try node.cgroup(stored, record.containers[index].cgroup)
            let entrance = try cgroup.processDescriptors()
            plan.process.cgroupProcesses = entrance.numbers
            let process = try await sandbox.exec(in: name, plan)
            withExtendedLifetime(entrance) {}
            return process
        } catch let error as LaunchError {
            if error.isCommandNotFound { throw PodError(.commandNotFound, "\(error)") }
            if error.isCommandNotExecutable { throw PodError(.commandNotExecutable, "\(error)") }
            throw PodError(.internalError, "\(error)")
        } catch {
            throw PodError(.internalError, "\(error)")
        }
    }

    /// The container that a person means: the named one, else the first app container, as kubectl chooses.
    func containerName(_ asked: String?) throws(PodError) -> String {
        guard let asked else { return spec.containers[0].name }
        guard definition(of: asked) != nil else {
            let names = (spec.containers + spec.initContainers).map(\.name).joined(separator: ", ")
            throw PodError(.notFound, "pod \(stored.pod.metadata.name) has no container \(asked); it has: \(names)")
        }
        return asked
    }
}

/// Descriptors of a command's standard streams; nil is `/dev/null`.
public struct StandardStreams: Sendable {
    public var input: Int32?
    public var output: Int32?
    public var error: Int32?

    public init(input: Int32? = nil, output: Int32? = nil, error: Int32? = nil) {
        (self.input, self.output, self.error) = (input, output, error)
    }
}
