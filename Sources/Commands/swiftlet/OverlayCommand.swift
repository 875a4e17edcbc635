// `swiftlet overlay`: how this node reaches the pods of others, asked of the agent and read from the kernel.
import ArgumentParser
import Glibc
import JSONTree
import LocalNode

/// `swiftlet overlay`
struct OverlayCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "overlay", abstract: "Look at the network between the nodes.",
        subcommands: [OverlayShowCommand.self])
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

private func noAgent(_ options: CommonOptions) -> CommandError {
    CommandError("no agent serves in \(options.runDirectory): start one with 'swiftlet node --leases FILE'")
}
