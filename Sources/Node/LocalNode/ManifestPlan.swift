// What the manifest directory wants against what runs: the difference is a value. This file decides and starts nothing.
import JSONTree
import Resources

/// A pod that a file of the manifest directory asks for.
struct DesiredPod: Sendable, Hashable {
    let pod: Pod
    /// The manifest after defaulting.
    let tree: JSONValue
    /// The file's path.
    let source: String
    /// As of the kubelet's static pods: the same node, file, name and content give the same id, so a pod whose manifest
    /// changed is another pod.
    let uid: String

    init(pod: Pod, tree: JSONValue, source: String, nodeName: String) {
        self.pod = pod
        self.tree = tree
        self.source = source
        var hash = UInt128(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
        let parts = [
            Array(nodeName.utf8), Array(source.utf8), Array(pod.metadata.namespace.utf8), Array(pod.metadata.name.utf8),
            tree.encoded(),
        ]
        // FNV-1a with 128 bits; a zero byte ends each part.
        for byte in parts.joined(separator: [0]) {
            hash = (hash ^ UInt128(byte)) &* 0x0000_0000_0100_0000_0000_0000_0000_013b
        }
        let digits = String(hash, radix: 16)
        uid = String(repeating: "0", count: 32 - digits.count) + digits
    }

    /// `namespace/name`
    var name: String { "\(pod.metadata.namespace)/\(pod.metadata.name)" }
}

/// A pod that the engine has.
struct PresentPod: Sendable, Hashable {
    let uid: String
    /// `namespace/name`
    let name: String
    /// The file it came from; nil for a pod of `swiftlet pod run`.
    let source: String?
}

/// What is to be done so that the pods are those that the files ask for.
struct ManifestPlan: Sendable, Hashable {
    /// Pods that no file asks for any more, or not in this shape.
    var remove: [String] = []
    /// Pods that can start now. One whose predecessor of the same name still has to go is not here yet: the plan made
    /// after its removal has it.
    var run: [DesiredPod] = []
    /// Why a wanted pod is not run: one line each, beginning with the file.
    var conflicts: [String] = []

    /// - Parameter unread: files whose pods stay as they are, since what the file says is not known.
    init(desired: [DesiredPod], present: [PresentPod], unread: Set<String> = []) {
        let running = Set(present.map(\.uid))
        var chosen: [String: DesiredPod] = [:]
        // Of two files with a pod of one name, the one whose pod runs already has it, else the first.
        for pod in desired where running.contains(pod.uid) { chosen[pod.name] = chosen[pod.name] ?? pod }
        for pod in desired where chosen[pod.name] == nil { chosen[pod.name] = pod }
        let wanted = Set(chosen.values.map(\.uid))
        remove = present.filter { pod in
            guard let source = pod.source, !unread.contains(source) else { return false }
            return !wanted.contains(pod.uid)
        }.map(\.uid)
        for pod in desired {
            if let other = chosen[pod.name], other != pod {
                conflicts.append("\(pod.source): pod \(pod.name) stands in \(other.source) already")
            } else if let holder = present.first(where: { $0.name == pod.name && $0.uid != pod.uid }) {
                if holder.source == nil {
                    conflicts.append("\(pod.source): pod \(pod.name) runs already, started by 'swiftlet pod run'")
                } else if let source = holder.source, unread.contains(source) {
                    conflicts.append("\(pod.source): pod \(pod.name) runs already, from \(source)")
                }
            } else if !running.contains(pod.uid) {
                run.append(pod)
            }
        }
    }
}
