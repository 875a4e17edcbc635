import Linux
import OCI

/// Why an image could not be had, kept or let go of. `description` is one line that says what and where.
public enum ImageError: Error, Sendable, Hashable, CustomStringConvertible {
    /// Not a name that a registry could know: the text, and what is wrong with it.
    case invalidReference(String, String)
    /// No endpoint answered: the registry's `host:port`, the URL that was tried last, why.
    case registryUnreachable(registry: String, endpoint: String, reason: String)
    /// The registry does not have it, or there is none of that name in the store.
    case notFound(String, where: String)
    /// The registry wants other credentials, or some at all.
    case unauthorized(String, registry: String, reason: String)
    /// The registry answered what no registry should.
    case registryFailed(endpoint: String, reason: String)
    /// The image has nothing for this host.
    case noSuchPlatform(String, Platform, available: String)
    /// Content that is not what its name promises.
    case wrongDigest(String, expected: Digest, got: Digest)
    /// Less, or more, than the manifest promised; bytes.
    case wrongSize(String, expected: Int64, got: Int64)
    /// A layer that would reach outside of its root, or that no honest builder makes: the layer, the path, why.
    case hostileLayer(Digest, path: String, reason: String)
    /// A layer that is no readable archive.
    case damagedLayer(Digest, reason: String)
    /// A layer beyond ``UnpackLimits``.
    case layerTooLarge(Digest, reason: String)
    /// A manifest, index or configuration that cannot be read.
    case malformed(String, reason: String)
    /// A configuration file that cannot be used: its path (and line), why.
    case configuration(String, reason: String)
    /// ENOSPC or EDQUOT: the path that could not be written.
    case diskFull(String)
    /// The store's directory was written by a newer Swiftlet.
    case newerFormat(String, found: Int64, supported: Int64)
    /// A file of the store that is not what this program wrote.
    case damagedStore(String, reason: String)
    /// What cannot be imported, and why.
    case notImportable(String, reason: String)
    /// The image is pinned by a pod.
    case inUse(String, owners: [String])
    /// A system call failed.
    case system(SystemError)
    /// The caller gave up (task cancellation).
    case cancelled

    public var description: String {
        switch self {
        case .invalidReference(let text, let why): "\"\(text)\" is no image name: \(why)"
        case .registryUnreachable(let registry, let endpoint, let reason):
            "registry \(registry) cannot be reached (\(endpoint)): \(reason)"
        case .notFound(let what, let place): "\(what): not found in \(place)"
        case .unauthorized(let what, let registry, let reason): "\(what): \(registry) denies access: \(reason)"
        case .registryFailed(let endpoint, let reason): "\(endpoint): \(reason)"
        case .noSuchPlatform(let what, let host, let available):
            "\(what): no image for \(host)\(available.isEmpty ? "" : ", only for \(available)")"
        case .wrongDigest(let what, let expected, let got): "\(what): wrong digest: expected \(expected), got \(got)"
        case .wrongSize(let what, let expected, let got):
            got < expected
                ? "\(what): truncated: expected \(expected) bytes, got \(got)"
                : "\(what): too long: expected \(expected) bytes, got \(got) or more"
        case .hostileLayer(let layer, let path, let reason):
            "layer \(layer): refused: \(printable(path)): \(reason)"
        case .damagedLayer(let layer, let reason): "layer \(layer): damaged: \(reason)"
        case .layerTooLarge(let layer, let reason): "layer \(layer): refused: \(reason)"
        case .malformed(let what, let reason): "\(what): \(reason)"
        case .configuration(let place, let reason): "\(place): \(reason)"
        case .diskFull(let path): "\(path): No space left on device"
        case .newerFormat(let path, let found, let supported):
            "\(path): written by a newer swiftlet (format \(found), this one knows \(supported))"
        case .damagedStore(let path, let reason): "\(path): damaged: \(reason)"
        case .notImportable(let path, let reason): "\(path): cannot be imported: \(reason)"
        case .inUse(let what, let owners): "\(what): in use by \(owners.sorted().joined(separator: ", "))"
        case .system(let error): error.description
        case .cancelled: "cancelled"
        }
    }
}

extension ImageError {
    /// What happened to `image`: the description, with the image's name in front where it does not stand in it already.
    public func description(of image: String) -> String {
        description.contains(image) ? description : "image \(image): \(description)"
    }

    /// A failed system call, told apart where a person would act differently.
    init(_ error: SystemError) {
        let full = error.errno == ENOSPC || error.errno == EDQUOT
        self = full ? .diskFull(error.subject.isEmpty ? error.call : error.subject) : .system(error)
    }
}

/// Runs what fails with a ``SystemError`` where ``ImageError`` is due.
func system<Result: ~Copyable>(_ body: () throws(SystemError) -> Result) throws(ImageError) -> Result {
    do { return try body() } catch { throw ImageError(error) }
}

/// Text from a stranger's archive with its control characters made harmless for a terminal, at most 200 characters.
func printable(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars.prefix(200) {
        let isControl = scalar.value < 0x20 || (scalar.value >= 0x7f && scalar.value < 0xa0)
        result += isControl ? "\\u{\(String(scalar.value, radix: 16))}" : String(scalar)
    }
    return result
}

extension ImageError {
    /// - Parameter what: the image or file that was worked on.
    init(any error: any Error, _ what: String) {
        switch error {
        case let error as ImageError: self = error
        case let error as SystemError: self = ImageError(error)
        case let error as FormatError: self = .malformed(what, reason: error.message)
        case is CancellationError: self = .cancelled
        default: self = .malformed(what, reason: printable("\(error)"))
        }
    }
}
