import ArgumentParser
import Linux
import LocalNode

/// `swiftlet reset`
struct ResetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reset",
        abstract: "Remove everything that Swiftlet made on this host, and nothing else.",
        discussion: """
            Stops the agent, kills the pods of this data directory, removes their cgroups, mounts, interfaces and rules \
            in this network namespace, all images, volumes, logs and allocations. What will go is listed first.
            """)

    @OptionGroup var options: CommonOptions

    @Flag(help: "Do not ask.")
    var yes = false

    func run() async throws {
        guard geteuid() == 0 else { throw CommandError("swiftlet needs root: run it with sudo") }
        do {
            let reset = try Reset(
                dataDirectory: options.dataDirectory, runDirectory: options.runDirectory, version: Swiftlet.version)
            if reset.findings.isEmpty {
                write("nothing of Swiftlet is here\n", to: STDOUT_FILENO)
                return
            }
            write("To be removed:\n" + reset.findings.map { "  \($0)\n" }.joined(), to: STDOUT_FILENO)
            guard try isAgreed() else { throw CommandError("nothing was removed") }
            let problems = try await reset.run()
            for problem in problems { complain(problem) }
            guard problems.isEmpty else { throw CommandError("not everything could be removed; try again") }
            write("removed\n", to: STDOUT_FILENO)
        } catch let error as NodeError {
            throw CommandError(error.message)
        }
    }

    private func isAgreed() throws -> Bool {
        if yes { return true }
        guard isatty(STDIN_FILENO) == 1 else {
            throw CommandError("standard input is no terminal to ask on: give --yes to remove all this")
        }
        write("Remove all this? [y/N] ", to: STDOUT_FILENO)
        guard let answer = readLine() else { return false }
        return ["y", "yes"].contains(answer.lowercased())
    }
}
