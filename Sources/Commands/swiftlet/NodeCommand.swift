import ArgumentParser
import Linux
import LocalNode

/// `swiftlet node`: the agent of this host.
struct NodeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "node",
        abstract: "Run the agent of this host in the foreground.",
        discussion: """
            Keeps pods running, and Services reachable, that a directory of manifests describes, and serves the pod \
            commands. It follows the directory: a new file's pods start, a changed pod is replaced, a removed file's pods \
            are removed, a file that is wrong leaves what it described before alone.

            The agent may stop or crash at any time: pods go on running and rules stay; the next agent takes them over. \
            An agent that 'pod run' started in the background makes room for this one.
            """)

    @OptionGroup var options: CommonOptions

    @Option(
        help: ArgumentHelp("Run the Pods and Services of this directory's *.yaml, *.yml and *.json.", valueName: "dir"),
        completion: .directory)
    var manifests: String?

    @Option(help: ArgumentHelp("Cluster IPs for Services.", valueName: "cidr"))
    var serviceCidr = "10.43.0.0/16"

    @Option(help: "The name of this node; the host's name where not given.")
    var nodeName: String?

    @Option(
        help: ArgumentHelp("Where containers' logs go (default: logs in the data directory).", valueName: "dir"),
        completion: .directory)
    var logDir: String?

    @Option(help: ArgumentHelp("The cgroup above all pods.", valueName: "path"))
    var cgroupParent = "/kubepods"

    @Option(
        parsing: .singleValue,
        help: ArgumentHelp(
            "A name server for pods with dnsPolicy ClusterFirst; may be repeated. They use the host's where not given.",
            valueName: "address"))
    var clusterDns: [String] = []

    @Option(help: "The domain of cluster names in pods.")
    var clusterDomain = "cluster.local"

    @Option(help: "Most processes of one pod.")
    var podPidsLimit: Int64?

    @Option(
        help: ArgumentHelp("Mirrors and registries, as k3s' registries.yaml describes them.", valueName: "file"),
        completion: .file(extensions: ["yaml"]))
    var registries: String?

    @Flag(
        inversion: .prefixedNo,
        help: "Give containers that name no seccomp profile the RuntimeDefault one; else they are unconfined.")
    var seccompDefault = true

    @Option(
        parsing: .singleValue,
        help: ArgumentHelp(
            "A sysctl of pods' own namespaces that they may set though it is not among the safe ones; net.core.* for "
                + "all that begin so; may be repeated.", valueName: "name"))
    var allowedUnsafeSysctls: [String] = []

    @OptionGroup(title: "Network") var network: NetworkOptions

    @Flag(help: .hidden)
    var onDemand = false

    @Option(help: .hidden)
    var idleSeconds: Int64 = 60

    @Option(help: .hidden)
    var readyDescriptor: Int32?

    func validate() throws {
        guard cgroupParent.hasPrefix("/"), cgroupParent != "/", !cgroupParent.contains("..") else {
            throw ValidationError("--cgroup-parent must be a path below /, such as /kubepods.")
        }
        if let podPidsLimit, podPidsLimit < 1 { throw ValidationError("--pod-pids-limit must be at least 1.") }
        if ServiceRange(serviceCidr) == nil {
            throw ValidationError("--service-cidr must be an IPv4 network such as 10.43.0.0/16, not '\(serviceCidr)'.")
        }
        for (option, path) in [("--manifests", manifests), ("--log-dir", logDir)] {
            if let path, path.isEmpty { throw ValidationError("\(option) must not be empty.") }
        }
    }

    /// Runs on the program's first thread, whose blocked signals the others inherit.
    func run() throws {
        guard geteuid() == 0 else { throw CommandError("swiftlet needs root: run it with sudo") }
        do {
            let signals = try ForwardedSignals([SIGTERM, SIGINT, SIGHUP])
            let agent = try NodeAgent(
                settings: try settings(), manifests: try manifests.map(absolutePath),
                lifetime: onDemand ? .onDemand(idleSeconds: idleSeconds) : .untilStopped, version: Swiftlet.version,
                readiness: readyDescriptor, logger: options.logger("swiftlet"))
            Task.detached {
                do throws(NodeError) {
                    try await agent.run()
                    Glibc.exit(0)
                } catch {
                    complain(error.message)
                    Glibc.exit(1)
                }
            }
            stop(agent, on: signals)
        } catch let error as NodeError {
            throw CommandError(error.message)
        }
    }

    /// Stops the agent at the first signal and ends the program at the second.
    private func stop(_ agent: NodeAgent, on signals: borrowing ForwardedSignals) {
        let first = signals.wait()
        agent.stop(because: first == SIGINT ? "interrupted" : "signal \(first)")
        Glibc.exit(128 + signals.wait())
    }

    /// What the flags say; an agent in the background goes on with what the last one was told.
    private func settings() throws -> NodeSettings {
        let recorded = try NodeSettings.read(dataDirectory: options.dataDirectory, runDirectory: options.runDirectory)
        if onDemand, let recorded { return recorded }
        var settings = NodeSettings(
            dataDirectory: options.dataDirectory, runDirectory: options.runDirectory, nodeName: nodeName ?? hostname())
        settings.network = try network.settings()
        settings.serviceCIDR = serviceCidr
        settings.logDirectory = try logDir.map(absolutePath) ?? settings.logDirectory
        settings.cgroupParent = cgroupParent
        settings.clusterDNS = clusterDns
        settings.clusterDomain = clusterDomain
        settings.podPidsLimit = podPidsLimit
        settings.registriesFile = try registries.map(absolutePath)
        settings.seccompDefault = seccompDefault
        settings.allowedUnsafeSysctls = allowedUnsafeSysctls
        return settings
    }

    private func hostname() -> String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard gethostname(&buffer, buffer.count - 1) == 0 else { return "localhost" }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self).lowercased()
    }
}
