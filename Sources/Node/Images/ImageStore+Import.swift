import CLinux
import Glibc
import Linux
import OCI

extension ImageStore {
    /// Brings images from an OCI layout (a directory, or a tar archive of one, also compressed) or from a
    /// docker-archive (`docker save`).
    ///
    /// - Parameters:
    ///   - path: the directory or the archive.
    ///   - name: what manifests will call the image; nil takes the names that the archive gives. With a name, there must
    ///     be exactly one image for the platform.
    /// - Returns: the images, in the archive's order.
    public func importImages(
        from path: String, name: ImageReference? = nil, platform: Platform = .host,
        limits: UnpackLimits = UnpackLimits(), progress: @escaping PullProgress.Handler = { _ in }
    ) async throws(ImageError) -> [Image] {
        try await imageErrors(path) {
            try await transaction { transaction in
                let layout = try await onOwnThread { try ImportSource.open(path, transaction, limits) }
                let found = try await onOwnThread { try layout.images(for: platform, named: name) }
                var images: [Image] = []
                for (assembly, names) in found {
                    try await onOwnThread { try transaction.claim(assembly.stored) }
                    try await assembly.bringLayers(transaction, limits, progress) { descriptor in
                        .file(layout.directory, path: layout.path(of: descriptor.digest))
                    }
                    images.append(try await onOwnThread { try commit(assembly, names: names) })
                }
                return images
            }
        }
    }
}

/// What an import reads: a directory with an OCI layout or an unpacked docker-archive. Its files are a stranger's: they
/// are opened as if the directory were `/`, bounded, and verified.
struct ImportSource: Sendable {
    enum Kind: Sendable { case layout, dockerArchive }
    typealias Found = (assembly: ImageAssembly, names: [(ImageReference, Digest)])

    /// The file or directory that the person named; for messages.
    let origin: String
    let directory: DirectoryHandle
    let kind: Kind
    /// docker-archive: where the layers' files are, by the digest we gave them.
    var files: [Digest: String] = [:]

    /// Opens a directory, or unpacks an archive into the transaction. Blocks.
    static func open(
        _ path: String, _ transaction: Transaction, _ limits: UnpackLimits
    ) throws -> ImportSource {
        var status = stat()
        try check(stat(path, &status), "open", path)
        var directory = path
        if status.st_mode & S_IFMT != S_IFDIR {
            directory = "\(transaction.directory)/import"
            try unpack(path, size: Int64(status.st_size), into: directory, limits)
        }
        let opened = OwnedDescriptor(
            owning: try check(Glibc.open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC), "open", path))
        let handle = DirectoryHandle(number: opened.release())
        // An archive of `docker save` since version 25 is both; its layout says more.
        var source = ImportSource(origin: path, directory: handle, kind: .layout)
        if try source.exists("index.json") { return source }
        source = ImportSource(origin: path, directory: handle, kind: .dockerArchive)
        if try source.exists("manifest.json") { return try source.withLayersHashed() }
        throw ImageError.notImportable(
            path, reason: "neither an OCI layout (index.json) nor a docker-archive (manifest.json)")
    }

    /// An archive's files, with the same care as a layer's.
    private static func unpack(_ path: String, size: Int64, into directory: String, _ limits: UnpackLimits) throws {
        try check(mkdir(directory, 0o700), "mkdir", directory)
        let file = try OwnedDescriptor(opening: path, flags: O_RDONLY)
        do {
            let stream = try DecompressedStream(
                file: file.number, blobSize: size, inputAlgorithm: nil, outputAlgorithm: .sha256,
                limits: limits, advance: { _ in })
            let root = try OwnedDescriptor(opening: directory, flags: O_RDONLY | O_DIRECTORY)
            let unpacker = try LayerUnpacker(
                root: root, place: directory, options: .init(isLayer: false, limits: limits))
            try unpacker.unpack(stream)
        } catch let refusal as LayerUnpacker.Refusal {
            throw Self.error(refusal, path)
        } catch let failure as ArchiveFailure {
            throw Self.error(.archive(failure), path)
        }
    }

    private static func error(_ refusal: LayerUnpacker.Refusal, _ path: String) -> ImageError {
        switch refusal {
        case .hostile(let entry, let reason): .notImportable(path, reason: "\(printable(entry)): \(reason)")
        case .archive(.damaged(let reason)), .archive(.tooLarge(let reason)): .notImportable(path, reason: reason)
        case .archive(.system(let error)): ImageError(error)
        case .archive(.cancelled): .cancelled
        }
    }

    /// Where a blob's bytes are.
    func path(of digest: Digest) -> String {
        files[digest] ?? "blobs/\(digest.algorithm.rawValue)/\(digest.hex)"
    }

    func exists(_ path: String) throws -> Bool {
        let opened = cl_openat2(
            directory.number, path, UInt64(CL_O_PATH) | UInt64(O_CLOEXEC), 0, Resolve.inRoot.rawValue)
        if opened < 0 { return false }
        close(opened)
        return true
    }

    func openFile(_ path: String) throws -> OwnedDescriptor {
        // O_NONBLOCK: a FIFO in a stranger's directory must not hold us up.
        let opened = cl_openat2(
            directory.number, path, UInt64(O_RDONLY | O_CLOEXEC | O_NONBLOCK), 0, Resolve.inRoot.rawValue)
        let file = OwnedDescriptor(owning: opened)
        var status = stat()
        guard opened >= 0, fstat(file.number, &status) == 0 else {
            throw ImageError.notImportable(origin, reason: "\(printable(path)): \(String(cString: strerror(errno)))")
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw ImageError.notImportable(origin, reason: "\(printable(path)) is no file")
        }
        return file
    }

    func read(_ path: String, limit: Int) throws -> [UInt8] {
        do {
            return try openFile(path).readAll(limit: limit, subject: path)
        } catch let error as SystemError {
            throw ImageError.notImportable(origin, reason: error.description)
        }
    }

    /// A blob of the layout, verified.
    func blob(_ descriptor: Descriptor, limit: Int) throws -> [UInt8] {
        let bytes = try read(path(of: descriptor.digest), limit: limit)
        guard bytes.count == descriptor.size else {
            throw ImageError.wrongSize(
                "\(origin): blob \(descriptor.digest)", expected: descriptor.size, got: Int64(bytes.count))
        }
        try descriptor.digest.verify(bytes, origin)
        return bytes
    }

    func images(for platform: Platform, named name: ImageReference?) throws -> [Found] {
        switch kind {
        case .layout: try layoutImages(for: platform, named: name)
        case .dockerArchive: try dockerImages(for: platform, named: name)
        }
    }
}
