import JSONTree

/// An error object of the specification ("Error"): what a plugin prints instead of a result.
public struct CNIError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What sort of error it is. Codes below 100 are the specification's, the rest a plugin's own.
    public struct Code: RawRepresentable, Sendable, Hashable {
        public let rawValue: Int64
        public init(rawValue: Int64) { self.rawValue = rawValue }

        public static let incompatibleVersion = Code(rawValue: 1)
        /// The message names the field and its value.
        public static let unsupportedField = Code(rawValue: 2)
        /// The runtime need not clean up.
        public static let unknownContainer = Code(rawValue: 3)
        /// The message names the variables.
        public static let invalidEnvironment = Code(rawValue: 4)
        public static let inputOutput = Code(rawValue: 5)
        public static let undecodable = Code(rawValue: 6)
        public static let invalidConfiguration = Code(rawValue: 7)
        public static let tryAgainLater = Code(rawValue: 11)
        /// STATUS: no ADD can be served.
        public static let unavailable = Code(rawValue: 50)
        /// STATUS: no ADD can be served, and containers of the network may have limited connectivity.
        public static let unavailableAndLimited = Code(rawValue: 51)
        /// The kernel or the disk refused (swiftlet-cni's own).
        public static let failed = Code(rawValue: 100)
        /// CHECK found something missing or different (swiftlet-cni's own).
        public static let checkFailed = Code(rawValue: 101)
    }

    public var code: Code
    /// A short sentence.
    public var message: String
    /// The rest of it; may be empty.
    public var details: String

    public init(_ code: Code, _ message: String, details: String = "") {
        self.code = code
        self.message = message
        self.details = details
    }

    /// nil if `value` is no error object: `code` and `msg` are required.
    public init?(_ value: JSONValue) {
        guard let code = value["code"]?.integerValue, let message = value["msg"]?.stringValue else { return nil }
        self.init(Code(rawValue: code), message, details: value["details"]?.stringValue ?? "")
    }

    public func document(_ version: CNIVersion) -> JSONValue {
        var object: JSONObject = [
            "cniVersion": .string(version.rawValue), "code": .integer(code.rawValue), "msg": .string(message),
        ]
        if !details.isEmpty { object["details"] = .string(details) }
        return .object(object)
    }

    /// `incompatible CNI versions: config is 2.0.0 (code 1)`
    public var description: String {
        let text = details.isEmpty ? message : "\(message): \(details)"
        return "\(text) (code \(code.rawValue))"
    }
}
