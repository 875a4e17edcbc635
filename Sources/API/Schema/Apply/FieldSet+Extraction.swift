// The fields that an object has (structured-merge-diff `typed.ToFieldSet`).

import JSONTree

extension FieldSet {
    /// The places of `value` that somebody who applies it owns: leaves, elements, keys of maps.
    ///
    /// - Throws: unknown fields, values of a wrong shape, elements that cannot be told apart or come twice.
    public init(of value: JSONValue, type: ObjectType) throws(ApplyError) {
        var extraction = FieldExtraction(refusesDuplicates: true)
        self = try extraction.node(value, .object(TypeReference(type))).children
    }

    /// The same of an object that is stored, whatever is in it.
    init(ofStored value: JSONValue, type: ObjectType) throws(ApplyError) {
        var extraction = FieldExtraction(refusesDuplicates: false)
        self = try extraction.node(value, .object(TypeReference(type))).children
    }

    /// The set with every field that a type names on the way to a place of the set: not keys of maps, not elements
    /// (structured-merge-diff `Set.EnsureNamedFieldsAreMembers`).
    func includingNamedFields(_ kind: FieldKind) -> FieldSet {
        let shape = MergeKind(kind)
        return FieldSet(
            unsorted: nodes.map { node in
                var isMember = node.isMember
                var child: FieldKind = .json
                switch (node.element, shape) {
                case (.field(let name), _):
                    if !node.children.isEmpty, shape.isNamed(name) { isMember = true }
                    child = shape.member(name) ?? .json
                case (.key, .list(let element, _)): child = element
                default: break
                }
                return Node(node.element, isMember: isMember, children: node.children.includingNamedFields(child))
            })
    }
}

/// Walks a value along its type.
private struct FieldExtraction {
    let refusesDuplicates: Bool
    private var path = FieldPath()

    init(refusesDuplicates: Bool) { self.refusesDuplicates = refusesDuplicates }

    /// Whether the value itself is a place of the set, and what of it is.
    mutating func node(_ value: JSONValue, _ kind: FieldKind) throws(ApplyError) -> (isMember: Bool, children: FieldSet)
    {
        let shape = MergeKind(kind).resolved(value)
        switch (shape, value) {
        case (.whole, _): return (true, FieldSet())
        case (.list(let element, let keys), .array(let list)):
            return (false, try self.list(list, element, keys))
        case (.object, .object(let object)), (.map, .object(let object)):
            return (false, try self.object(object, shape))
        case (_, .null): return (false, FieldSet())
        default: throw ApplyError(path, "expected \(kind.description), got \(value.kindName)")
        }
    }

    private mutating func object(_ object: JSONObject, _ shape: MergeKind) throws(ApplyError) -> FieldSet {
        var nodes: [FieldSet.Node] = []
        nodes.reserveCapacity(object.count)
        for (name, value) in object {
            path.elements.append(.field(name))
            guard let kind = shape.member(name) else { throw ApplyError(path, "field not declared in schema") }
            let (isMember, children) = try node(value, kind)
            let isEmpty = value.isNull || value.objectValue?.isEmpty ?? false
            nodes.append(
                FieldSet.Node(
                    .field(name), isMember: isMember || isEmpty || !shape.isNamed(name), children: children))
            path.elements.removeLast()
        }
        return FieldSet(unsorted: nodes)
    }

    private mutating func list(
        _ list: [JSONValue], _ kind: FieldKind, _ keys: [String]
    ) throws(ApplyError) -> FieldSet {
        let elements = try ListElements(list, kind, keys: keys, at: path)
        var nodes: [FieldSet.Node] = []
        nodes.reserveCapacity(list.count)
        for (identity, value) in elements.elements {
            if refusesDuplicates, elements.places[identity]?.count != 1 {
                throw ApplyError(path, "duplicate entries for key \(identity)")
            }
            path.elements.append(identity)
            nodes.append(FieldSet.Node(identity, isMember: true, children: try node(value, kind).children))
            path.elements.removeLast()
        }
        return FieldSet(unsorted: nodes)
    }
}
