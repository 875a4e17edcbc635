// Merging an applied configuration into an object, and taking places out of an object (structured-merge-diff
// `typed.Merge`, `typed.RemoveItems`).

import JSONTree

enum TypedMerge {
    /// `live` with everything that `config` says. Elements of lists come in the configuration's order as far as it says
    /// one, in the object's otherwise.
    static func merge(_ config: JSONValue, into live: JSONValue, type: ObjectType) throws(ApplyError) -> JSONValue {
        var path = FieldPath()
        return try merge(live, config, .object(TypeReference(type)), &path)
    }

    private static func merge(
        _ live: JSONValue, _ config: JSONValue, _ kind: FieldKind, _ path: inout FieldPath
    ) throws(ApplyError) -> JSONValue {
        let shape = MergeKind(kind).resolved(live, config)
        switch (shape, live, config) {
        case (.list(let element, let keys), .array(let live), .array(let config)):
            return .array(try lists(live, config, element, keys, &path))
        case (.object, .object(let live), .object(let config)), (.map, .object(let live), .object(let config)):
            return try objects(live, config, shape, &path)
        case (.list, .array(let elements), .null) where !elements.isEmpty: return live
        case (.object, .object(let members), .null) where !members.isEmpty: return live
        case (.map, .object(let members), .null) where !members.isEmpty: return live
        default: return config
        }
    }

    private static func objects(
        _ live: JSONObject, _ config: JSONObject, _ shape: MergeKind, _ path: inout FieldPath
    ) throws(ApplyError) -> JSONValue {
        var result = JSONObjectBuilder(live)
        for (name, value) in config {
            path.elements.append(.field(name))
            if let old = result.take(name) {
                result[name] = try merge(old, value, shape.member(name) ?? .json, &path)
            } else {
                result[name] = value
            }
            path.elements.removeLast()
        }
        return .object(result.object)
    }

    /// As structured-merge-diff orders elements: those of both lists as the configuration has them; an element that only
    /// the object has, after the one that it followed.
    private static func lists(
        _ live: [JSONValue], _ config: [JSONValue], _ kind: FieldKind, _ keys: [String], _ path: inout FieldPath
    ) throws(ApplyError) -> [JSONValue] {
        let old = try ListElements(live, kind, keys: keys, at: path)
        let new = try ListElements(config, kind, keys: keys, at: path)
        let shared = new.elements.map(\.identity).filter { old.places[$0] != nil }
        var nextShared = 0
        var done: Set<PathElement> = []
        var result: [JSONValue] = []
        result.reserveCapacity(max(live.count, config.count))
        var (left, right) = (0, 0)

        func takeNew() throws(ApplyError) {
            let (identity, value) = new.elements[right]
            done.insert(identity)
            path.elements.append(identity)
            if old.places[identity]?.count == 1, let live = old.first(identity) {
                result.append(try merge(live, value, kind, &path))
            } else {
                result.append(value)
            }
            path.elements.removeLast()
            right += 1
            if nextShared < shared.count, shared[nextShared] == identity { nextShared += 1 }
        }
        while left < old.elements.count || right < new.elements.count {
            if left < old.elements.count {
                let identity = old.elements[left].identity
                if right < new.elements.count, new.elements[right].identity == identity {
                    try takeNew()
                    left += 1
                    continue
                }
                if new.places[identity] == nil {
                    result.append(old.elements[left].value)
                    left += 1
                    continue
                }
                if right < new.elements.count, nextShared < shared.count, shared[nextShared] != identity {
                    left += 1  // It comes later in the configuration, or came already.
                    continue
                }
                if done.contains(identity) { left += 1 }
            }
            if right < new.elements.count { try takeNew() }
        }
        return result
    }

    // MARK: Removal

    /// The object without these places. Lists, maps and objects that become empty become null.
    static func removing(_ places: FieldSet, from value: JSONValue, type: ObjectType) throws(ApplyError) -> JSONValue {
        var path = FieldPath()
        return try remove(places, value, .object(TypeReference(type)), &path)
    }

    private static func remove(
        _ places: FieldSet, _ value: JSONValue, _ kind: FieldKind, _ path: inout FieldPath
    ) throws(ApplyError) -> JSONValue {
        if places.isEmpty { return value }
        let shape = MergeKind(kind).resolved(value)
        switch (shape, value) {
        case (.list(let element, let keys), .array(let list)) where !list.isEmpty:
            var kept: [JSONValue] = []
            for (identity, value) in try ListElements(list, element, keys: keys, at: path).elements {
                let node = places[identity]
                if node?.isMember ?? false { continue }
                path.elements.append(identity)
                let rest = try remove(node?.children ?? FieldSet(), value, element, &path)
                // An element that stays is not without what tells it apart.
                if rest.isNull, case .key(let keys) = identity {
                    kept.append(.object(JSONObject(keys.map { ($0.name, $0.value) })))
                } else {
                    kept.append(rest)
                }
                path.elements.removeLast()
            }
            return kept.isEmpty ? .null : .array(kept)
        case (.object, .object(let object)) where !object.isEmpty, (.map, .object(let object)) where !object.isEmpty:
            var kept: [(String, JSONValue)] = []
            for (name, value) in object {
                let node = places[.field(name)]
                if node?.isMember ?? false { continue }
                path.elements.append(.field(name))
                let child = shape.member(name) ?? .json
                kept.append((name, try remove(node?.children ?? FieldSet(), value, child, &path)))
                path.elements.removeLast()
            }
            return kept.isEmpty ? .null : .object(JSONObject(kept))
        default: return value
        }
    }
}
