// Which objects a selector means.

import JSONTree

/// LabelSelector (Kubernetes API reference, meta/v1): every requirement must hold. An empty one matches everything.
public struct LabelSelector: Sendable, Hashable {
    public enum Requirement: Sendable, Hashable {
        case isIn(key: String, values: Set<String>)
        /// Holds also where there is no such label.
        case isNotIn(key: String, values: Set<String>)
        case exists(key: String)
        case doesNotExist(key: String)
    }

    public var requirements: [Requirement]

    public init(requirements: [Requirement] = []) { self.requirements = requirements }

    /// Every one of these labels, with its value.
    public init(matching labels: [String: String]) {
        requirements = labels.sorted { $0.key < $1.key }.map { .isIn(key: $0.key, values: [$0.value]) }
    }

    public func matches(_ labels: [String: String]) -> Bool {
        requirements.allSatisfy { requirement in
            switch requirement {
            case .isIn(let key, let values): labels[key].map(values.contains) ?? false
            case .isNotIn(let key, let values): labels[key].map { !values.contains($0) } ?? true
            case .exists(let key): labels[key] != nil
            case .doesNotExist(let key): labels[key] == nil
            }
        }
    }

    /// Reads `matchLabels` and `matchExpressions`.
    public init(tree: JSONValue) throws(InvalidObject) {
        let faults = Faults()
        guard let object = tree.objectValue else {
            throw InvalidObject(errors: [.type(JSONPath(), expected: "an object", got: tree)])
        }
        let reader = FieldReader(object: object, path: JSONPath(), faults: faults)
        self.init(matching: reader.labels("matchLabels"))
        requirements += reader.readers("matchExpressions").map { Requirement($0) }
        try faults.check()
    }
}

extension LabelSelector.Requirement {
    init(_ reader: FieldReader) {
        let key = reader.required("key")
        if !key.isEmpty { reader.invalid("key", .string(key), NameRules.qualifiedName(key)) }
        let operation = reader.required("operator")
        let values = reader.strings("values")
        for (index, value) in values.enumerated() {
            for message in NameRules.labelValue(value) {
                reader.add(.invalid(reader.path.field("values").index(index), .string(value), message))
            }
        }
        switch operation {
        case "In", "NotIn":
            if values.isEmpty {
                let message = "must be specified when `operator` is 'In' or 'NotIn'"
                reader.add(.required(reader.path.field("values"), message))
            }
            self = operation == "In" ? .isIn(key: key, values: Set(values)) : .isNotIn(key: key, values: Set(values))
        case "Exists", "DoesNotExist":
            if !values.isEmpty {
                let message = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                reader.add(.forbidden(reader.path.field("values"), message))
            }
            self = operation == "Exists" ? .exists(key: key) : .doesNotExist(key: key)
        default:
            if !operation.isEmpty {
                let message = "not a valid selector operator"
                reader.add(.invalid(reader.path.field("operator"), .string(operation), message))
            }
            self = .exists(key: key)
        }
    }
}

extension Service {
    /// Whether a pod with these labels in `namespace` is behind the Service. A Service without selector has no pods.
    public func selects(labels: [String: String], namespace: String) -> Bool {
        namespace == metadata.namespace && !spec.selector.isEmpty
            && spec.selector.allSatisfy { labels[$0.key] == $0.value }
    }
}
