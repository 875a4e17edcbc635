// `swiftlet pod …`: pods on this host.
import ArgumentParser
import LocalNode

struct PodCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pod",
        abstract: "Run pods on this host and look after them.",
        subcommands: [
            PodRunCommand.self, PodListCommand.self, PodInspectCommand.self, PodLogsCommand.self, PodExecCommand.self,
            PodStopCommand.self, PodRemoveCommand.self, PodStatisticsCommand.self,
        ])
}

/// What completes a pod's name in a shell, from the disk: quick, and works without an agent.
enum PodCompletion {
    static let pods = CompletionKind.custom { words, _, _ in
        let all = PodOnDisk.all(dataDirectory: dataDirectory(in: words))
        return all.map { pod in
            let isUnique = all.count { $0.name == pod.name } == 1
            return isUnique ? pod.name : "\(pod.namespace)/\(pod.name)"
        }
    }

    /// The containers of the pod that stands among the words already, else of all pods.
    static let containers = CompletionKind.custom { words, _, _ in
        let all = PodOnDisk.all(dataDirectory: dataDirectory(in: words))
        let named = all.filter { words.contains($0.name) || words.contains("\($0.namespace)/\($0.name)") }
        return Array(Set((named.isEmpty ? all : named).flatMap(\.containers))).sorted()
    }

    private static func dataDirectory(in words: [String]) -> String {
        guard let option = words.firstIndex(of: "--data-dir"), option + 1 < words.count else {
            return CommonOptions.defaultDataDirectory
        }
        return words[option + 1]
    }
}
