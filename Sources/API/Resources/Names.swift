// The syntax of names, labels and ports, with the words in which Kubernetes refuses them (apimachinery's
// pkg/util/validation). Each check gives what is wrong, one sentence each; nothing when all is well.

/// Checks of the strings that objects are named and labelled with.
public enum NameRules {
    /// An RFC 1123 label: containers, volumes, namespaces, host names.
    public static func dns1123Label(_ name: String) -> [String] {
        tooLong(name, 63)
            + (isLabel(name.utf8, letterFirst: false)
                ? []
                : [
                    regexError(
                        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must"
                            + " start and end with an alphanumeric character", "[a-z0-9]([-a-z0-9]*[a-z0-9])?",
                        ["my-name", "123-abc"])
                ])
    }

    /// An RFC 1123 subdomain, labels joined by dots: most objects' names.
    public static func dns1123Subdomain(_ name: String) -> [String] {
        let labels = name.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        return tooLong(name, 253)
            + (labels.allSatisfy { isLabel($0, letterFirst: false) }
                ? []
                : [
                    regexError(
                        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.',"
                            + " and must start and end with an alphanumeric character",
                        #"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"#, ["example.com"])
                ])
    }

    /// A label that starts with a letter: Services.
    public static func dns1035Label(_ name: String) -> [String] {
        tooLong(name, 63)
            + (isLabel(name.utf8, letterFirst: true)
                ? []
                : [
                    regexError(
                        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an"
                            + " alphabetic character, and end with an alphanumeric character",
                        "[a-z]([-a-z0-9]*[a-z0-9])?", ["my-name", "abc-123"])
                ])
    }

    /// The key of a label or an annotation, the name of a resource: `name` or `example.com/name`.
    public static func qualifiedName(_ name: String) -> [String] {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        let explanation = regexError(
            "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric"
                + " character", "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]", ["MyName", "my.name", "123-abc"])
        guard parts.count <= 2, let last = parts.last else {
            return [
                "a qualified name \(explanation) with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            ]
        }
        var faults: [String] = []
        if parts.count == 2 {
            faults +=
                parts[0].isEmpty
                ? ["prefix part must be non-empty"] : dns1123Subdomain(parts[0]).map { "prefix part \($0)" }
        }
        if last.isEmpty { faults.append("name part must be non-empty") }
        faults += tooLong(last, 63).map { "name part \($0)" }
        if !isLabelText(last.utf8) { faults.append("name part \(explanation)") }
        return faults
    }

    /// The value of a label.
    public static func labelValue(_ value: String) -> [String] {
        tooLong(value, 63)
            + (value.isEmpty || isLabelText(value.utf8)
                ? []
                : [
                    regexError(
                        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and"
                            + " must start and end with an alphanumeric character",
                        "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?", ["MyValue", "my_value", "12345"])
                ])
    }

    /// A port's name as IANA allows it (RFC 6335).
    public static func portName(_ name: String) -> [String] {
        let bytes = Array(name.utf8)
        var faults = tooLong(name, 15)
        if bytes.isEmpty || !bytes.allSatisfy({ isLower($0) || isDigit($0) || $0 == dash }) {
            faults.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
        }
        if !bytes.contains(where: isLower) { faults.append("must contain at least one letter (a-z)") }
        if zip(bytes, bytes.dropFirst()).contains(where: { $0 == dash && $1 == dash }) {
            faults.append("must not contain consecutive hyphens")
        }
        if bytes.first == dash || bytes.last == dash { faults.append("must not begin or end with a hyphen") }
        return faults
    }

    /// A port's number.
    public static func portNumber(_ number: Int64) -> [String] { range(number, 1...65535) }

    /// The name of an environment variable: printable ASCII without `=`.
    public static func environmentVariable(_ name: String) -> [String] {
        if name.isEmpty { return ["environment variable name must be non-empty"] }
        return name.utf8.allSatisfy { (0x20...0x7E).contains($0) && $0 != UInt8(ascii: "=") }
            ? []
            : ["a valid environment variable name must consist only of printable ASCII characters other than '='"]
    }

    /// A user's or group's number.
    public static func userID(_ number: Int64) -> [String] { range(number, 0...2_147_483_647) }

    /// A parameter below /proc/sys, its parts joined by `.` or `/`.
    public static func sysctl(_ name: String) -> [String] {
        let parts = name.utf8.split(omittingEmptySubsequences: false) {
            $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "/")
        }
        let valid = parts.allSatisfy { part in
            guard let first = part.first, let last = part.last else { return false }
            return isLowerOrDigit(first) && isLowerOrDigit(last)
                && part.allSatisfy { isLowerOrDigit($0) || $0 == dash || $0 == UInt8(ascii: "_") }
        }
        return valid && name.utf8.count <= 253
            ? []
            : [
                "must have at most 253 characters and match regex "
                    + #"^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"#
            ]
    }

    static func range(_ number: Int64, _ range: ClosedRange<Int64>) -> [String] {
        range.contains(number) ? [] : ["must be between \(range.lowerBound) and \(range.upperBound), inclusive"]
    }

    // MARK: Parts

    private static let dash = UInt8(ascii: "-")

    private static func tooLong(_ name: String, _ maximum: Int) -> [String] {
        name.utf8.count > maximum ? ["must be no more than \(maximum) characters"] : []
    }

    private static func regexError(_ message: String, _ regex: String, _ examples: [String]) -> String {
        let list = examples.map { "'\($0)', " }.joined(separator: " or ")
        return "\(message) (e.g. \(list)regex used for validation is '\(regex)')"
    }

    private static func isLower(_ byte: UInt8) -> Bool { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) }
    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
    private static func isLowerOrDigit(_ byte: UInt8) -> Bool { isLower(byte) || isDigit(byte) }
    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        isLowerOrDigit(byte) || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
    }

    private static func isLabel(_ bytes: some BidirectionalCollection<UInt8>, letterFirst: Bool) -> Bool {
        guard let first = bytes.first, let last = bytes.last else { return false }
        return (letterFirst ? isLower(first) : isLowerOrDigit(first)) && isLowerOrDigit(last)
            && bytes.allSatisfy { isLowerOrDigit($0) || $0 == dash }
    }

    private static func isLabelText(_ bytes: some BidirectionalCollection<UInt8>) -> Bool {
        guard let first = bytes.first, let last = bytes.last else { return false }
        return isAlphanumeric(first) && isAlphanumeric(last)
            && bytes.allSatisfy {
                isAlphanumeric($0) || $0 == dash || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".")
            }
    }
}
