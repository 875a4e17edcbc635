// Sets and maps: what rules look keys up in. A map gives data or a verdict for its key.

/// The type of a set's key or of a map's data: one type, or several concatenated.
public struct ElementType: Sendable, Hashable {
    /// The parts; more than one is a concatenation, each part padded to four bytes.
    public var components: [DataType]
    /// The expressions whose types these are, for `typeof` declarations; some types, such as that of `numgen`, have no
    /// name and can be declared in no other way.
    public var expressions: [Expression]?

    public init(_ components: DataType...) { (self.components, expressions) = (components, nil) }
    public init(components: [DataType]) { (self.components, expressions) = (components, nil) }

    /// The type of the concatenation of `expressions`.
    public init(typeof expressions: Expression...) { self.init(typeof: expressions) }

    public init(typeof expressions: [Expression]) {
        components = expressions.map(\.type)
        self.expressions = expressions
    }

    /// Bytes of a key: exact for one part, each part padded to four for several.
    public var byteCount: Int {
        components.count == 1
            ? components[0].byteCount : components.reduce(0) { $0 + paddedByteCount($1.byteCount) }
    }

    /// The number that nft writes beside a set: six bits for each part.
    var number: UInt32 { components.reduce(0) { $0 << 6 | $1.rawValue } }

    /// The reverse of ``number``.
    init?(number: UInt32) {
        var parts: [DataType] = []
        var rest = number
        while rest != 0 {
            guard let part = DataType(rawValue: rest & 0x3f) else { return nil }
            parts.insert(part, at: 0)
            rest >>= 6
        }
        guard !parts.isEmpty else { return nil }
        self.init(components: parts)
    }
}

func paddedByteCount(_ count: Int) -> Int { (count + 3) & ~3 }

/// A named set or map and its elements.
public struct NamedSet: Sendable, Hashable {
    /// What a map gives for a key.
    public enum Value: Sendable, Hashable {
        case data(ElementType)
        case verdict
    }

    public struct Flags: OptionSet, Sendable, Hashable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        /// Belongs to the one rule that looks it up and goes with it. Found in dumps; cannot be made here.
        public static let anonymous = Flags(rawValue: 0x1)
        /// Elements never change while rules refer to the set.
        public static let constant = Flags(rawValue: 0x2)
        /// Elements may be ranges or prefixes.
        public static let interval = Flags(rawValue: 0x4)
        /// Elements may expire.
        public static let timeout = Flags(rawValue: 0x10)
        /// Rules add elements.
        public static let dynamic = Flags(rawValue: 0x20)
    }

    public var name: String
    public var key: ElementType
    /// Nil for a set, what it maps to for a map.
    public var value: Value?
    public var flags: Flags
    /// The most elements it may hold; nil is no limit.
    public var size: UInt32?
    public var comment: String?
    public var elements: [SetElement]

    public init(
        _ name: String, key: ElementType, value: Value? = nil, flags: Flags = [], size: UInt32? = nil,
        comment: String? = nil, elements: [SetElement] = []
    ) {
        (self.name, self.key, self.value, self.flags) = (name, key, value, flags)
        (self.size, self.comment, self.elements) = (size, comment, elements)
    }

    /// Whether both are declared alike, whatever their elements.
    public func isDeclared(like other: NamedSet) -> Bool {
        name == other.name && key == other.key && value == other.value && flags == other.flags && size == other.size
            && comment == other.comment
    }
}

/// An element of a set or map.
public struct SetElement: Sendable, Hashable {
    public enum Value: Sendable, Hashable {
        /// In the layout of ``ElementType``.
        case data([UInt8])
        case verdict(Verdict)
    }

    /// In the layout of ``ElementType``: network byte order for addresses and ports, host byte order for integers and
    /// marks.
    public var key: [UInt8]
    /// Of a map's element: what the key maps to.
    public var value: Value?
    /// In a set of intervals: this element begins the gap after an interval.
    public var isIntervalEnd: Bool
    /// At most 127 bytes.
    public var comment: String?

    public init(key: [UInt8], value: Value? = nil, isIntervalEnd: Bool = false, comment: String? = nil) {
        (self.key, self.value, self.isIntervalEnd, self.comment) = (key, value, isIntervalEnd, comment)
    }

    /// The element whose key is the concatenation of `key`.
    public init(_ key: Literal..., value: Value? = nil, comment: String? = nil) {
        self.init(key: Literal.concatenate(key), value: value, comment: comment)
    }
}

extension SetElement.Value {
    /// The concatenation of `parts`.
    public static func data(_ parts: Literal...) -> SetElement.Value { .data(Literal.concatenate(parts)) }
}
