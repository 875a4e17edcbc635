// What the agent does for commands: a verb each.
import Cgroups
import ContainerRuntime
import ControlSocket
import Images
import JSONTree
import Linux
import Manifests
import PodEngine
import Resources

extension NodeAgent {
    /// Serves one request of a command.
    func serve(_ request: ControlRequest) async throws -> JSONValue {
        guard idleness.begin() else { throw ControlError(.retiring, "the agent is about to quit") }
        defer { idleness.end() }
        do {
            switch request.verb {
            case "agent": return describe()
            case "quit": return try quit(request)
            case "run": return try await run(request)
            case "wait": return ["phase": .string(await engine.waitUntilEnded(try find(request)))]
            case "list": return ["items": .array(engine.snapshots().map { $0.json() })]
            case "inspect": return try inspect(request)
            case "stop": return try await change(request, stop)
            case "remove": return try await change(request, remove)
            case "exec": return try await exec(request)
            case "statistics": return try await statistics(request)
            case "overlay": return try await showOverlay()
            case "overlayCheck": return try await checkOverlay(request)
            default: throw ControlError(.invalid, "the agent does not know the request '\(request.verb)'")
            }
        } catch let error as PodError {
            throw ControlError(ControlError.Code(error.reason), error.message)
        }
    }

    private func describe() -> JSONValue {
        var isOnDemand = false
        if case .onDemand = lifetime { isOnDemand = true }
        return [
            "version": .string(version), "pid": JSONValue(getpid()), "onDemand": .bool(isOnDemand),
            "nodeName": .string(settings.nodeName), "dataDirectory": .string(settings.dataDirectory),
            "manifests": manifests.map { .string($0) } ?? .null, "pods": JSONValue(engine.snapshots().count),
        ]
    }

    private func quit(_ request: ControlRequest) throws -> JSONValue {
        let forced = try request.flag("force")
        if case .untilStopped = lifetime, !forced {
            throw ControlError(.conflict, "this agent was started to stay (pid \(getpid())): stop it first")
        }
        stop(because: "asked by process \(request.peer.pid)")
        return [:]
    }

    // MARK: Pods

    /// Reads all files before the first pod starts.
    private func run(_ request: ControlRequest) async throws -> JSONValue {
        var wanted: [(pod: Pod, tree: JSONValue)] = []
        var problems: [String] = []
        for file in request.arguments["files"]?.arrayValue ?? [] {
            let name = file["name"]?.stringValue ?? ""
            do throws(ManifestErrors) {
                for manifest in try Manifests.parse(Array((file["text"]?.stringValue ?? "").utf8), fileName: name) {
                    let place = "\(name):\(manifest.source.line): "
                    guard case .pod(let pod) = manifest.object else {
                        problems.append(
                            "\(place)'pod run' runs Pods; a \(manifest.object.kind) needs 'swiftlet node --manifests'")
                        continue
                    }
                    let key = (pod.metadata.namespace, pod.metadata.name)
                    if wanted.contains(where: { ($0.pod.metadata.namespace, $0.pod.metadata.name) == key }) {
                        problems.append("\(place)pod \(key.0)/\(key.1) comes a second time")
                    }
                    wanted.append((pod, manifest.object.tree))
                }
            } catch {
                problems += error.errors.map(\.description)
            }
        }
        guard problems.isEmpty else { throw ControlError(.invalid, problems.joined(separator: "\n")) }
        guard !wanted.isEmpty else {
            let names = (request.arguments["files"]?.arrayValue ?? []).compactMap { $0["name"]?.stringValue }
            throw ControlError(.invalid, "\(names.joined(separator: ", ")): no Pod in it")
        }
        var started: [JSONValue] = []
        for (pod, tree) in wanted {
            let uid = try await engine.run(pod, tree: tree, source: .command) { image, progress in
                request.progress(progress.message(image: image))
            }
            let name = pod.metadata.name
            request.progress(["event": "started", "pod": .string(name)])
            started.append(
                ["namespace": .string(pod.metadata.namespace), "name": .string(name), "uid": .string(uid.text)])
        }
        return ["pods": .array(started)]
    }

    private func find(_ request: ControlRequest) throws -> PodUID { try engine.find(try request.string("pod")) }

    private func inspect(_ request: ControlRequest) throws -> JSONValue {
        guard let snapshot = engine.snapshot(try find(request)) else {
            throw ControlError(.notFound, "pod \"\(try request.string("pod"))\" not found")
        }
        return snapshot.json()
    }

    /// Does the same to each of several pods at once, and tells what became of each as it is done.
    private func change(
        _ request: ControlRequest, _ body: @escaping @Sendable (PodUID, ControlRequest) async throws -> Void
    ) async throws -> JSONValue {
        let names = try request.strings("pods")
        await withTaskGroup { group in
            for name in names {
                group.addTask {
                    do {
                        try await body(try self.engine.find(name), request)
                        request.progress(["pod": .string(name)])
                    } catch {
                        request.progress(["pod": .string(name), "error": .string("\(error)")])
                    }
                }
            }
        }
        return [:]
    }

