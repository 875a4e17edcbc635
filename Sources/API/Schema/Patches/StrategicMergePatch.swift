// Strategic merge patch: a merge patch that knows which lists are merged, by which key, and takes directives. Behaviour
// and messages are those of apimachinery's util/strategicpatch; what it does is described in "Strategic Merge Patch"
// and "Preserve Order in Strategic Merge Patch" (kubernetes/community, sig-api-machinery).

import JSONTree

/// Merges by the table: `application/strategic-merge-patch+json`.
public enum StrategicMergePatch {
    /// The object with the patch applied.
    ///
    /// Directives: `$patch: replace|delete` in objects and list elements, `$retainKeys`, `$deleteFromPrimitiveList/FIELD`,
    /// `$setElementOrder/FIELD`. The result is still to be read as its type: what the patch brought is not checked.
    public static func apply(
        _ patch: JSONValue, to object: JSONValue, type: ObjectType
    ) throws(PatchError) -> JSONValue {
        guard case .object(let patch) = patch else {
            throw PatchError(.invalid, "error decoding patch: expected an object, got \(patch.kindName)")
        }
        return .object(try StrategicMerge.merge(patch, into: object.objectValue ?? JSONObject(), .type(type)))
    }
}

/// What a directive is called.
enum Directive {
    static let patch = "$patch"
    static let retainKeys = "$retainKeys"
    static let deleteFromPrimitiveList = "$deleteFromPrimitiveList"
    static let setElementOrder = "$setElementOrder"

    /// `FIELD` of `$directive/FIELD`; nil for a key without that directive.
    static func field(_ key: String, _ directive: String, _ bad: PatchError) throws(PatchError) -> String? {
        guard key.utf8.first == UInt8(ascii: "$"), key.hasPrefix(directive) else { return nil }
        let rest = key.dropFirst(directive.count)
        guard rest.first == "/", rest.count > 1 else { throw bad }
        return String(rest.dropFirst())
    }

    static func isDirective(_ key: String) -> Bool {
        key.utf8.first == UInt8(ascii: "$")
            && (key == patch || key == retainKeys || key.hasPrefix(deleteFromPrimitiveList + "/")
                || key.hasPrefix(setElementOrder + "/"))
    }
}

extension PatchError {
    static let badPrimitiveList = PatchError(.invalid, "invalid patch format of primitive list")
    static let badRetainKeys = PatchError(.invalid, "invalid patch format of retainKeys")
    static let badElementOrder = PatchError(.invalid, "invalid patch format of setElementOrder list")
    static let listOfLists = PatchError(.unprocessable, "lists of lists are not supported")

    static func noMergeKey(_ element: JSONValue, _ key: String) -> PatchError {
        PatchError(.unprocessable, "map: \(element.goText) does not contain declared merge key: \(key)")
    }

    static func notAnObject(_ element: JSONValue) -> PatchError {
        PatchError(.invalid, "expected a map[string]interface {}, but received a \(element.goKind)")
    }

    static func badPatchType(_ type: JSONValue, _ patch: JSONObject) -> PatchError {
        PatchError(.invalid, "unknown patch type: \(type.goText) in map: \(JSONValue.object(patch).goText)")
    }
}

/// What is known of the members of an object that is merged.
enum MergeShape {
    case type(ObjectType)
    /// A map, whose elements are of this kind.
    case map(FieldKind)
    /// Whatever JSON it is.
    case unknown

    init(_ kind: FieldKind?) {
        switch kind {
        case .object(let reference): self = .type(reference.type)
        case .map(let element, _): self = .map(element)
        default: self = .unknown
        }
    }

    /// The shape of the member `name`, and how it is patched.
    func member(_ name: String) -> (kind: FieldKind?, patch: PatchStrategy) {
        switch self {
        case .type(let type):
            let field = type.field(name)
            return (field?.kind, field?.patch ?? PatchStrategy())
        case .map(let element): return (element, PatchStrategy())
        case .unknown: return (nil, PatchStrategy())
        }
    }
}

