/// One challenge of a WWW-Authenticate header (RFC 7235, section 2.1).
struct AuthChallenge: Hashable {
    /// Lower-case: `bearer`, `basic`.
    let scheme: String
    /// Names lower-case.
    var parameters: [String: String] = [:]

    /// All challenges of all headers, in order. What cannot be read ends the header it is in.
    static func parse(_ headers: [String]) -> [AuthChallenge] {
        var challenges: [AuthChallenge] = []
        for header in headers {
            var scanner = Scanner(rest: Substring(header))
            while let token = scanner.token() {
                if scanner.take("="), var last = challenges.popLast() {
                    last.parameters[token.lowercased()] = scanner.value()
                    challenges.append(last)
                } else {
                    challenges.append(AuthChallenge(scheme: token.lowercased()))
                }
            }
        }
        return challenges
    }

    private struct Scanner {
        var rest: Substring

        mutating func token() -> String? {
            rest = rest.drop { $0 == " " || $0 == "," || $0 == "\t" }
            let token = rest.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || "!#$%&'*+-.^_`|~".contains($0)) }
            rest = rest[token.endIndex...]
            return token.isEmpty ? nil : String(token)
        }

        mutating func take(_ character: Character) -> Bool {
            let trimmed = rest.drop { $0 == " " }
            guard trimmed.first == character else { return false }
            rest = trimmed.dropFirst()
            return true
        }

        mutating func value() -> String {
            rest = rest.drop { $0 == " " }
            guard rest.first == "\"" else {
                let value = rest.prefix { $0 != "," && $0 != " " }
                rest = rest[value.endIndex...]
                return String(value)
            }
            rest = rest.dropFirst()
            var value = ""
            while let character = rest.popFirst(), character != "\"" {
                if character == "\\", let escaped = rest.popFirst() {
                    value.append(escaped)
                } else {
                    value.append(character)
                }
            }
            return value
        }
    }
}
