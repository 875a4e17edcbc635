import Glibc
import JSONTree
import Linux
import OCI

/// The images of one node, in one directory, for any number of processes at once.
///
/// Everything on disk is complete or absent: what a killed pull leaves is never taken for an image, is resumed by the
/// next pull of the same thing, and goes with the next collection. A value of this type holds no state and no
/// descriptor; the methods that do not suspend do a few small file operations and may wait moments for another process.
public struct ImageStore: Sendable, Hashable {
    let layout: StoreLayout

    /// Opens, and makes where it is missing, the store in `directory` (`<data-dir>/images`).
    public init(directory: String) throws(ImageError) {
        layout = StoreLayout(root: directory)
        try layout.prepare()
    }

    /// The image that `reference` means here; nil when it was never pulled or imported. A reference with a digest is
    /// found under every name that brought that digest.
    public func resolve(_ reference: ImageReference) throws(ImageError) -> Image? {
        let file = layout.reference(reference)
        if let tree = try readJSON(file) {
            let record = try ReferenceRecord(tree, file: file)
            if record.reference == reference { return try image(record.image) }
        }
        guard let digest = reference.digest else { return nil }
        let known = try references().first {
            $0.reference.name == reference.name && ($0.target == digest || $0.image.manifest == digest)
        }
        guard let known else { return nil }
        return try image(known.image)
    }

    /// The image that a person means by a reference, or by the start (at least 4 digits) of an image's id or digest.
    public func find(_ text: String) throws(ImageError) -> Image? {
        if let reference = try? ImageReference(text), let image = try resolve(reference) { return image }
        let hex = text.hasPrefix("sha256:") ? String(text.dropFirst(7)) : text
        guard hex.utf8.count >= 4, hex.utf8.count <= 64 else { return nil }
        let matches = try list().filter { $0.id.hex.hasPrefix(hex) || $0.manifestDigest.hex.hasPrefix(hex) }
        guard matches.count <= 1 else { throw .invalidReference(text, "\(matches.count) images begin like that") }
        return matches.first
    }

    /// All images: those that have a name, and those that only a pod keeps. By name.
    public func list() throws(ImageError) -> [Image] {
        let records = try references()
        var found: [StoredImage] = []
        for record in records where !found.contains(record.image) { found.append(record.image) }
        for pin in try pins() where !found.contains(pin.image) { found.append(pin.image) }
        var images: [Image] = []
        for stored in found {
            if let image = try image(stored, records: records) { images.append(image) }
        }
        return images.sorted { left, right in
            (left.references.first?.description ?? "~", left.id) < (
                right.references.first?.description ?? "~", right.id
            )
        }
    }

    /// The bytes of an image's manifest and configuration, as the registry has them.
    public func documents(of image: Image) throws(ImageError) -> (manifest: [UInt8], config: [UInt8]) {
        (try blob(image.manifestDigest), try blob(image.id))
    }

    /// Keeps `image` from being collected until ``unpin(owner:)``, also when the processes that know of it are killed. An
    /// image that was removed meanwhile throws ``ImageError/notFound(_:where:)``.
    ///
    /// Waits for no disk (it is on every pod's way to its start): power loss may take a pin of the last seconds along,
    /// together with everything that ran.
    ///
    /// - Parameter owner: a pod's uid, or any name of 1 to 128 letters, digits, `.`, `_` and `-`. May pin several.
    public func pin(_ image: Image, owner: String) throws(ImageError) {
        try Self.checkOwner(owner)
        let stored = StoredImage(
            manifest: image.manifestDigest, config: image.id, layers: image.config.diffIDs)
        try exclusively { () throws(ImageError) in
            guard try self.image(stored) != nil else {
                throw .notFound(
                    image.references.first?.description ?? image.id.description, where: "the store any more")
            }
            let file = layout.pin(owner)
            var pinned = try readJSON(file)?["images"]?.arrayValue ?? []
            if pinned.contains(stored.tree) { return }
            pinned.append(stored.tree)
            try write(file, ["owner": .string(owner), "images": .array(pinned)], durable: false)
        }
    }

    /// Lets go of everything that `owner` pinned; an owner without pins is fine. Nothing is deleted: ``prune()`` does.
    public func unpin(owner: String) throws(ImageError) {
        try Self.checkOwner(owner)
        try exclusively { () throws(ImageError) in
            let file = layout.pin(owner)
            if unlink(file) < 0 && errno != ENOENT { throw ImageError(SystemError("unlink", file)) }
        }
    }

