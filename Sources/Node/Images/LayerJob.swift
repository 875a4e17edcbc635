import CLinux
import Glibc
import Linux
import OCI

/// Brings one layer into the store: waits for whoever else does, downloads, verifies, unpacks, moves it into place.
actor LayerJob: OwnThreadActor {
    /// Where the layer's blob comes from.
    enum Source: Sendable {
        case registry(RegistryRepository)
        /// A file of an import, not verified yet, below a directory.
        case file(DirectoryHandle, path: String)
    }

    nonisolated let loop: EventLoop
    private let transaction: Transaction
    private let layout: StoreLayout
    private let descriptor: Descriptor
    private let diffID: Digest
    private let limits: UnpackLimits
    private let report: @Sendable (PullProgress.Phase, Int64) -> Void

    init(
        _ transaction: Transaction, descriptor: Descriptor, diffID: Digest, limits: UnpackLimits,
        report: @escaping @Sendable (PullProgress.Phase, Int64) -> Void
    ) throws(ImageError) {
        loop = try system { () throws(SystemError) in try EventLoop(name: "layer") }
        self.transaction = transaction
        layout = transaction.store.layout
        self.descriptor = descriptor
        self.diffID = diffID
        self.limits = limits
        self.report = report
    }

    func run(_ source: Source) async throws {
        let lock = try take(layout.workLock("layer", diffID))
        defer { withExtendedLifetime(lock) {} }
        if try transaction.store.layer(diffID) != nil {
            report(.present, descriptor.size)
            return
        }
        switch source {
        case .registry(let repository):
            let blobLock = try take(layout.workLock("blob", descriptor.digest))
            defer { withExtendedLifetime(blobLock) {} }
            let partial = layout.partial(descriptor.digest)
            let download = BlobDownload(repository: repository, descriptor: descriptor, path: partial)
            do {
                try await download.run { report(.downloading, $0) }
                let file = try OwnedDescriptor(opening: partial, flags: O_RDONLY)
                try unpack(file.number, verifying: false)
            } catch {
                if !ImageError(any: error, "").leavesUsefulDownload { unlink(partial) }
                throw error
            }
            try check(unlink(partial), "unlink", partial)
        case .file(let directory, let path):
            // O_NONBLOCK: a FIFO in a stranger's directory must not hold us up.
            let opened = cl_openat2(
                directory.number, path, UInt64(O_RDONLY | O_CLOEXEC | O_NONBLOCK), 0, Resolve.inRoot.rawValue)
            let file = OwnedDescriptor(owning: try check(opened, "openat2", path))
            var status = stat()
            try check(fstat(file.number, &status), "fstat", path)
            guard status.st_mode & S_IFMT == S_IFREG else {
                throw ImageError.damagedLayer(descriptor.digest, reason: "\(printable(path)) is no file")
            }
            try unpack(file.number, verifying: true)
        }
        report(.done, descriptor.size)
    }

    private func take(_ path: String) throws -> WorkLock? {
        if let lock = try WorkLock.take(path, wait: false) { return lock }
        report(.waiting, 0)
        return try WorkLock.take(path, wait: true)
    }

    /// Unpacks into the transaction and moves the result into place, when all of it is on disk.
    private func unpack(_ file: Int32, verifying: Bool) throws {
        let temporary = "\(transaction.directory)/\(StoreLayout.layerName(diffID))"
        try check(mkdir(temporary, 0o755), "mkdir", temporary)
        // The mode of a layer's root that the archive does not list, whatever the umask is.
        try check(chmod(temporary, 0o755), "chmod", temporary)
        let totals: LayerUnpacker.Totals
        do {
            totals = try unpackStream(file, verifying: verifying, into: temporary)
        } catch {
            try? removeTree(temporary)
            throw error
        }
        let record = LayerRecord(diffID: diffID, size: totals.size, entries: Int64(totals.entries))
        let final = layout.layer(diffID)
        try transaction.store.exclusively { () throws(ImageError) in
            try transaction.store.write(layout.layerRecord(diffID), record.tree)
            try system { () throws(SystemError) in
                if rename(temporary, final) == 0 { return }
                guard errno == ENOTEMPTY || errno == EEXIST else { throw SystemError("rename", final) }
                // A directory without a record: what a collection was cut off from moving away.
                try check(rename(final, "\(temporary).old"), "rename", final)
                try check(rename(temporary, final), "rename", final)
            }
        }
        let layers = try OwnedDescriptor(opening: layout.layers, flags: O_RDONLY | O_DIRECTORY)
        try check(fsync(layers.number), "fsync", layout.layers)
    }

    private func unpackStream(
        _ file: Int32, verifying: Bool, into directory: String
    ) throws -> LayerUnpacker.Totals {
        do {
            let stream = try DecompressedStream(
                file: file, blobSize: descriptor.size, inputAlgorithm: verifying ? descriptor.digest.algorithm : nil,
                outputAlgorithm: diffID.algorithm, limits: limits, advance: { [report] in report(.unpacking, $0) })
            let root = try OwnedDescriptor(opening: directory, flags: O_RDONLY | O_DIRECTORY)
            let unpacker = try LayerUnpacker(
                root: root, place: layout.layer(diffID), options: .init(isLayer: true, limits: limits))
            try unpacker.unpack(stream)
            if verifying, let got = stream.inputDigest, got != descriptor.digest {
                throw ImageError.wrongDigest("layer", expected: descriptor.digest, got: got)
            }
            guard let got = stream.outputDigest, got == diffID else {
                throw ImageError.wrongDigest(
                    "unpacked layer \(descriptor.digest)", expected: diffID, got: stream.outputDigest ?? diffID)
            }
            return unpacker.totals
        } catch let refusal as LayerUnpacker.Refusal {
            throw ImageError(refusal, layer: descriptor.digest)
        } catch let failure as ArchiveFailure {
            throw ImageError(.archive(failure), layer: descriptor.digest)
        }
    }
}

extension ImageError {
    init(_ refusal: LayerUnpacker.Refusal, layer: Digest) {
        switch refusal {
        case .hostile(let path, let reason): self = .hostileLayer(layer, path: path, reason: reason)
        case .archive(.damaged(let reason)): self = .damagedLayer(layer, reason: reason)
        case .archive(.tooLarge(let reason)): self = .layerTooLarge(layer, reason: reason)
        case .archive(.system(let error)): self = ImageError(error)
        case .archive(.cancelled): self = .cancelled
        }
    }

    /// Whether a later pull can go on with what was downloaded: not when the blob itself is no good, nor on a full disk,
    /// where it would be in the way of everybody.
    var leavesUsefulDownload: Bool {
        switch self {
        case .wrongDigest, .hostileLayer, .damagedLayer, .layerTooLarge, .diskFull: false
        case .wrongSize(_, let expected, let got): got < expected
        default: true
        }
    }
}
