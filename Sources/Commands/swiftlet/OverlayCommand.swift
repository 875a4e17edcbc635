// `swiftlet overlay`: how this node reaches the pods of others, asked of the agent and read from the kernel.
import ArgumentParser
import Glibc
import JSONTree
import LocalNode

/// `swiftlet overlay`
struct OverlayCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "overlay", abstract: "Look at the network between the nodes.",
        subcommands: [OverlayShowCommand.self, OverlayCheckCommand.self])
}

/// `swiftlet overlay show`
struct OverlayShowCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show the nodes, and whether the kernel has what leads to each.",
        discussion: """
            Each node needs a route to its pod networks and, over VXLAN, a neighbour entry and a forwarding entry. They are \
            read from the kernel and compared with what the leases ask for: ok, missing, or wrong with what is there \
            instead. Counters are those of the overlay's devices.

            Exit code 1 if anything is missing or wrong.
            """)

    @OptionGroup var options: CommonOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        guard let answer = try AgentConnection(options: options).call("overlay", whenAbsent: .leave) else {
            throw noAgent(options)
        }
        switch output.format {
        case .json: write((answer["view"] ?? .null).text(pretty: true) + "\n", to: STDOUT_FILENO)
        case .table: write(answer["text"]?.stringValue ?? "", to: STDOUT_FILENO)
        }
        if answer["isComplete"]?.boolValue != true { throw ExitCode(1) }
    }
}

/// `swiftlet overlay check NODE`
struct OverlayCheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Send probes to a node through the overlay, and say at which step they fail.",
        discussion: """
            Looks at the lease, the device and the entries for the node, sends an ICMP echo to its public address, one to \
            its address in the pod network, and one as large as pods' packets may be that must not be fragmented.

            Exit code 1 if a step fails.
            """)

    @OptionGroup var options: CommonOptions
    @OptionGroup var output: OutputOptions

    @Argument(help: "The node's name in the leases file.")
    var node: String

    func run() throws {
        var steps: [JSONValue] = []
        let answer = try AgentConnection(options: options)
            .call("overlayCheck", ["node": .string(node)], whenAbsent: .leave) { step in
                steps.append(step["step"] ?? .null)
                if output.format == .table { write((step["text"]?.stringValue ?? "") + "\n", to: STDOUT_FILENO) }
            }
        guard let answer else { throw noAgent(options) }
        if output.format == .json {
            let document: JSONValue = ["node": .string(node), "steps": .array(steps)]
            write(document.text(pretty: true) + "\n", to: STDOUT_FILENO)
        }
        if answer["succeeded"]?.boolValue != true { throw ExitCode(1) }
    }
}

private func noAgent(_ options: CommonOptions) -> CommandError {
    CommandError("no agent serves in \(options.runDirectory): start one with 'swiftlet node --leases FILE'")
}