    /// Who pins something.
    public func owners() throws(ImageError) -> [String] {
        Array(Set(try pins().map(\.owner))).sorted()
    }

    private static func checkOwner(_ owner: String) throws(ImageError) {
        let known = owner.utf8.allSatisfy {
            ($0 >= 48 && $0 <= 57) || ($0 >= 65 && $0 <= 90) || ($0 >= 97 && $0 <= 122) || "._-".utf8.contains($0)
        }
        guard known, (1...128).contains(owner.utf8.count), owner.first != "." else {
            throw .invalidReference(owner, "an owner of pins is named by letters, digits, . _ and -")
        }
    }
}

extension ImageStore {
    /// Runs `body` under the store's lock, which is held for the moments that a change takes and never for a download.
    func exclusively<Result: ~Copyable>(_ body: () throws(ImageError) -> Result) throws(ImageError) -> Result {
        let lock = try system { () throws(SystemError) in try FileLock(layout.lock) }
        defer { withExtendedLifetime(lock) {} }
        return try body()
    }

    func write(_ file: String, _ tree: JSONValue, durable: Bool = true) throws(ImageError) {
        try system { () throws(SystemError) in
            try writeFileAtomically(file, tree.encoded(), mode: 0o600, durable: durable)
        }
    }

    func references() throws(ImageError) -> [ReferenceRecord] {
        var records: [ReferenceRecord] = []
        for name in try jsonFiles(layout.references) {
            let file = "\(layout.references)/\(name)"
            if let tree = try readJSON(file) { records.append(try ReferenceRecord(tree, file: file)) }
        }
        return records.sorted { $0.reference.description < $1.reference.description }
    }

    func pins() throws(ImageError) -> [(owner: String, image: StoredImage)] {
        var pins: [(owner: String, image: StoredImage)] = []
        for name in try jsonFiles(layout.pins) {
            let file = "\(layout.pins)/\(name)"
            guard let tree = try readJSON(file) else { continue }
            guard let owner = tree["owner"]?.stringValue, let images = tree["images"]?.arrayValue else {
                throw .damagedStore(file, reason: "no pin record")
            }
            for image in images { pins.append((owner, try StoredImage(image, file: file))) }
        }
        return pins
    }

    private func jsonFiles(_ directory: String) throws(ImageError) -> [String] {
        try system { () throws(SystemError) in try listDirectory(directory) }.filter { $0.hasSuffix(".json") }
    }

    /// A stored blob, verified once more.
    func blob(_ digest: Digest) throws(ImageError) -> [UInt8] {
        let path = layout.blob(digest)
        guard let bytes = try readIfPresent(path, limit: Bounds.configBytes) else {
            throw .damagedStore(path, reason: "missing")
        }
        try digest.verify(bytes, path)
        return bytes
    }

    /// The record of a layer that is here and complete.
    func layer(_ diffID: Digest) throws(ImageError) -> LayerRecord? {
        let file = layout.layerRecord(diffID)
        guard fileExists(layout.layer(diffID)), let tree = try readJSON(file) else { return nil }
        let record = try LayerRecord(tree, file: file)
        guard record.diffID == diffID else {
            throw .damagedStore(file, reason: "two layers begin alike: \(record.diffID) and \(diffID)")
        }
        return record
    }

    /// The image, if all of it is here; something that was deleted by hand makes it absent, and the next pull heals it.
    func image(_ stored: StoredImage, records: [ReferenceRecord]? = nil) throws(ImageError) -> Image? {
        var size: Int64 = 0
        for diffID in stored.layers {
            guard let record = try layer(diffID) else { return nil }
            size += record.size
        }
        guard fileExists(layout.blob(stored.manifest)), fileExists(layout.blob(stored.config)) else { return nil }
        let config: ImageConfig
        do {
            config = try ImageConfig(try blob(stored.config))
        } catch let error as FormatError {
            throw .damagedStore(layout.blob(stored.config), reason: error.message)
        } catch let error as ImageError {
            throw error
        } catch {
            throw .damagedStore(layout.blob(stored.config), reason: "\(error)")
        }
        let all = if let records { records } else { try references() }
        let records = all.filter { $0.image == stored }
        var digests: [String] = []
        for record in records {
            let digest = "\(record.reference.name)@\(record.target)"
            if !digests.contains(digest) { digests.append(digest) }
        }
        return Image(
            references: records.map(\.reference), id: stored.config, manifestDigest: stored.manifest,
            repositoryDigests: digests, config: config, layers: stored.stack.map { layout.layer($0) }, size: size,
            pulledAt: records.map(\.pulledAt).max() ?? "")
    }
}
