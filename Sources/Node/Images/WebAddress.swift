/// An http or https URL as far as registries need it.
struct WebAddress: Sendable, Hashable, CustomStringConvertible {
    var isSecure: Bool
    /// Without brackets.
    var host: String
    var port: UInt16
    /// Starts with a slash, or is empty.
    var path: String
    /// What follows the `?`; nil without one.
    var query: String?

    init(isSecure: Bool, host: String, port: UInt16? = nil, path: String = "", query: String? = nil) {
        self.isSecure = isSecure
        self.host = host
        self.port = port ?? (isSecure ? 443 : 80)
        self.path = path
        self.query = query
    }

    /// nil for what is no absolute http or https URL, carries a user name, or holds characters that no URL may.
    init?(_ text: String) {
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else { return nil }
        var rest = Substring(text)
        if rest.lowercased().hasPrefix("https://") {
            isSecure = true
            rest = rest.dropFirst(8)
        } else if rest.lowercased().hasPrefix("http://") {
            isSecure = false
            rest = rest.dropFirst(7)
        } else {
            return nil
        }
        if let fragment = rest.firstIndex(of: "#") { rest = rest[..<fragment] }
        let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        guard let (host, port) = Self.authority(rest[..<end]) else { return nil }
        self.host = host
        self.port = port ?? (isSecure ? 443 : 80)
        rest = rest[end...]
        if let mark = rest.firstIndex(of: "?") {
            query = String(rest[rest.index(after: mark)...])
            rest = rest[..<mark]
        } else {
            query = nil
        }
        path = String(rest)
    }

    /// `host`, `host:port`, `[v6]`, `[v6]:port`
    static func authority(_ text: Substring) -> (host: String, port: UInt16?)? {
        guard !text.contains("@") else { return nil }
        if text.first == "[" {
            guard let bracket = text.firstIndex(of: "]") else { return nil }
            let host = String(text[text.index(after: text.startIndex)..<bracket])
            let rest = text[text.index(after: bracket)...]
            if rest.isEmpty { return (host, nil) }
            guard rest.first == ":", let port = UInt16(rest.dropFirst()) else { return nil }
            return (host, port)
        }
        guard let colon = text.lastIndex(of: ":") else { return text.isEmpty ? nil : (String(text), nil) }
        guard let port = UInt16(text[text.index(after: colon)...]), colon != text.startIndex else { return nil }
        return (String(text[..<colon]), port)
    }

    /// `host:port`, with brackets where needed.
    var authority: String { "\(bracketed):\(port)" }

    /// As a registry's host is written: without the port that the scheme implies.
    var registry: String { port == (isSecure ? 443 : 80) ? bracketed : authority }

    private var bracketed: String { host.contains(":") ? "[\(host)]" : host }

    /// Where the same credentials may go.
    func hasSameOrigin(as other: WebAddress) -> Bool {
        isSecure == other.isSecure && host.lowercased() == other.host.lowercased() && port == other.port
    }

    var description: String {
        "\(isSecure ? "https" : "http")://\(registry)\(path)\(query.map { "?\($0)" } ?? "")"
    }

    /// Where a Location header leads from here (RFC 3986, section 5, as far as servers use it).
    func following(_ location: String) -> WebAddress? {
        if let absolute = WebAddress(location) { return absolute }
        if location.contains("://") { return nil }
        if location.hasPrefix("//") { return WebAddress((isSecure ? "https:" : "http:") + location) }
        if location.hasPrefix("/") { return WebAddress(origin + location) }
        if location.hasPrefix("?") { return WebAddress(origin + path + location) }
        let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "/"
        return WebAddress(origin + folder + location)
    }

    private var origin: String { "\(isSecure ? "https" : "http")://\(registry)" }

    /// Loopback addresses and `localhost`, which Docker lets speak plain HTTP.
    var isLoopback: Bool { Self.isLoopback(host) }

    static func isLoopback(_ host: String) -> Bool {
        if host == "localhost" || host == "::1" { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    /// Text as part of a query (RFC 3986, section 2.1).
    static func encoded(_ text: String) -> String {
        var result = ""
        for byte in text.utf8 {
            let plain =
                (byte >= 48 && byte <= 57) || (byte >= 65 && byte <= 90) || (byte >= 97 && byte <= 122)
                || "-._~".utf8.contains(byte)
            let digits = String(byte, radix: 16, uppercase: true)
            result += plain ? String(UnicodeScalar(byte)) : "%\(digits.count == 1 ? "0" : "")\(digits)"
        }
        return result
    }
}
