// Lists in strategic merge patches: elements are found by the merge key, or are what they are, and come in an order that
// keeps both the patch's and the object's as far as they agree.

import JSONTree

/// How the lists of one field are merged.
struct StrategicListMerge {
    let kind: FieldKind?
    let strategy: PatchStrategy
    /// The field, for messages.
    let name: String

    private var elementShape: MergeShape {
        if case .list(let element, _)? = kind { MergeShape(element) } else { .unknown }
    }

    /// `elements` with `changes` merged in.
    func merge(_ changes: [JSONValue], into elements: [JSONValue]) throws(PatchError) -> [JSONValue] {
        if changes.isEmpty { return elements }
        guard try Self.areObjects(elements, changes) else {
            var seen: Set<JSONValue> = []
            let merged = (elements + changes).filter { seen.insert($0).inserted }
            return ordered(merged, by: changes, then: elements)
        }
        guard let mergeKey = strategy.mergeKey else {
            throw PatchError(.invalid, "cannot merge lists without merge key for \(name)")
        }
        let (kept, rest) = try specialElements(changes, elements, mergeKey)
        return ordered(try mergeObjects(rest, into: kept, mergeKey), by: rest, then: kept)
    }

    /// The same with the order that `$setElementOrder` gives; nil for a list that is absent.
    func merge(
        _ changes: [JSONValue]?, into elements: [JSONValue]?, order: [JSONValue]
    ) throws(PatchError) -> [JSONValue] {
        try checkOrder(changes ?? [], order)
        var merged = elements ?? []
        if let changes {
            if elements == nil {
                merged = StrategicMerge.withoutDirectives(.array(changes)).arrayValue ?? []
            } else {
                merged = strategy.mergesList ? try merge(changes, into: merged) : changes
            }
        }
        return ordered(merged, by: order, then: elements ?? [])
    }

    // MARK: Elements

    /// Applies the elements of the patch that are directives; gives what is left of the list and of the patch.
    private func specialElements(
        _ changes: [JSONValue], _ elements: [JSONValue], _ mergeKey: String
    ) throws(PatchError) -> (elements: [JSONValue], changes: [JSONValue]) {
        var rest: [JSONValue] = []
        var deleted: Set<JSONValue> = []
        var replaces = false
        for change in changes {
            switch change[Directive.patch] {
            case nil: rest.append(change)
            case "delete":
                guard let value = change[mergeKey] else { throw .noMergeKey(change, mergeKey) }
                deleted.insert(value)
            case "replace": replaces = true
            case "merge": throw PatchError(.invalid, "merging lists cannot yet be specified in the patch")
            case let other?: throw .badPatchType(other, change.objectValue ?? [:])
            }
        }
        if replaces { return (rest, []) }
        return (elements.filter { $0[mergeKey].map { !deleted.contains($0) } ?? true }, rest)
    }

    private func mergeObjects(
        _ changes: [JSONValue], into elements: [JSONValue], _ mergeKey: String
    ) throws(PatchError) -> [JSONValue] {
        var result = elements
        var places: [JSONValue: Int] = [:]
        for (index, element) in elements.enumerated() {
            if let value = element[mergeKey], places[value] == nil { places[value] = index }
        }
        for change in changes {
            guard let value = change[mergeKey] else { throw .noMergeKey(change, mergeKey) }
            if let place = places[value], case .object(let original) = result[place],
                case .object(let patch) = change
            {
                result[place] = .object(try StrategicMerge.merge(patch, into: original, elementShape))
            } else {
                places[value] = result.count
                result.append(StrategicMerge.newElement(change))
            }
        }
        return result
    }

    /// Takes primitive elements away.
    static func delete(_ deletions: [JSONValue], from elements: [JSONValue]) throws(PatchError) -> [JSONValue] {
        if try areObjects(elements, deletions) { throw .badPrimitiveList }
        let deleted = Set(deletions)
        return elements.filter { !deleted.contains($0) }
    }

