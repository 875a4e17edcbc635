// An object's members in the order they were written.

/// A JSON object. Members keep their order; a key occurs once.
///
/// Look-ups walk the members: objects of Kubernetes have a few, and walking them beats hashing.
public struct JSONObject: Sendable {
    /// What iterating gives: `for (key, value) in object`.
    public typealias Member = (key: String, value: JSONValue)

    /// A member as it is stored: a struct, because arrays of tuples are slower to make and free.
    struct Entry: Sendable {
        let key: String
        var value: JSONValue
    }

    /// No key occurs twice.
    private(set) var entries: [Entry]

    public init() { entries = [] }

    /// For callers that checked that no key occurs twice.
    init(unchecked entries: [Entry]) { self.entries = entries }

    /// An object with these members in this order; where a key comes twice, its last value counts.
    public init(_ members: some Sequence<(String, JSONValue)>) {
        var builder = JSONObjectBuilder()
        for (key, value) in members { builder[key] = value }
        self = builder.object
    }

    public var keys: [String] { entries.map(\.key) }

    /// The members in order: the object itself, which is their collection.
    public var members: JSONObject { self }

    /// The member `key`. Setting keeps the member's place, or appends it; setting nil removes it.
    public subscript(key: String) -> JSONValue? {
        get {
            for entry in entries where sameBytes(entry.key, key) { return entry.value }
            return nil
        }
        set {
            let index = entries.firstIndex { sameBytes($0.key, key) }
            switch (index, newValue) {
            case (let index?, let value?): entries[index].value = value
            case (let index?, nil): entries.remove(at: index)
            case (nil, let value?): entries.append(Entry(key: key, value: value))
            case (nil, nil): break
            }
        }
    }
}

extension JSONObject {
    /// Sets the value of the member at `position`, which must be one of the object; nil removes the member.
    public mutating func setValue(_ value: JSONValue?, at position: Int) {
        if let value { entries[position].value = value } else { entries.remove(at: position) }
    }

    /// The place of the member `key`.
    public func index(of key: String) -> Int? { entries.firstIndex { sameBytes($0.key, key) } }
}

extension JSONObject: RandomAccessCollection {
    public var startIndex: Int { 0 }
    public var endIndex: Int { entries.count }
    public subscript(position: Int) -> Member { (entries[position].key, entries[position].value) }
}

extension JSONObject: Hashable {
    /// Objects are equal when they have the same members, in whatever order.
    public static func == (left: JSONObject, right: JSONObject) -> Bool {
        guard left.count == right.count else { return false }
        for (mine, theirs) in zip(left.entries, right.entries) {
            if sameBytes(mine.key, theirs.key) {
                guard mine.value == theirs.value else { return false }
            } else {
                return left.hasSameMembers(as: right)
            }
        }
        return true
    }

    private func hasSameMembers(as other: JSONObject) -> Bool {
        let theirs = Dictionary(other.entries.map { (JSONKey($0.key), $0.value) }) { first, _ in first }
        return entries.allSatisfy { theirs[JSONKey($0.key)] == $0.value }
    }

    public func hash(into hasher: inout Hasher) {
        // Order must not matter, so the members' hashes are summed.
        var sum = 0
        for entry in entries {
            var member = Hasher()
            member.combine(entry.key)
            member.combine(entry.value)
            sum &+= member.finalize()
        }
        hasher.combine(sum)
    }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
    /// Where a key comes twice, its last value counts.
    public init(dictionaryLiteral members: (String, JSONValue)...) {
        self.init(members)
    }
}

/// A key that is equal when its bytes are.
struct JSONKey: Hashable {
    let text: String
    init(_ text: String) { self.text = text }
    static func == (left: JSONKey, right: JSONKey) -> Bool { left.text.utf8.elementsEqual(right.text.utf8) }

    func hash(into hasher: inout Hasher) {
        var text = text
        text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }
}
