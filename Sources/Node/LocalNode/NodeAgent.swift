// The agent of a host: takes the locks, opens what it owns, takes up the pods it finds, serves commands, manifests and
// Services, and goes away leaving pods and rules as they are.
import ControlSocket
import Images
import Linux
import Logging
import Netlink
import PodEngine
import PodNetwork

/// `swiftlet node`.
public final class NodeAgent: Sendable {
    /// When the agent ends.
    public enum Lifetime: Sendable, Hashable {
        case untilStopped
        /// The one that a command starts in the background: ends also when there was no pod and nothing to do for so long.
        case onDemand(idleSeconds: Int64)
    }

    let settings: NodeSettings
    let lifetime: Lifetime
    let version: String
    let manifests: String?
    let images: ImageStore
    let engine: PodEngine
    let logger: Logger
    let idleness = Idleness()
    let network: NodeNetwork
    private let loop: EventLoop
    private let lock: AgentLock
    private let readiness: Int32
    private let ending: AsyncStream<String>
    private let end: AsyncStream<String>.Continuation

    /// Takes the host for this process. Blocks for a moment: to be called before other work begins.
    ///
    /// An agent that was started in the background hands over to one that is to stay; any other one is an error naming it.
    /// - Parameters:
    ///   - manifests: the directory to follow, an absolute path.
    ///   - readiness: a descriptor to write `r` to when the agent serves (`h` when another one does), closed then.
    public init(
        settings: NodeSettings, manifests: String? = nil, lifetime: Lifetime = .untilStopped, version: String,
        readiness: Int32? = nil, logger: Logger
    ) throws(NodeError) {
        self.settings = settings
        self.manifests = manifests
        self.lifetime = lifetime
        self.version = version
        self.logger = logger
        self.readiness = readiness ?? -1
        if let readiness { _ = fcntl(readiness, F_SETFD, FD_CLOEXEC) }
        (ending, end) = AsyncStream.makeStream(of: String.self, bufferingPolicy: .bufferingOldest(1))
        try DataDirectory.open(settings.dataDirectory)
        lock = try Takeover.lock(settings, lifetime, version: version, readiness: readiness)
        do {
            try check(chdir("/"), "chdir", "/")
            loop = try EventLoop(name: "agent")
            images = try ImageStore(directory: "\(settings.dataDirectory)/images")
            network = try NodeNetwork(settings, eventLoop: loop, logger: logger)
            engine = try PodEngine(
                configuration: Self.engineConfiguration(settings, network), images: images,
                network: network.connector(logger: logger),
                loop: try EventLoop(name: "pods"), logger: logger)
            // What did not work is not what agents in the background should go on with.
            try settings.write()
        } catch let error as NodeError {
            throw error
        } catch {
            throw NodeError("\(error)")
        }
        if case .own(let joined) = network { for note in joined.pods.notes { logger.notice("\(note)") } }
    }

    private static func engineConfiguration(_ settings: NodeSettings, _ network: NodeNetwork) -> PodEngineConfiguration
    {
        var configuration = PodEngineConfiguration(
            dataDirectory: settings.dataDirectory, runDirectory: settings.runDirectory,
            logDirectory: settings.logDirectory, nodeName: settings.nodeName)
        configuration.hostAddresses = network.hostAddresses.map(\.description)
        configuration.cgroupParent = settings.cgroupParent
        configuration.podPidsLimit = settings.podPidsLimit
        configuration.clusterDNS = settings.clusterDNS
        configuration.clusterDomain = settings.clusterDomain
        configuration.registriesFile = settings.registriesFile
        configuration.allowedUnsafeSysctls = settings.allowedUnsafeSysctls
        configuration.defaultSeccompProfile = settings.seccompDefault ? .runtimeDefault : .unconfined
        return configuration
    }

    /// Asks the agent to end; the first reason counts.
    public func stop(because reason: String) { end.yield(reason) }

    /// Works until it is stopped. Pods and rules stay.
    public func run() async throws(NodeError) {
        await network.prepare(settings, logger: logger)
        await engine.adopt()
        let proxy = try makeProxy()
        let services = try makeServiceRunner(proxy)
        var work = [
            Task { await services.run() },
            Task { await self.maintain(proxy) },
            Task { for await _ in self.engine.changes() { services.podsChanged() } },
            Task { await self.followNetwork(proxy) },
        ]
        let watch = try await follow(services, &work)
        let server: ControlServer
        do throws(SystemError) {
            server = try ControlServer(
                runDirectory: settings.runDirectory, version: version, eventLoop: loop,
                handler: { try await self.serve($0) })
        } catch {
            throw NodeError("\(error)")
        }
        announce()
        if case .onDemand(let seconds) = lifetime { work.append(Task { await self.endWhenIdle(seconds) }) }
        for await reason in ending {
            logger.notice("\(reason): the agent stops; pods go on running and rules stay")
            break
        }
        SystemdNotification.send("STOPPING=1")
        server.stop()
        watch?.stop()
        for task in work { task.cancel() }
        await engine.detach()
    }

    /// Starts to follow the manifest directory, if there is one: its first reading is done when this returns.
    private func follow(_ services: ServiceRunner, _ work: inout [Task<Void, Never>]) async throws(NodeError)
        -> ManifestWatch?
    {
        guard let manifests else { return nil }
        let watch: ManifestWatch
        do throws(SystemError) {
            watch = try ManifestWatch(manifests, eventLoop: loop)
        } catch {
            throw NodeError("--manifests \(manifests): \(String(cString: strerror(error.errno)))")
        }
        let runner = ManifestRunner(
            directory: ManifestDirectory(manifests, load: manifestLoader(nodeName: settings.nodeName)),
            pods: enginePods(), logger: logger
        ) { await services.take($0, unread: $1) }
        await runner.rescan()
        work += [
            Task {
                for await _ in watch.changes {
                    await runner.rescan()
                    // A directory that is gone is looked for until it is back.
                    while watch.directoryIsGone, !watch.reattach() {
                        guard (try? await Task.sleep(for: .seconds(1))) != nil else { return }
                    }
                }
            },
            Task { for await _ in self.engine.changes() { await runner.replan() } },
        ]
        return watch
    }

    private func announce() {
        logger.notice(
            "node \(settings.nodeName) is ready: pods \(network.description), Services \(settings.serviceCIDR)")
        if readiness >= 0 {
            _ = write(readiness, "r", 1)
            close(readiness)
        }
        SystemdNotification.send("READY=1")
    }

    /// Ends an agent in the background that nobody needs. Looked at only as often as it could matter.
    private func endWhenIdle(_ seconds: Int64) async {
        while true {
            let rest = engine.snapshots().isEmpty ? Double(seconds) - idleness.seconds : Double(seconds)
            if rest <= 0, idleness.close() { return stop(because: "no pods and nothing to do for \(seconds) s") }
            guard (try? await Task.sleep(for: .seconds(max(rest, 0.05)))) != nil else { return }
        }
    }
}
