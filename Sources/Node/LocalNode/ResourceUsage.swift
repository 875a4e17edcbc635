// What pods use, from two readings of their counters.
import JSONTree

/// The use of a pod, or of one of its containers, between two readings.
public struct ResourceUsage: Sendable, Hashable {
    public let namespace: String
    public let pod: String
    /// Empty for the pod as a whole.
    public let container: String
    /// Cores in use on average; nil where it was not there at the first reading.
    public let cpu: Double?
    /// Bytes.
    public let memory: Int64
    public let processes: Int64

    /// Of two answers to the verb `statistics`: for each pod of the later one itself, then its containers.
    public static func between(_ before: JSONValue, _ after: JSONValue) -> [ResourceUsage] {
        func pods(_ answer: JSONValue) -> [JSONValue] { answer["pods"]?.arrayValue ?? [] }
        let earlier = Dictionary(pods(before).map { ($0["uid"]?.stringValue ?? "", $0) }) { first, _ in first }
        return pods(after).flatMap { pod -> [ResourceUsage] in
            let previous = earlier[pod["uid"]?.stringValue ?? ""]
            let elapsed = (pod["at"]?.integerValue ?? 0) - (previous?["at"]?.integerValue ?? 0)
            func usage(_ container: String, _ now: JSONValue?, _ then: JSONValue?) -> ResourceUsage {
                var cpu: Double?
                if let new = now?["cpu"]?.integerValue, let old = then?["cpu"]?.integerValue, elapsed > 0, new >= old {
                    cpu = Double(new - old) / Double(elapsed)
                }
                return ResourceUsage(
                    namespace: pod["namespace"]?.stringValue ?? "", pod: pod["name"]?.stringValue ?? "",
                    container: container, cpu: cpu, memory: now?["memory"]?.integerValue ?? 0,
                    processes: now?["processes"]?.integerValue ?? 0)
            }
            let containers = pod["containers"]?.objectValue ?? JSONObject()
            return [usage("", pod["total"], previous?["total"])]
                + containers.map { usage($0.key, $0.value, previous?["containers"]?[$0.key]) }
        }
    }

    /// Columns as `kubectl top pod --containers` has them.
    public static func table(_ usage: [ResourceUsage]) -> String {
        var table = TextTable(["NAMESPACE", "POD", "CONTAINER", "CPU(cores)", "MEMORY", "PIDS"])
        for line in usage {
            table.add([
                line.namespace, line.pod, line.container.isEmpty ? "(pod)" : line.container,
                line.cpu.map { "\(Int(($0 * 1000).rounded()))m" } ?? "<unknown>", humanBytes(line.memory),
                "\(line.processes)",
            ])
        }
        return table.text()
    }

    public static func list(_ usage: [ResourceUsage]) -> JSONValue {
        .array(
            usage.map { line in
                [
                    "namespace": .string(line.namespace), "pod": .string(line.pod),
                    "container": line.container.isEmpty ? .null : .string(line.container),
                    "cpuCores": line.cpu.map { JSONValue($0) } ?? .null, "memoryBytes": .integer(line.memory),
                    "processes": .integer(line.processes),
                ]
            })
    }
}

/// A number of bytes in the largest unit that leaves a number of at least 10, as Kubernetes writes quantities: `1536Ki`,
/// `128Mi`.
public func humanBytes(_ bytes: Int64) -> String {
    var amount = bytes
    var unit = ""
    for larger in ["Ki", "Mi", "Gi"] where amount >= 10 * 1024 {
        amount /= 1024
        unit = larger
    }
    return "\(amount)\(unit)"
}
