// Objects with many members, made or changed member by member: a walk for each would be quadratic.

/// The members of an object on their way, found in constant time once they are many.
public struct JSONObjectBuilder: Sendable {
    private var keys: [String] = []
    /// nil where a member was removed.
    private var values: [JSONValue?] = []
    /// Where the keys are, once they are many.
    private var places: [JSONKey: Int]?

    public init() {}

    /// Starts with the members of `object`.
    public init(_ object: JSONObject) {
        keys = object.entries.map(\.key)
        values = object.entries.map(\.value)
        notePlaces()
    }

    /// The member `key`. Setting keeps the member's place, or appends it; setting nil removes it.
    public subscript(key: String) -> JSONValue? {
        get { place(of: key).flatMap { values[$0] } }
        set {
            if let place = place(of: key) {
                values[place] = newValue
            } else if let newValue {
                keys.append(key)
                values.append(newValue)
                if places == nil { notePlaces() } else { places?[JSONKey(key)] = keys.count - 1 }
            }
        }
    }

    /// The member `key`, taken out so that it can be changed without being copied. Until it is set again, it is gone.
    public mutating func take(_ key: String) -> JSONValue? {
        guard let place = place(of: key) else { return nil }
        defer { values[place] = nil }
        return values[place]
    }

    /// The object with the members in their order.
    public var object: JSONObject {
        var entries: [JSONObject.Entry] = []
        entries.reserveCapacity(keys.count)
        for (key, value) in zip(keys, values) {
            if let value { entries.append(JSONObject.Entry(key: key, value: value)) }
        }
        return JSONObject(unchecked: entries)
    }

    private func place(of key: String) -> Int? {
        if let places { return places[JSONKey(key)] }
        return keys.firstIndex { sameBytes($0, key) }
    }

    private mutating func notePlaces() {
        guard keys.count >= 24 else { return }
        places = Dictionary(keys.enumerated().map { (JSONKey($0.element), $0.offset) }) { first, _ in first }
    }
}
