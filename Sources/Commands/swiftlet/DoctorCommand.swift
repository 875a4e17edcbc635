// swiftlet doctor: what this host lacks, and what to do about it.
import ArgumentParser
import Glibc
import LocalNode

struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Checks what a node needs of this host, each problem with its remedy.",
        discussion: """
            Tries things for real: an overlay, cgroups, netfilter rules, a veth pair. All of it in namespaces and \
            directories of its own that are gone at the end.

            Exit status: 0 if a node can run here (warnings aside), 1 if not.
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        let report = Doctor(dataDirectory: common.dataDirectory, runDirectory: common.runDirectory).examine()
        switch output.format {
        case .table: write(report.text(colored: isatty(STDOUT_FILENO) == 1), to: STDOUT_FILENO)
        case .json: write(report.json().text(pretty: true) + "\n", to: STDOUT_FILENO)
        }
        if report.failed { throw ExitCode(1) }
    }
}
