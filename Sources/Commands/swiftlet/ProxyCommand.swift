// `swiftlet proxy`: what the service proxy's rules are, read from the kernel. Works when no agent runs.
import ArgumentParser
import Glibc
import JSONTree
import NFTables
import ServiceProxy

/// `swiftlet proxy`
struct ProxyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "proxy", abstract: "Look at the rules that serve Services.",
        subcommands: [ProxyShowCommand.self])
}

/// `swiftlet proxy show [SERVICE]`
struct ProxyShowCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show which Service is served at which addresses, and by which endpoints.",
        discussion: """
            Reads the table 'ip swiftlet-proxy' of the network namespace it runs in. A connection to a frontend draws one of \
            its slots at random; an endpoint's share is the number of its slots. A frontend without endpoints rejects.
            """)

    @OptionGroup var options: CommonOptions

    @Argument(help: "Only this Service: NAME, NAMESPACE/NAME or NAMESPACE/NAME:PORT.")
    var service: String?

    @OptionGroup var output: OutputOptions

    @Flag(help: "Print the whole table in nft's language, as 'nft list table ip swiftlet-proxy' does.")
    var nft = false

    func validate() throws {
        if nft, service != nil { throw ValidationError("--nft prints the whole table; leave out SERVICE.") }
        if nft, output.format == .json { throw ValidationError("--nft and -o json contradict each other.") }
    }

    func run() throws {
        let table = try Self.readTable()
        if nft { return write(table.text, to: STDOUT_FILENO) }
        var view = ProxyView(table)
        if let service {
            view = view.matching(service)
            if view.services.isEmpty { throw CommandError("no rules for a Service '\(service)'") }
        }
        switch output.format {
        case .json: write(view.json.text(pretty: true) + "\n", to: STDOUT_FILENO)
        case .table: write(view.text, to: STDOUT_FILENO)
        }
    }

    private static func readTable() throws -> Table {
        let name = TableName(.ipv4, "swiftlet-proxy")
        let found: Table?
        do {
            var socket = try NFTablesSocket()
            found = try socket.table(name)
        } catch NFTablesError.refused(_, EPERM, _) {
            throw CommandError("nftables can only be read as root (CAP_NET_ADMIN)")
        }
        guard let found else {
            throw CommandError("no table '\(name)' in this network namespace: no Service is served here")
        }
        return found
    }
}
