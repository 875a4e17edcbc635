import Glibc
import Linux
import OCI

extension ImageStore {
    /// Takes a name away. The image itself goes when that was its last name and no pod pins it.
    public func remove(_ reference: ImageReference) throws(ImageError) -> Removal {
        try exclusively { () throws(ImageError) in
            let file = layout.reference(reference)
            guard fileExists(file) else { throw .notFound(reference.description, where: "the store") }
            try system { () throws(SystemError) in _ = try check(unlink(file), "unlink", file) }
        }
        var removal = try collect(partials: false)
        removal.references = [reference.description]
        return removal
    }

    /// Takes all names of an image away, as ``remove(_:)`` does each.
    public func remove(_ image: Image) throws(ImageError) -> Removal {
        let stored = StoredImage(manifest: image.manifestDigest, config: image.id, layers: image.config.diffIDs)
        let references = try exclusively { () throws(ImageError) in
            let records = try self.references().filter { $0.image == stored }
            try system { () throws(SystemError) in
                for record in records {
                    let file = layout.reference(record.reference)
                    if unlink(file) < 0 && errno != ENOENT { throw SystemError("unlink", file) }
                }
            }
            return records.map(\.reference.description)
        }
        var removal = try collect(partials: false)
        removal.references = references
        removal.keptBy = Array(Set(try pins().filter { $0.image == stored }.map(\.owner))).sorted()
        return removal
    }

    /// Removes what no name, no pin and no pull under way needs: images, layers, downloads that were cut off, and what
    /// dead processes left. Safe at any time, beside anything.
    public func prune() throws(ImageError) -> Removal {
        try sweep()
        return try collect(partials: true)
    }

    /// What the store takes.
    public func usage() throws(ImageError) -> DiskUsage {
        var layerCount = 0
        var layerBytes: Int64 = 0
        for name in try system({ () throws(SystemError) in try listDirectory(layout.layers) }) {
            guard name.hasSuffix(".json"), let tree = try readJSON("\(layout.layers)/\(name)") else { continue }
            layerCount += 1
            layerBytes += try LayerRecord(tree, file: name).size
        }
        return DiskUsage(
            images: try list().count, layers: layerCount, layerBytes: layerBytes,
            blobBytes: try bytes(in: "\(layout.blobs)/sha256") + bytes(in: "\(layout.blobs)/sha512"),
            partialBytes: try bytes(in: layout.partials))
    }

    private func bytes(in directory: String) throws(ImageError) -> Int64 {
        var total: Int64 = 0
        for name in try system({ () throws(SystemError) in try listDirectory(directory) }) {
            var status = stat()
            if lstat("\(directory)/\(name)", &status) == 0 { total += Int64(status.st_size) }
        }
        return total
    }

    /// The collection proper. Under the lock only names change; the files themselves are deleted after it.
    private func collect(partials: Bool) throws(ImageError) -> Removal {
        let trash = try Transaction(self)
        let removal = try exclusively { () throws(ImageError) in
            // A record that cannot be read stops the collection: nobody knows what it keeps.
            let kept = try references().map(\.image) + pins().map(\.image) + claims()
            var removal = Removal()
            try collectLayers(keeping: kept, into: trash.directory, &removal)
            try collectBlobs(keeping: kept, &removal)
            for directory in [layout.references, layout.pins] { try removeTemporaries(directory) }
            return removal
        }
        if partials { try collectPartials() }
        try trash.end()
        return removal
    }

    private func collectLayers(
        keeping kept: [StoredImage], into trash: String, _ removal: inout Removal
    ) throws(ImageError) {
        let names = Set(kept.flatMap(\.layers).map(StoreLayout.layerName))
        for name in try system({ () throws(SystemError) in try listDirectory(layout.layers) }) {
            let path = "\(layout.layers)/\(name)"
            guard name.hasSuffix(".json") || name.contains(".tmp-") else {
                if names.contains(name) { continue }
                let record = "\(path).json"
                if let tree = try readJSON(record) {
                    removal.layers += 1
                    removal.bytes += try LayerRecord(tree, file: record).size
                }
                // The record first: from then on the directory counts as absent.
                try system { () throws(SystemError) in
                    if unlink(record) < 0 && errno != ENOENT { throw SystemError("unlink", record) }
                    try check(rename(path, "\(trash)/\(name)"), "rename", path)
                }
                continue
            }
            if names.contains(String(name.prefix { $0 != "." })) && name.hasSuffix(".json") { continue }
            unlink(path)
        }
    }

    private func collectBlobs(keeping kept: [StoredImage], _ removal: inout Removal) throws(ImageError) {
        let digests = Set(kept.flatMap { [$0.manifest, $0.config] })
        let manifests = Set(try manifestsOnDisk())
        for algorithm in [Digest.Algorithm.sha256, .sha512] {
            let directory = "\(layout.blobs)/\(algorithm.rawValue)"
            for name in try system({ () throws(SystemError) in try listDirectory(directory) }) {
                let digest = Digest(algorithm: algorithm, hex: name)
                if let digest, digests.contains(digest) { continue }
                var status = stat()
                if lstat("\(directory)/\(name)", &status) == 0 { removal.bytes += Int64(status.st_size) }
                if let digest, manifests.contains(digest) { removal.images.append(digest) }
                unlink("\(directory)/\(name)")
            }
        }
    }

    /// The blobs that are manifests, so that a removal can say which images went.
    private func manifestsOnDisk() throws(ImageError) -> [Digest] {
        var manifests: [Digest] = []
        for name in try system({ () throws(SystemError) in try listDirectory("\(layout.blobs)/sha256") }) {
            guard let digest = Digest(algorithm: .sha256, hex: name), let bytes = try? blob(digest) else { continue }
            if (try? Manifest(bytes)) != nil { manifests.append(digest) }
        }
        return manifests
    }

    private func removeTemporaries(_ directory: String) throws(ImageError) {
        for name in try system({ () throws(SystemError) in try listDirectory(directory) }) where name.contains(".tmp-")
        {
            unlink("\(directory)/\(name)")
        }
    }

    /// Downloads that nobody is working on, and the files of locks that nobody holds.
    private func collectPartials() throws(ImageError) {
        try system { () throws(SystemError) in
            for name in try listDirectory(layout.partials) {
                let digest = name.split(separator: "-").last ?? ""
                guard let lock = try WorkLock.take("\(layout.locks)/blob-\(digest.prefix(32))", wait: false) else {
                    continue
                }
                unlink("\(layout.partials)/\(name)")
                withExtendedLifetime(lock) {}
            }
            for name in try listDirectory(layout.locks) {
                try WorkLock.take("\(layout.locks)/\(name)", wait: false)?.removeFile()
            }
        }
    }
}
