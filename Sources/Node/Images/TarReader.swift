import CArchive
import Glibc
import Linux

/// The entries of a tar archive in a decompressed stream. Belongs to one thread.
final class TarReader {
    private let archive: OpaquePointer
    private let stream: DecompressedStream
    private var failure: ArchiveFailure?
    private var isOpen = false

    init(_ stream: DecompressedStream) throws(LayerUnpacker.Refusal) {
        guard let archive = archive_read_new() else {
            throw .archive(.system(SystemError("archive_read_new", errno: ENOMEM)))
        }
        self.archive = archive
        self.stream = stream
        archive_read_support_format_tar(archive)
        archive_read_support_format_empty(archive)
    }

    deinit { archive_read_free(archive) }

    /// The next entry, valid until the next call; nil at the archive's end.
    func next() throws(LayerUnpacker.Refusal) -> OpaquePointer? {
        if !isOpen {
            isOpen = true
            let me = Unmanaged.passUnretained(self).toOpaque()
            let result = archive_read_open(
                archive, me, nil,
                { archive, context, out in
                    guard let archive, let context, let out else { return -1 }
                    return Unmanaged<TarReader>.fromOpaque(context).takeUnretainedValue().fill(archive, out)
                }, nil)
            if result != ARCHIVE_OK { throw failed() }
        }
        var entry: OpaquePointer?
        let result = archive_read_next_header(archive, &entry)
        if result == ARCHIVE_EOF { return nil }
        if result == ARCHIVE_OK { return entry }
        // Names of users and groups do not matter; all else that libarchive warns of would be lost.
        let message = archiveMessage(archive)
        if result == ARCHIVE_WARN, message.hasPrefix("Uname") || message.hasPrefix("Gname") { return entry }
        throw failed()
    }

    /// The next piece of the entry's content and where in the file it belongs; nil at its end.
    func data() throws(LayerUnpacker.Refusal) -> (piece: UnsafeRawBufferPointer, offset: Int64)? {
        var block: UnsafeRawPointer?
        var size = 0
        var offset: Int64 = 0
        let result = archive_read_data_block(archive, &block, &size, &offset)
        if result == ARCHIVE_EOF { return nil }
        guard result == ARCHIVE_OK else { throw failed() }
        return (UnsafeRawBufferPointer(start: block, count: size), offset)
    }

    private func failed() -> LayerUnpacker.Refusal {
        .archive(failure ?? .damaged(archiveMessage(archive)))
    }

    private func fill(_ archive: OpaquePointer, _ out: UnsafeMutablePointer<UnsafeRawPointer?>) -> Int {
        do {
            guard let piece = try stream.next() else { return 0 }
            out.pointee = piece.baseAddress
            return piece.count
        } catch {
            failure = error
            setArchiveError(archive, EIO, "the stream cannot be read")
            return -1
        }
    }
}
