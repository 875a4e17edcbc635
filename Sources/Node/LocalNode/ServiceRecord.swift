// The Services that were last asked for, `<data-dir>/services/services.json`: what an agent that follows no directory goes
// on serving, and what stands in for a file that is wrong when the agent starts.
import JSONTree
import Linux
import Resources

struct ServiceRecord: Sendable {
    let path: String
    private(set) var services: [SourcedService]

    init(dataDirectory: String) throws(NodeError) {
        path = "\(dataDirectory)/services/services.json"
        services = []
        guard fileExists(path) else { return }
        do {
            for entry in try JSONValue.parse(try readFile(path)).arrayValue ?? [] {
                guard let source = entry["source"]?.stringValue, let tree = entry["service"] else {
                    throw NodeError("an entry without source or service")
                }
                services.append(SourcedService(service: try Service(tree: tree), source: source))
            }
        } catch {
            throw NodeError("\(path): \(error); remove the file to begin without Services")
        }
    }

    /// Takes over what the files ask for; of files that are not readable now, what is recorded stays. Two Services of one
    /// name are one: the one that was there before, else the first. Returns a line for each that is left out.
    mutating func take(_ found: [SourcedService], unread: Set<String>) throws(SystemError) -> [String] {
        let before = Dictionary(services.map { ($0.name, $0.source) }) { first, _ in first }
        var chosen: [String: SourcedService] = [:]
        let all = services.filter { unread.contains($0.source) } + found
        for candidate in all where before[candidate.name] == candidate.source {
            chosen[candidate.name] = chosen[candidate.name] ?? candidate
        }
        for candidate in all { chosen[candidate.name] = chosen[candidate.name] ?? candidate }
        let conflicts = all.filter { chosen[$0.name] != $0 }.map {
            "\($0.source): Service \($0.name) stands in \(chosen[$0.name]?.source ?? "") already"
        }
        let next = chosen.values.sorted { $0.name < $1.name }
        if next != services {
            let tree = JSONValue.array(next.map { ["source": .string($0.source), "service": $0.service.tree] })
            try writeFileAtomically(path, tree.encoded(), mode: 0o600, durable: true)
            services = next
        }
        return conflicts
    }
}
