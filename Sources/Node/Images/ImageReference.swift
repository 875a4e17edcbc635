// Images: from a registry, an archive or a directory to verified, unpacked layers that overlayfs can stack; what is on
// disk, who uses it, and what may go. This file: the names of images.
import OCI

/// The name of an image as Docker and Kubernetes write it: `nginx`, `quay.io/org/app:1.2`, `reg:5000/app@sha256:…`.
///
/// The grammar is distribution's (github.com/distribution/reference); short names mean Docker Hub, as everywhere.
public struct ImageReference: Sendable, Hashable, CustomStringConvertible {
    /// Host and port of the registry: `docker.io`, `localhost:5000`, `[::1]:5000`.
    public let registry: String
    /// The path in the registry: `library/nginx`.
    public let repository: String
    /// nil only when there is a digest.
    public let tag: String?
    /// Given, it alone says what the image is; the tag is decoration then.
    public let digest: Digest?

    /// The registry that short names mean.
    public static let defaultRegistry = "docker.io"

    /// Parses what a person wrote. ``ImageError/invalidReference(_:_:)`` says what is wrong with it.
    public init(_ text: String) throws(ImageError) {
        func invalid(_ why: String) -> ImageError { .invalidReference(String(text.prefix(300)), why) }
        guard !text.isEmpty else { throw invalid("it is empty") }
        var rest = Substring(text)
        if let at = rest.firstIndex(of: "@") {
            guard let digest = Digest(validating: String(rest[rest.index(after: at)...])) else {
                throw invalid("what follows the @ is no sha256 or sha512 digest")
            }
            self.digest = digest
            rest = rest[..<at]
        } else {
            digest = nil
        }
        // A colon behind the last slash starts the tag; one before it belongs to a port.
        let lastPart = rest.lastIndex(of: "/").map { rest[rest.index(after: $0)...] } ?? rest
        var tag: String?
        if let colon = lastPart.lastIndex(of: ":") {
            tag = String(rest[rest.index(after: colon)...])
            rest = rest[..<colon]
        }
        if let tag, !Self.isTag(tag) {
            throw invalid("\"\(tag.prefix(130))\" is no tag (letters, digits, _ . -, at most 128)")
        }
        (registry, repository) = Self.split(rest)
        guard Self.isRegistry(registry) else { throw invalid("\"\(registry)\" is no host name") }
        for part in repository.split(separator: "/", omittingEmptySubsequences: false) where !Self.isPathPart(part) {
            let upper = part.contains { $0.isUppercase }
            throw invalid(
                upper ? "repository names are lower-case" : "\"\(part)\" is no part of a repository's name")
        }
        guard registry.utf8.count + 1 + repository.utf8.count <= 255 else {
            throw invalid("longer than 255 characters")
        }
        if tag == nil, digest == nil, text.utf8.count == 64, Digest(algorithm: .sha256, hex: text) != nil {
            throw invalid("64 hexadecimal digits are an image's id, not its name")
        }
        self.tag = tag ?? (digest == nil ? "latest" : nil)
    }

    init(registry: String, repository: String, tag: String?, digest: Digest?) {
        self.registry = registry
        self.repository = repository
        self.tag = tag
        self.digest = digest
    }

    /// `docker.io/library/nginx`
    public var name: String { "\(registry)/\(repository)" }

    /// The full form, which is also the key in the store: `docker.io/library/nginx:latest`.
    public var description: String {
        name + (tag.map { ":\($0)" } ?? "") + (digest.map { "@\($0)" } ?? "")
    }

    /// What stands in the registry's URL behind `/manifests/`.
    public var target: String { digest?.description ?? tag ?? "latest" }

    /// Docker's rule: the first part is a registry when it could not be a user's name of Docker Hub.
    private static func split(_ name: Substring) -> (registry: String, repository: String) {
        var registry = defaultRegistry
        var repository = String(name)
        if let slash = name.firstIndex(of: "/") {
            let first = name[..<slash]
            if first.contains(where: { $0 == "." || $0 == ":" || $0.isUppercase }) || first == "localhost" {
                registry = String(first)
                repository = String(name[name.index(after: slash)...])
            }
        }
        if registry == "index.docker.io" { registry = defaultRegistry }
        if registry == defaultRegistry, !repository.contains("/") { repository = "library/\(repository)" }
        return (registry, repository)
    }

    private static func isTag(_ tag: String) -> Bool {
        guard let first = tag.utf8.first, isAlphanumeric(first) || first == UInt8(ascii: "_") else { return false }
        return tag.utf8.count <= 128
            && tag.utf8.allSatisfy { isAlphanumeric($0) || "_.-".utf8.contains($0) }
    }

    private static func isRegistry(_ text: String) -> Bool {
        var host = Substring(text)
        if let bracket = host.lastIndex(of: "]") {
            guard host.first == "[" else { return false }
            let address = host[host.index(after: host.startIndex)..<bracket]
            let rest = host[host.index(after: bracket)...]
            let isAddress = address.utf8.allSatisfy { isHex($0) || $0 == UInt8(ascii: ":") } && address.contains(":")
            return isAddress && (rest.isEmpty || (rest.first == ":" && isPort(rest.dropFirst())))
        }
        if let colon = host.lastIndex(of: ":") {
            guard isPort(host[host.index(after: colon)...]) else { return false }
            host = host[..<colon]
        }
        return host.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { part in
            guard let first = part.utf8.first, let last = part.utf8.last else { return false }
            return isAlphanumeric(first) && isAlphanumeric(last)
                && part.utf8.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") }
        }
    }

    private static func isPort(_ text: Substring) -> Bool {
        text.utf8.allSatisfy { $0 >= 48 && $0 <= 57 } && (UInt16(text) ?? 0) > 0
    }

    /// Lower-case letters and digits, joined by `.`, `_`, `__` or any number of `-`.
    private static func isPathPart(_ part: Substring) -> Bool {
        func isWord(_ byte: UInt8) -> Bool { isAlphanumeric(byte) && !(byte >= 65 && byte <= 90) }
        guard let first = part.utf8.first, let last = part.utf8.last, isWord(first), isWord(last) else { return false }
        var separator: [UInt8] = []
        for byte in part.utf8 {
            if isWord(byte) {
                separator = []
                continue
            }
            separator.append(byte)
            let known = separator.allSatisfy { $0 == UInt8(ascii: "-") } || [[46], [95], [95, 95]].contains(separator)
            if !known { return false }
        }
        return true
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (byte >= 48 && byte <= 57) || (byte >= 65 && byte <= 90) || (byte >= 97 && byte <= 122)
    }

    private static func isHex(_ byte: UInt8) -> Bool {
        (byte >= 48 && byte <= 57) || (byte >= 65 && byte <= 70) || (byte >= 97 && byte <= 102)
    }
}
