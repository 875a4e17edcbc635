// JSON Merge Patch (RFC 7396).

import JSONTree

/// Merges objects into one another: `application/merge-patch+json`.
public enum JSONMergePatch {
    /// The target with the patch merged in. Members keep their place; new ones are appended.
    ///
    /// The API server takes only patches that are objects: see ``apply(_:to:)``.
    public static func merge(_ patch: JSONValue, into target: JSONValue) -> JSONValue {
        guard case .object(let members) = patch else { return patch }
        // Without an object to merge into, every null is taken out all the same.
        var result = JSONObjectBuilder(target.objectValue ?? JSONObject())
        for (key, value) in members {
            switch value {
            case .null: result[key] = nil
            case .object: result[key] = merge(value, into: result.take(key) ?? .null)
            default: result[key] = value
            }
        }
        return .object(result.object)
    }

    /// The same for a patch of an object.
    public static func apply(_ patch: JSONValue, to object: JSONValue) throws(PatchError) -> JSONValue {
        guard case .object = patch else {
            throw PatchError(.invalid, "error decoding patch: expected an object, got \(patch.kindName)")
        }
        return merge(patch, into: object)
    }
}
