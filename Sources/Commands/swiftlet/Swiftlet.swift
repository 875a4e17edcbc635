// The root command. Every failure ends here: one line on standard error that says what and where, and an exit code.
import ArgumentParser
import Glibc

@main
struct Swiftlet: ParsableCommand {
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "swiftlet",
        abstract:
            "Runs Kubernetes pods and Services on this host and joins it with others, without Docker and without a cluster.",
        discussion: """
            A Pod manifest in, running containers out:

              swiftlet pod run pod.yaml           run it here and now
              swiftlet node --manifests DIR       keep what a directory says running
              swiftlet proxy show                 which rules serve which Service
              swiftlet overlay show               how pods of other nodes are reached

            Completion: swiftlet --generate-completion-script bash|zsh|fish
            """,
        version: version,
        subcommands: [
            PodCommand.self, ImageCommand.self, NodeCommand.self, ProxyCommand.self, OverlayCommand.self,
            DoctorCommand.self, ResetCommand.self,
        ])

    /// Not asynchronous itself: a command that needs no task runs on the one thread it was started with, which spares it
    /// the start of the others.
    static func main() {
        // A reader that goes away (`swiftlet pod logs web | head`) ends the write, not the program by a signal.
        signal(SIGPIPE, SIG_IGN)
        do {
            var command = try parseAsRoot()
            guard let asynchronous = command as? any AsyncParsableCommand else {
                try command.run()
                return
            }
            runToTheEnd(asynchronous)
        } catch {
            leave(because: error)
        }
    }

    /// Runs the command in a task while the first thread waits.
    private static func runToTheEnd(_ command: sending any AsyncParsableCommand) -> Never {
        Task.detached {
            do {
                var command = command
                try await command.run()
                Glibc.exit(0)
            } catch {
                leave(because: error)
            }
        }
        while true { pause() }
    }

    /// Ends the program. What is no ``CommandError`` comes from the argument parser (help, usage, exit codes), or is an
    /// error that a command let through.
    private static func leave(because error: any Error) -> Never {
        if let error = error as? CommandError {
            complain(error.message)
            Glibc.exit(error.code)
        }
        let code = exitCode(for: error)
        if code.isSuccess || error is ExitCode { exit(withError: error) }
        let message = fullMessage(for: error)
        let prefix = "Error: "
        // Usage follows an error of the parser: one message of several lines.
        write(
            "error: \(message.hasPrefix(prefix) ? String(message.dropFirst(prefix.count)) : message)\n",
            to: STDERR_FILENO)
        Glibc.exit(code.rawValue)
    }
}
