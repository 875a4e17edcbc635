import ArgumentParser
import JSONTree
import Linux

/// `swiftlet pod stop POD…`
struct PodStopCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stop",
        abstract: "End pods and keep them listed.",
        discussion: """
            Runs the preStop hooks, sends TERM to each container's main process and KILL once the time of grace is over. \
            The pod stays listed with its logs until it is removed.
            """)

    @OptionGroup var options: CommonOptions

    @Option(help: "Seconds between TERM and KILL; where not given, the pod's own.")
    var grace: Int?

    @Argument(help: "Name, namespace/name, or the beginning of a uid.", completion: PodCompletion.pods)
    var pods: [String]

    func validate() throws {
        if let grace, grace < 0 { throw ValidationError("--grace must not be negative.") }
    }

    func run() throws {
        try changeEach(pods, options, "stop", ["grace": grace.map { JSONValue($0) } ?? .null], done: "stopped")
    }
}

/// `swiftlet pod rm POD…`
struct PodRemoveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm",
        abstract: "Remove pods, their volumes and their logs.",
        discussion: "A pod that runs is refused, unless -f is given: then it is killed, or with --grace stopped first.")

    @OptionGroup var options: CommonOptions

    @Flag(name: .shortAndLong, help: "Also remove pods that run.")
    var force = false

    @Option(help: "With -f: seconds between TERM and KILL.")
    var grace = 0

    @Argument(help: "Name, namespace/name, or the beginning of a uid.", completion: PodCompletion.pods)
    var pods: [String]

    func validate() throws {
        if grace < 0 { throw ValidationError("--grace must not be negative.") }
    }

    func run() throws {
        let arguments: JSONObject = ["force": .bool(force), "grace": JSONValue(grace)]
        try changeEach(pods, options, "remove", arguments, done: "removed")
    }
}

/// Asks for the same change of several pods, all at once, and says what became of each. The exit code is 1 if one failed.
private func changeEach(
    _ pods: [String], _ options: CommonOptions, _ verb: String, _ arguments: JSONObject, done: String
) throws {
    var arguments = arguments
    arguments["pods"] = .array(pods.map { .string($0) })
    var failed = false
    let answer = try AgentConnection(options: options).call(verb, .object(arguments), whenAbsent: .startForPods) {
        let pod = $0["pod"]?.stringValue ?? ""
        if let problem = $0["error"]?.stringValue {
            complain(problem)
            failed = true
        } else {
            write("pod/\(pod) \(done)\n", to: STDOUT_FILENO)
        }
    }
    if answer == nil { throw CommandError("pod \"\(pods[0])\" not found") }
    if failed { throw ExitCode.failure }
}
