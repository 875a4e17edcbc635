import ArgumentParser
import JSONTree
import Linux
import LocalNode

/// `swiftlet pod ps`
struct PodListCommand: ParsableCommand {
    /// How the list is printed.
    enum Format: String, ExpressibleByArgument, CaseIterable { case table, wide, json }

    static let configuration = CommandConfiguration(
        commandName: "ps", abstract: "List the pods of this host.", aliases: ["ls", "list"])

    @OptionGroup var options: CommonOptions

    @Option(name: .shortAndLong, help: "How to print the list; json prints a v1 List of Pods.")
    var output = Format.table

    @Option(name: .shortAndLong, help: "Only the pods of this namespace.")
    var namespace: String?

    @Flag(name: [.customShort("A"), .long], help: "The pods of all namespaces; this is the default.")
    var allNamespaces = false

    @Flag(name: .shortAndLong, help: "Only the pods' uids.")
    var quiet = false

    func validate() throws {
        if allNamespaces, namespace != nil { throw ValidationError("-A and --namespace contradict each other.") }
    }

    func run() throws {
        let answer = try AgentConnection(options: options).call("list", whenAbsent: .startForPods)
        var pods = answer?["items"]?.arrayValue ?? []
        if let namespace { pods = pods.filter { $0["metadata"]?["namespace"]?.stringValue == namespace } }
        if quiet {
            for pod in pods { write((pod["metadata"]?["uid"]?.stringValue ?? "") + "\n", to: STDOUT_FILENO) }
            return
        }
        switch output {
        case .json:
            let list: JSONValue = ["apiVersion": "v1", "kind": "List", "items": .array(pods)]
            write(list.text(pretty: true) + "\n", to: STDOUT_FILENO)
        case .table, .wide: write(table(pods), to: STDOUT_FILENO)
        }
    }

    private func table(_ pods: [JSONValue]) -> String {
        let wide = output == .wide
        var table = TextTable(
            ["NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP"] + (wide ? ["NODE", "UID"] : []))
        let now = Int64(time(nil))
        for pod in pods {
            let line = PodSummaryLine(pod, now: now)
            table.add(
                [
                    line.namespace, line.name, "\(line.readyContainers)/\(line.totalContainers)", line.status,
                    line.restartsText, line.age.map(humanDuration) ?? "<unknown>", line.address,
                ] + (wide ? [line.node, line.uid] : []))
        }
        return table.text()
    }
}

/// `swiftlet pod inspect POD…`
struct PodInspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Print pods with their status as v1 objects.")

    @OptionGroup var options: CommonOptions

    @Argument(
        help: "Name, namespace/name, or the beginning of a uid.", completion: PodCompletion.pods)
    var pods: [String]

    func run() throws {
        let agent = AgentConnection(options: options)
        var found: [JSONValue] = []
        for pod in pods {
            guard let object = try agent.call("inspect", ["pod": .string(pod)], whenAbsent: .startForPods) else {
                throw CommandError("pod \"\(pod)\" not found")
            }
            found.append(object)
        }
        let document = found.count == 1 ? found[0] : ["apiVersion": "v1", "kind": "List", "items": .array(found)]
        write(document.text(pretty: true) + "\n", to: STDOUT_FILENO)
    }
}