enum StrategicMerge {
    static func merge(
        _ patch: JSONObject, into original: JSONObject, _ shape: MergeShape
    ) throws(PatchError) -> JSONObject {
        if let directive = patch[Directive.patch] {
            var rest = patch
            rest[Directive.patch] = nil
            switch directive {
            case "replace": return rest
            case "delete": return JSONObject()
            default: throw .badPatchType(directive, patch)
            }
        }
        var result = JSONObjectBuilder(try retained(patch, original))
        let ordered = try mergeOrdered(patch, into: &result, shape)
        for (key, value) in patch {
            if key == Directive.retainKeys || ordered.contains(key) { continue }
            if try Directive.field(key, Directive.setElementOrder, .badElementOrder) != nil { continue }
            if let field = try Directive.field(key, Directive.deleteFromPrimitiveList, .badPrimitiveList) {
                if case .array(let deletions) = value, case .array(let elements)? = result[field] {
                    result[field] = .array(try StrategicListMerge.delete(deletions, from: elements))
                }
                continue
            }
            try mergeMember(key, value, into: &result, shape)
        }
        return result.object
    }

    private static func mergeMember(
        _ key: String, _ value: JSONValue, into result: inout JSONObjectBuilder, _ shape: MergeShape
    ) throws(PatchError) {
        switch (value, result[key]) {
        case (.null, _): result[key] = nil
        case (.object(let patch), .object(let original)?):
            let (kind, strategy) = shape.member(key)
            result[key] =
                strategy.replaces ? value : .object(try merge(patch, into: original, MergeShape(kind)))
        case (.array(let patch), .array(let original)?):
            let (kind, strategy) = shape.member(key)
            guard strategy.mergesList else {
                result[key] = withoutDirectives(value)
                return
            }
            let merge = StrategicListMerge(kind: kind, strategy: strategy, name: key)
            result[key] = .array(try merge.merge(patch, into: original))
        default: result[key] = value[Directive.patch] == nil ? withoutDirectives(value) : result[key]
        }
    }

    /// The original without what `$retainKeys` does not name.
    private static func retained(_ patch: JSONObject, _ original: JSONObject) throws(PatchError) -> JSONObject {
        guard let retainKeys = patch[Directive.retainKeys] else { return original }
        guard case .array(let elements) = retainKeys else { throw .badRetainKeys }
        let kept = Set(elements)
        for (key, value) in patch where !value.isNull && !Directive.isDirective(key) {
            guard kept.contains(.string(key)) else { throw .badRetainKeys }
        }
        return JSONObject(original.filter { kept.contains(.string($0.key)) }.map { ($0.key, $0.value) })
    }

    /// Merges the lists that have an order, each with its patch, and gives the keys that are done.
    private static func mergeOrdered(
        _ patch: JSONObject, into result: inout JSONObjectBuilder, _ shape: MergeShape
    ) throws(PatchError) -> Set<String> {
        var done: Set<String> = []
        for (key, order) in patch {
            guard let field = try Directive.field(key, Directive.setElementOrder, .badElementOrder) else { continue }
            guard case .array(let order) = order else { throw .badElementOrder }
            let elements = try list(result[field])
            let changes = try list(patch[field])
            if elements == nil, changes == nil { continue }
            let (kind, strategy) = shape.member(field)
            if kind == nil, case .type(let type) = shape {
                let text = "unable to find api field in struct \(type.shortName) for the json field \"\(field)\""
                throw PatchError(.invalid, text)
            }
            let merge = StrategicListMerge(kind: kind, strategy: strategy, name: field)
            result[field] = .array(try merge.merge(changes, into: elements, order: order))
            done.insert(field)
        }
        return done
    }

    private static func list(_ value: JSONValue?) throws(PatchError) -> [JSONValue]? {
        switch value {
        case .array(let elements)?: return elements
        case nil, .null?: return nil
        case let other?: throw PatchError(.invalid, "expected a list, but received \(other.kindName)")
        }
    }

    /// What a patch brings where there was nothing, without nulls and directives: they mean nothing there. A member that
    /// is an object with `$patch` is left out as a whole, as apimachinery does.
    static func withoutDirectives(_ value: JSONValue) -> JSONValue {
        strip(value, keepsPatched: false)
    }

    /// The same for a new element of a list, in which what has `$patch` stays, without it.
    static func newElement(_ value: JSONValue) -> JSONValue { strip(value, keepsPatched: true) }

    private static func strip(_ value: JSONValue, keepsPatched: Bool) -> JSONValue {
        switch value {
        case .object(let object):
            let kept = object.filter { key, value in
                !value.isNull && !Directive.isDirective(key) && (keepsPatched || value[Directive.patch] == nil)
            }
            return .object(JSONObject(kept.map { ($0.key, strip($0.value, keepsPatched: keepsPatched)) }))
        case .array(let elements):
            let kept = keepsPatched ? elements : elements.filter { $0[Directive.patch] == nil }
            return .array(kept.map { strip($0, keepsPatched: keepsPatched) })
        default: return value
        }
    }
}