    private func stop(_ uid: PodUID, _ request: ControlRequest) async throws {
        try await engine.stop(uid, grace: try request.optionalInteger("grace"))
    }

    private func remove(_ uid: PodUID, _ request: ControlRequest) async throws {
        let isForced = try request.flag("force")
        if !isForced, let pod = engine.snapshot(uid), pod.containers.contains(where: { $0.state.isRunning }) {
            throw ControlError(
                .conflict, "pod \(pod.namespace)/\(pod.name) is running: stop it first, or remove it with -f")
        }
        try await engine.remove(uid, grace: try request.optionalInteger("grace"))
    }

    // MARK: Exec

    private func exec(_ request: ControlRequest) async throws -> JSONValue {
        let uid = try find(request)
        let usesTerminal = try request.flag("tty")
        let process = try await start(request, uid, usesTerminal)
        let inputs = Task {
            for await input in request.inputs {
                if let signal = input["signal"]?.integerValue { try? await process.signal(Int32(clamping: signal)) }
            }
        }
        defer { inputs.cancel() }
        guard let status = await process.exitStatus() else {
            throw ControlError(.failed, "the pod's pause process went away before the command ended")
        }
        return ["exitCode": JSONValue(status.code), "signal": JSONValue(status.signal)]
    }

    /// Starts the command. What the command's user sent for its streams is closed here once the command has it, so that
    /// their ends are seen.
    private func start(_ request: ControlRequest, _ uid: PodUID, _ usesTerminal: Bool) async throws -> ExecProcess {
        let container = try request.optionalString("container")
        let command = try request.strings("command")
        guard !command.isEmpty, command.allSatisfy({ !$0.utf8.contains(0) }) else {
            throw ControlError(.invalid, "no command, or one with a zero byte")
        }
        if usesTerminal {
            let rows = UInt16(clamping: try request.optionalInteger("rows") ?? 24)
            let columns = UInt16(clamping: try request.optionalInteger("columns") ?? 80)
            let process = try await engine.exec(
                uid, container: container, command: command, terminal: TerminalSize(rows: rows, columns: columns),
                streams: StandardStreams())
            guard let terminal = process.takeTerminal() else {
                throw ControlError(.failed, "the command has no terminal")
            }
            request.progress(["event": "started"], passing: terminal)
            return process
        }
        guard let input = request.takeDescriptor(0), let output = request.takeDescriptor(1),
            let error = request.takeDescriptor(2)
        else { throw ControlError(.invalid, "an exec without its three streams") }
        let process = try await engine.exec(
            uid, container: container, command: command, terminal: nil,
            streams: StandardStreams(input: input.number, output: output.number, error: error.number))
        request.progress(["event": "started"])
        return process
    }

    // MARK: Statistics

    private func statistics(_ request: ControlRequest) async throws -> JSONValue {
        let names = try request.strings("pods")
        let wanted = try names.map { try engine.find($0) }
        var pods: [JSONValue] = []
        for snapshot in engine.snapshots() where names.isEmpty || wanted.contains(snapshot.uid) {
            guard let statistics = try? await engine.statistics(snapshot.uid) else { continue }
            pods.append([
                "namespace": .string(snapshot.namespace), "name": .string(snapshot.name),
                "uid": .string(snapshot.uid.text), "at": .integer(statistics.at.nanoseconds),
                "total": statistics.total.tree,
                "containers": .object(JSONObject(statistics.containers.map { ($0.name, $0.statistics.tree) })),
            ])
        }
        return ["pods": .array(pods)]
    }
}

extension ControlError.Code {
    fileprivate init(_ reason: PodError.Reason) {
        switch reason {
        case .notFound: self = .notFound
        case .alreadyExists, .conflict: self = .conflict
        case .invalid: self = .invalid
        case .commandNotFound: self = .commandNotFound
        case .commandNotExecutable: self = .commandNotExecutable
        default: self = .failed
        }
    }
}

extension PullProgress {
    fileprivate func message(image: String) -> JSONValue {
        let word =
            switch phase {
            case .waiting: "waiting"
            case .downloading: "downloading"
            case .unpacking: "unpacking"
            case .done: "done"
            case .present: "present"
            }
        return [
            "event": "pull", "image": .string(image), "phase": .string(word), "done": .integer(done),
            "total": .integer(total), "index": JSONValue(index), "count": JSONValue(count),
        ]
    }
}

extension CgroupStatistics {
    /// A number that this host cannot tell is absent.
    fileprivate var tree: JSONValue {
        var tree: JSONObject = [:]
        if let cpuNanoseconds { tree["cpu"] = JSONValue(cpuNanoseconds) }
        if let memory = memoryWorkingSetBytes ?? memoryBytes { tree["memory"] = JSONValue(memory) }
        if let pids { tree["processes"] = JSONValue(pids) }
        return .object(tree)
    }
}