    /// Whether the elements are objects; throws where they are of several kinds, or lists.
    private static func areObjects(_ elements: [JSONValue], _ changes: [JSONValue]) throws(PatchError) -> Bool {
        guard let first = elements.first ?? changes.first else { return false }
        if case .array = first { throw .listOfLists }
        func isAlike(_ element: JSONValue) -> Bool { element.isOfSameKind(as: first) }
        guard elements.allSatisfy(isAlike), changes.allSatisfy(isAlike) else {
            let text = JSONValue.array([.array(elements), .array(changes)]).goText
            throw PatchError(.invalid, "list element types are not identical: \(text)")
        }
        if case .object = first { return true }
        return false
    }

    // MARK: Order

    /// What identifies an element; nil for an object without the merge key.
    private func identity(_ element: JSONValue) -> JSONValue? {
        guard let mergeKey = strategy.mergeKey, case .object = element else { return element }
        return element[mergeKey]
    }

    private func places(_ order: [JSONValue]) -> [JSONValue: Int] {
        var places: [JSONValue: Int] = [:]
        for (index, element) in order.enumerated() {
            if let identity = identity(element), places[identity] == nil { places[identity] = index }
        }
        return places
    }

    /// Elements that `order` names come in its order, the others in that of `original`; where the two meet, an element
    /// of the object goes before one of the patch that came after it in the object.
    private func ordered(
        _ elements: [JSONValue], by order: [JSONValue], then original: [JSONValue]
    ) -> [JSONValue] {
        let patchPlaces = places(order)
        let originalPlaces = places(original)
        let known = elements.enumerated().map { index, element in
            let identity = identity(element)
            return (
                element: element, index: index, patch: identity.flatMap { patchPlaces[$0] },
                original: identity.flatMap { originalPlaces[$0] }
            )
        }
        let patched = known.filter { $0.patch != nil }
            .sorted { ($0.patch ?? 0, $0.index) < ($1.patch ?? 0, $1.index) }
        let others = known.filter { $0.patch == nil }
            .sorted { ($0.original ?? .max, $0.index) < ($1.original ?? .max, $1.index) }
        var result: [JSONValue] = []
        result.reserveCapacity(elements.count)
        var (next, other) = (0, 0)
        while next < patched.count || other < others.count {
            let takesOther =
                if next == patched.count {
                    true
                } else if other < others.count, let left = others[other].original,
                    let right = patched[next].original
                {
                    left < right
                } else {
                    false
                }
            if takesOther {
                result.append(others[other].element)
                other += 1
            } else {
                result.append(patched[next].element)
                next += 1
            }
        }
        return result
    }

    /// The patch's elements must be in the order that it demands.
    private func checkOrder(_ changes: [JSONValue], _ order: [JSONValue]) throws(PatchError) {
        var position = 0
        for change in changes where change[Directive.patch] != "delete" {
            if let mergeKey = strategy.mergeKey {
                guard case .object = change else { throw .notAnObject(change) }
                if change[mergeKey] == nil { throw .noMergeKey(change, mergeKey) }
            }
            let wanted = identity(change)
            while position < order.count, identity(order[position]) != wanted { position += 1 }
            guard position < order.count else {
                let lists = (JSONValue.array(changes).goText, JSONValue.array(order).goText)
                throw PatchError(
                    .invalid,
                    "The order in patch list:\n\(lists.0)\n doesn't match \(Directive.setElementOrder) list:\n\(lists.1)\n"
                )
            }
            position += 1
        }
    }
}

extension JSONValue {
    fileprivate func isOfSameKind(as other: JSONValue) -> Bool {
        switch (self, other) {
        case (.null, .null), (.bool, .bool), (.string, .string), (.array, .array), (.object, .object): true
        case (.integer, .integer), (.integer, .number), (.number, .integer), (.number, .number): true
        default: false
        }
    }
}
