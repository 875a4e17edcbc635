import Glibc
import JSONTree
import Linux
import OCI

/// Where things are in the store's directory.
///
/// ```
/// format.json               {"format": 1}
/// lock                      flock, held for moments: who changes refs, pins or claims, or collects garbage
/// blobs/sha256/<hex>        manifests and configurations, complete and verified
/// layers/<id>/              unpacked layers; <id> is the start of the diffID, because overlayfs' options are short
/// layers/<id>.json          the full diffID and the size; the directory counts only together with this file
/// refs/<hash>.json          a name and the image it means
/// pins/<owner>.json         the images that an owner (a pod) uses
/// partial/<algorithm>-<hex> downloads under way or cut off; never read as anything else
/// tmp/<transaction>/        a pull or import under way: its lock, its claims, what it unpacks
/// locks/                    flocks: who downloads or unpacks what
/// ```
struct StoreLayout: Sendable, Hashable {
    static let format: Int64 = 1

    let root: String

    var lock: String { "\(root)/lock" }
    var references: String { "\(root)/refs" }
    var pins: String { "\(root)/pins" }
    var layers: String { "\(root)/layers" }
    var partials: String { "\(root)/partial" }
    var transactions: String { "\(root)/tmp" }
    var locks: String { "\(root)/locks" }
    var blobs: String { "\(root)/blobs" }

    func blob(_ digest: Digest) -> String { "\(blobs)/\(digest.algorithm.rawValue)/\(digest.hex)" }
    func partial(_ digest: Digest) -> String { "\(partials)/\(digest.algorithm.rawValue)-\(digest.hex)" }
    func layer(_ diffID: Digest) -> String { "\(layers)/\(Self.layerName(diffID))" }
    func layerRecord(_ diffID: Digest) -> String { "\(layer(diffID)).json" }
    func pin(_ owner: String) -> String { "\(pins)/\(owner).json" }
    func workLock(_ kind: String, _ digest: Digest) -> String { "\(locks)/\(kind)-\(digest.hex.prefix(32))" }

    /// The key must be a file name of bounded length whatever the reference is.
    func reference(_ reference: ImageReference) -> String {
        let key = Digest.of(Array(reference.description.utf8))?.hex.prefix(32) ?? ""
        return "\(references)/\(key).json"
    }

    /// 64 bits of the diffID. Two layers with one name are told apart by their record and refused, not mixed up.
    static func layerName(_ diffID: Digest) -> String { String(diffID.hex.prefix(16)) }

    /// Makes what is missing and checks the format.
    func prepare() throws(ImageError) {
        try system { () throws(SystemError) in
            try makeDirectories(root, mode: 0o700)
            for directory in [references, pins, layers, partials, transactions, locks] {
                try makeDirectories(directory, mode: 0o700)
            }
            for algorithm in [Digest.Algorithm.sha256, .sha512] {
                try makeDirectories("\(blobs)/\(algorithm.rawValue)", mode: 0o700)
            }
        }
        let file = "\(root)/format.json"
        if let tree = try readJSON(file) {
            guard let found = tree["format"]?.integerValue else {
                throw .damagedStore(file, reason: "no format number")
            }
            guard found <= Self.format else { throw .newerFormat(root, found: found, supported: Self.format) }
        } else {
            let tree: JSONValue = ["format": .integer(Self.format)]
            try system { () throws(SystemError) in
                try writeFileAtomically(file, tree.encoded(), mode: 0o600, durable: true)
            }
        }
    }
}

/// A file of the store as JSON; nil when it is absent.
func readJSON(_ path: String) throws(ImageError) -> JSONValue? {
    guard let bytes = try readIfPresent(path, limit: 16 << 20) else { return nil }
    do { return try JSONValue.parse(bytes) } catch { throw .damagedStore(path, reason: "\(error)") }
}

/// A file's content; nil when it is absent.
func readIfPresent(_ path: String, limit: Int) throws(ImageError) -> [UInt8]? {
    do {
        return try readFile(path, limit: limit)
    } catch {
        if error.errno == ENOENT { return nil }
        throw ImageError(error)
    }
}

/// The time now as RFC 3339 in UTC, to the second.
func timestamp() -> String {
    var now = time(nil)
    var parts = tm()
    gmtime_r(&now, &parts)
    var buffer = [CChar](repeating: 0, count: 32)
    strftime(&buffer, buffer.count, "%Y-%m-%dT%H:%M:%SZ", &parts)
    return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
