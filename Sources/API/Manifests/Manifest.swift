// Manifests: files as people write them, YAML or JSON, to Pods and Services. What is wrong with a file is told with
// its line.

import JSONTree
import Resources

/// One object of a file.
public struct Manifest: Sendable, Hashable {
    public let object: ManifestObject
    public let source: ManifestSource

    public init(object: ManifestObject, source: ManifestSource) {
        self.object = object
        self.source = source
    }
}

/// An object of a kind that a node without control plane runs.
public enum ManifestObject: Sendable, Hashable {
    case pod(Pod)
    case service(Service)

    public var metadata: ObjectMeta {
        switch self {
        case .pod(let pod): pod.metadata
        case .service(let service): service.metadata
        }
    }

    /// The object with its defaults, for storing and reading back with `Pod(tree:)` or `Service(tree:)`.
    public var tree: JSONValue {
        switch self {
        case .pod(let pod): pod.tree
        case .service(let service): service.tree
        }
    }

    /// `Pod` or `Service`
    public var kind: String {
        switch self {
        case .pod: "Pod"
        case .service: "Service"
        }
    }
}

/// Where an object was read.
public struct ManifestSource: Sendable, Hashable {
    /// The file as it was named by whoever asked for it.
    public let file: String
    /// The place of the document in its file, from 0.
    public let document: Int
    /// The line where the object starts, from 1.
    public let line: Int

    public init(file: String, document: Int, line: Int) {
        self.file = file
        self.document = document
        self.line = line
    }
}

/// One thing that is wrong with a file.
public struct ManifestError: Error, Sendable, Hashable, CustomStringConvertible {
    public let file: String
    /// From 1; 0 where the file as a whole is meant.
    public let line: Int
    /// Where in the object: `spec.containers[0].image`. Empty where there is no object yet.
    public let path: String
    public let message: String

    /// `web.yaml:12: spec.containers[0].image: Required value`
    public var description: String {
        (line > 0 ? "\(file):\(line): " : "\(file): ") + (path.isEmpty ? message : "\(path): \(message)")
    }
}

/// Everything that is wrong with a file. A file with errors gives no objects at all.
public struct ManifestErrors: Error, Sendable, Hashable, CustomStringConvertible {
    /// Never empty; in the order of lines.
    public let errors: [ManifestError]

    /// One line for each error.
    public var description: String { errors.map(\.description).joined(separator: "\n") }
}
