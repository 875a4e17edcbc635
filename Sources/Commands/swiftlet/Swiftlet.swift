// The root command. Every failure ends here: one line on standard error that says what and where, and an exit code.
import ArgumentParser
import Glibc

@main
struct Swiftlet: AsyncParsableCommand {
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "swiftlet",
        abstract: "Runs Kubernetes pods and Services on this host, without Docker and without a cluster.",
        discussion: """
            A Pod manifest in, running containers out:

              swiftlet pod run pod.yaml           run it here and now
              swiftlet node --manifests DIR       keep what a directory says running
              swiftlet proxy show                 which rules serve which Service

            Completion: swiftlet --generate-completion-script bash|zsh|fish
            """,
        version: version,
        subcommands: [])

    static func main() async {
        // A reader that goes away (`swiftlet pod logs web | head`) ends the write, not the program with a signal's status.
        signal(SIGPIPE, SIG_IGN)
        do {
            var command = try parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let error as CommandError {
            complain(error.message)
            Glibc.exit(error.code)
        } catch {
            leave(because: error)
        }
    }

    /// Ends the program for an error of the argument parser (help, usage, exit codes) or one that no command named.
    private static func leave(because error: any Error) -> Never {
        let code = exitCode(for: error)
        if code.isSuccess || error is ExitCode { exit(withError: error) }
        let message = fullMessage(for: error)
        let reason = "Error: "
        complain(message.hasPrefix(reason) ? String(message.dropFirst(reason.count)) : message)
        Glibc.exit(code.rawValue)
    }
}
