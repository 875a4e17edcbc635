import ArgumentParser
import Cgroups
import ControlSocket
import JSONTree
import Linux
import LocalNode

/// `swiftlet pod exec POD -- COMMAND…`: the exit code is the command's own.
struct PodExecCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exec",
        abstract: "Run a command in a running container.",
        discussion: """
            The exit code is the command's own, 128 + n where signal n ended it, 127 where there is no such command and \
            126 where it cannot be executed.

              swiftlet pod exec -it web -- sh
            """)

    @OptionGroup var options: CommonOptions

    @Flag(name: [.customShort("i"), .customLong("stdin")], help: "Pass standard input to the command.")
    var passesInput = false

    @Flag(name: [.customShort("t"), .customLong("tty")], help: "Give the command a terminal.")
    var usesTerminal = false

    @Option(
        name: [.customShort("c"), .long], help: "The container; where not given, the pod's first.",
        completion: PodCompletion.containers)
    var container: String?

    @Argument(help: "Name, namespace/name, or the beginning of a uid.", completion: PodCompletion.pods)
    var pod: String

    @Argument(parsing: .postTerminator, help: "The command and its arguments, after --.")
    var command: [String] = []

    func validate() throws {
        if command.isEmpty {
            throw ValidationError("Missing the command: swiftlet pod exec POD -- COMMAND [ARGUMENT…]")
        }
    }

    func run() throws {
        CgroupMigration.expectSoon()
        let hasTerminal = isatty(STDIN_FILENO) == 1
        if usesTerminal, passesInput, !hasTerminal { warn("standard input is no terminal: it is passed on as it is") }
        let request: JSONValue = [
            "pod": .string(pod), "container": container.map { .string($0) } ?? .null,
            "command": .array(command.map { .string($0) }), "stdin": .bool(passesInput), "tty": .bool(usesTerminal),
        ]
        let signals = try catchingErrors { try ForwardedSignals([SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH]) }
        let code = try AgentConnection(options: options).withClient(.startForPods) { client throws(ControlError) in
            var session =
                usesTerminal
                ? try ExecSession.terminal(passesInput: passesInput) : try ExecSession.pipes(passesInput: passesInput)
            return try session.run(&client, request: request, signals: signals)
        }
        guard let code else { throw CommandError("pod \"\(pod)\" not found") }
        throw ExitCode(code)
    }

    private func catchingErrors<Value: ~Copyable>(_ body: () throws -> Value) throws -> Value {
        do { return try body() } catch { throw CommandError("\(error)") }
    }
}
