// What changed between two objects of a type (structured-merge-diff `typed.Compare`).

import JSONTree

/// The places at which two objects differ.
public struct FieldComparison: Sendable, Hashable {
    /// Places that only the new object has.
    public private(set) var added = FieldSet()
    /// Places of which the values differ.
    public private(set) var modified = FieldSet()
    /// Places that only the old object has.
    public private(set) var removed = FieldSet()

    /// Compares two objects.
    ///
    /// - Throws: where elements of lists cannot be told apart.
    public init(_ old: JSONValue, _ new: JSONValue, type: ObjectType) throws(ApplyError) {
        var path = FieldPath()
        let difference = try Difference.between(old, new, .object(TypeReference(type)), &path)
        (added, modified, removed) = (
            difference.added.children, difference.modified.children, difference.removed.children
        )
    }

    public var isEmpty: Bool { added.isEmpty && modified.isEmpty && removed.isEmpty }

    /// The comparison without these places and what is below them.
    public func excluding(_ ignored: FieldSet) -> FieldComparison {
        var result = self
        result.added = added.subtractingRecursively(ignored)
        result.modified = modified.subtractingRecursively(ignored)
        result.removed = removed.subtractingRecursively(ignored)
        return result
    }
}

/// The difference at one place and below it.
private struct Difference {
    struct Part {
        var isMember = false
        var children = FieldSet()
    }

    var added = Part()
    var modified = Part()
    var removed = Part()

    static func between(
        _ old: JSONValue?, _ new: JSONValue?, _ kind: FieldKind, _ path: inout FieldPath
    ) throws(ApplyError) -> Difference {
        let shape = MergeKind(kind).resolved(old, new)
        var difference = Difference()
        switch shape {
        case .list(let element, let keys) where !(old.isEmptyList && new.isEmptyList):
            difference = try lists(old?.arrayValue ?? [], new?.arrayValue ?? [], element, keys, &path)
        case .object where !(old.isEmptyObject && new.isEmptyObject),
            .map where !(old.isEmptyObject && new.isEmptyObject):
            difference = try objects(old?.objectValue ?? [:], new?.objectValue ?? [:], shape, &path)
        default:
            // One whole, or nothing on either side: null and empty are told apart.
            difference.modified.isMember = old != nil && new != nil && old != new
        }
        difference.added.isMember = old == nil
        difference.removed.isMember = new == nil
        return difference
    }

    private static func objects(
        _ old: JSONObject, _ new: JSONObject, _ shape: MergeKind, _ path: inout FieldPath
    ) throws(ApplyError) -> Difference {
        var parts = Parts()
        let newMembers = JSONObjectBuilder(new)
        let oldMembers = JSONObjectBuilder(old)
        for (name, value) in old {
            path.elements.append(.field(name))
            parts.add(.field(name), try between(value, newMembers[name], shape.member(name) ?? .json, &path))
            path.elements.removeLast()
        }
        for (name, value) in new where oldMembers[name] == nil {
            path.elements.append(.field(name))
            parts.add(.field(name), try between(nil, value, shape.member(name) ?? .json, &path))
            path.elements.removeLast()
        }
        return parts.difference
    }

    private static func lists(
        _ old: [JSONValue], _ new: [JSONValue], _ kind: FieldKind, _ keys: [String], _ path: inout FieldPath
    ) throws(ApplyError) -> Difference {
        var parts = Parts()
        let old = try ListElements(old, kind, keys: keys, at: path)
        let new = try ListElements(new, kind, keys: keys, at: path)
        for (identity, places) in old.places {
            path.elements.append(identity)
            let others = new.places[identity] ?? []
            if places.count == 1, others.count <= 1 {
                parts.add(identity, try between(old.first(identity), new.first(identity), kind, &path))
            } else {
                // Elements that come again are compared as one.
                var difference = Difference()
                difference.removed.isMember = others.isEmpty
                difference.modified.isMember =
                    !others.isEmpty && places.map { old.elements[$0].value } != others.map { new.elements[$0].value }
                parts.add(identity, difference)
            }
            path.elements.removeLast()
        }
        for (identity, places) in new.places where old.places[identity] == nil {
            path.elements.append(identity)
            var difference = Difference()
            difference.added.isMember = true
            if places.count == 1 { difference = try between(nil, new.first(identity), kind, &path) }
            parts.add(identity, difference)
            path.elements.removeLast()
        }
        return parts.difference
    }

    /// Collects the differences of members or elements.
    private struct Parts {
        var added: [FieldSet.Node] = []
        var modified: [FieldSet.Node] = []
        var removed: [FieldSet.Node] = []

        mutating func add(_ element: PathElement, _ difference: Difference) {
            func append(_ part: Part, to nodes: inout [FieldSet.Node]) {
                if part.isMember || !part.children.isEmpty {
                    nodes.append(FieldSet.Node(element, isMember: part.isMember, children: part.children))
                }
            }
            append(difference.added, to: &added)
            append(difference.modified, to: &modified)
            append(difference.removed, to: &removed)
        }

        var difference: Difference {
            Difference(
                added: Part(children: FieldSet(unsorted: added)),
                modified: Part(children: FieldSet(unsorted: modified)),
                removed: Part(children: FieldSet(unsorted: removed)))
        }
    }
}

extension JSONValue? {
    /// Whether there are no elements: absent, null or empty.
    fileprivate var isEmptyList: Bool { self?.arrayValue?.isEmpty ?? true }
    fileprivate var isEmptyObject: Bool { self?.objectValue?.isEmpty ?? true }
}
