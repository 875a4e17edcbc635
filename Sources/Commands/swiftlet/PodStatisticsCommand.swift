import ArgumentParser
import JSONTree
import Linux
import LocalNode

/// `swiftlet pod stats [POD…]`
struct PodStatisticsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stats",
        abstract: "Print what pods and their containers use.",
        discussion: """
            CPU is the average number of cores over the time between two readings, one second apart by default. Memory is \
            the working set: what is in use without the file cache that can be given back at once.
            """)

    @OptionGroup var options: CommonOptions
    @OptionGroup var output: OutputOptions

    @Option(help: "Seconds between the two readings.")
    var interval = 1.0

    @Flag(help: "Print again at each interval, until interrupted.")
    var watch = false

    @Argument(
        help: "Name, namespace/name, or the beginning of a uid; all pods where not given.",
        completion: PodCompletion.pods)
    var pods: [String] = []

    func validate() throws {
        guard interval >= 0.1, interval <= 3600 else { throw ValidationError("--interval must be 0.1 to 3600.") }
    }

    func run() throws {
        var before = try read()
        let isTerminal = isatty(STDOUT_FILENO) == 1
        repeat {
            usleep(UInt32(interval * 1_000_000))
            let now = try read()
            let usage = ResourceUsage.between(before, now)
            switch output.format {
            case .json: write(ResourceUsage.list(usage).text(pretty: !watch) + "\n", to: STDOUT_FILENO)
            case .table:
                if watch, isTerminal { write("\u{1b}[H\u{1b}[2J", to: STDOUT_FILENO) }
                write(ResourceUsage.table(usage), to: STDOUT_FILENO)
            }
            before = now
        } while watch
    }

    private func read() throws -> JSONValue {
        let arguments: JSONValue = ["pods": .array(pods.map { .string($0) })]
        let answer = try AgentConnection(options: options).call("statistics", arguments, whenAbsent: .startForPods)
        if answer == nil, let first = pods.first { throw CommandError("pod \"\(first)\" not found") }
        return answer ?? ["pods": []]
    }
}
