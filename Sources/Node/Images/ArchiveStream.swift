import CArchive
import Glibc
import Linux
import OCI

/// Why reading an archive stopped.
enum ArchiveFailure: Error {
    case system(SystemError)
    /// libarchive's own words.
    case damaged(String)
    case tooLarge(String)
    case cancelled
}

/// A blob's bytes, decompressed (gzip, zstd or neither, told from the bytes), with the hashes of what went in and what
/// came out. Belongs to one thread.
final class DecompressedStream {
    private let file: Int32
    private let raw: OpaquePointer
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 4096)
    private var inputHash: ContentHash?
    private var outputHash: ContentHash
    private let limits: UnpackLimits
    private let blobSize: Int64
    private let advance: (Int64) -> Void
    private var failure: ArchiveFailure?
    private(set) var input: Int64 = 0
    private(set) var output: Int64 = 0

    /// - Parameters:
    ///   - file: the blob, read from its current position; the caller keeps it open.
    ///   - blobSize: bytes of the blob; for the ratio, and no more than that is read.
    ///   - inputAlgorithm: whether and how to hash the blob itself.
    ///   - advance: called with the bytes of the blob that were taken so far.
    init(
        file: Int32, blobSize: Int64, inputAlgorithm: Digest.Algorithm?, outputAlgorithm: Digest.Algorithm,
        limits: UnpackLimits, advance: @escaping (Int64) -> Void
    ) throws(ArchiveFailure) {
        guard let raw = archive_read_new() else { throw .system(SystemError("archive_read_new", errno: ENOMEM)) }
        self.raw = raw
        self.file = file
        self.blobSize = blobSize
        self.limits = limits
        self.advance = advance
        inputHash = inputAlgorithm.map { ContentHash($0) }
        outputHash = ContentHash(outputAlgorithm)
        archive_read_support_filter_gzip(raw)
        archive_read_support_filter_zstd(raw)
        archive_read_support_format_raw(raw)
        archive_read_support_format_empty(raw)
        let me = Unmanaged.passUnretained(self).toOpaque()
        let opened = archive_read_open(
            raw, me, nil,
            { archive, context, out in
                guard let context, let out else { return -1 }
                return Unmanaged<DecompressedStream>.fromOpaque(context).takeUnretainedValue().fill(archive, out)
            }, nil)
        var entry: OpaquePointer?
        guard opened == ARCHIVE_OK else { throw failed() }
        let header = archive_read_next_header(raw, &entry)
        guard header == ARCHIVE_OK || header == ARCHIVE_EOF else { throw failed() }
        isAtEnd = header == ARCHIVE_EOF
    }

    private var isAtEnd = false

    deinit {
        archive_read_free(raw)
        buffer.deallocate()
    }

    /// The next piece, valid until the next call; nil at the end.
    func next() throws(ArchiveFailure) -> UnsafeRawBufferPointer? {
        if isAtEnd { return nil }
        var block: UnsafeRawPointer?
        var size = 0
        var offset: Int64 = 0
        let result = archive_read_data_block(raw, &block, &size, &offset)
        if result == ARCHIVE_EOF {
            isAtEnd = true
            return nil
        }
        guard result == ARCHIVE_OK else { throw failed() }
        let piece = UnsafeRawBufferPointer(start: block, count: size)
        output += Int64(size)
        guard output <= limits.bytes else { throw .tooLarge("unpacks to more than \(limits.bytes) bytes") }
        let (allowed, overflow) = blobSize.multipliedReportingOverflow(by: limits.ratio)
        guard overflow || output <= max(allowed, 64 << 20) else {
            throw .tooLarge("unpacks to more than \(limits.ratio) times its \(blobSize) bytes")
        }
        outputHash.update(piece)
        return piece
    }

    /// Reads on to the end: what follows the archive's end belongs to the digests, too.
    func drain() throws(ArchiveFailure) {
        while try next() != nil {}
        // What follows the compressed stream is part of the blob.
        var rest: UnsafeRawPointer?
        while fill(nil, &rest) > 0 {}
        if let failure { throw failure }
    }

    var outputDigest: Digest? { outputHash.digest() }
    var inputDigest: Digest? { inputHash?.digest() }

    private func failed() -> ArchiveFailure {
        failure ?? .damaged(archiveMessage(raw))
    }

    private func fill(_ archive: OpaquePointer?, _ out: UnsafeMutablePointer<UnsafeRawPointer?>) -> Int {
        if Task.isCancelled { return refuse(archive, .cancelled) }
        var count = 0
        repeat {
            count = read(file, buffer.baseAddress, min(buffer.count, Int(blobSize - input)))
        } while count < 0 && errno == EINTR
        if count < 0 { return refuse(archive, .system(SystemError("read", "a layer's blob"))) }
        let piece = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<count])
        inputHash?.update(piece)
        input += Int64(count)
        advance(input)
        out.pointee = UnsafeRawPointer(buffer.baseAddress)
        return count
    }

    private func refuse(_ archive: OpaquePointer?, _ failure: ArchiveFailure) -> Int {
        self.failure = failure
        if let archive { setArchiveError(archive, EIO, "the blob cannot be read") }
        return -1
    }
}

/// What libarchive says about its last failure, on one line.
func archiveMessage(_ archive: OpaquePointer) -> String {
    guard let text = archive_error_string(archive) else { return "unreadable archive" }
    return printable(String(cString: text))
}

/// archive_set_error takes printf's arguments, which Swift cannot pass.
func setArchiveError(_ archive: OpaquePointer, _ number: Int32, _ message: StaticString) {
    ca_set_error(archive, number, message.utf8Start)
}
