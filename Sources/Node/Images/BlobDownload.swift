import AsyncHTTPClient
import Glibc
import Linux
import NIOCore
import OCI

/// The download of one blob into a file that a later attempt, also of another process, can go on with.
///
/// Runs on the thread of the actor that calls it, which may block on the disk. The caller holds the blob's lock.
struct BlobDownload {
    let repository: RegistryRepository
    let descriptor: Descriptor
    let path: String

    /// When it returns, the file has the descriptor's size and digest.
    ///
    /// A connection that breaks is taken up where it broke. It is given up after four breaks without a single byte.
    func run(
        isolation: isolated (any Actor)? = #isolation, progress: (Int64) -> Void
    ) async throws {
        let file = try OwnedDescriptor(opening: path, flags: O_RDWR | O_CREAT, mode: 0o600)
        let (hash, done) = try hashOfWhatIsThere(file.number)
        var state = State(hash: hash, done: done)
        let resumed = done > 0
        try await complete(file.number, &state, progress)
        if let error = mismatch(state) {
            try restart(file.number, &state)
            // Power loss may have damaged what was there before; what came whole now is simply wrong.
            guard resumed else { throw error }
            try await complete(file.number, &state, progress)
            if let error = mismatch(state) {
                try restart(file.number, &state)
                throw error
            }
        }
    }

    struct State {
        var hash: ContentHash
        var done: Int64
    }

    private func mismatch(_ state: State) -> ImageError? {
        guard let got = state.hash.digest(), got != descriptor.digest else { return nil }
        return .wrongDigest("layer of \(repository.reference)", expected: descriptor.digest, got: got)
    }

    /// Asks until all bytes are here.
    private func complete(
        _ file: Int32, _ state: inout State, _ progress: (Int64) -> Void,
        isolation: isolated (any Actor)? = #isolation
    ) async throws {
        var fruitless = 0
        while state.done < descriptor.size {
            let before = state.done
            do {
                try await transfer(file, &state, progress)
            } catch RegistryFailure.interrupted(let reason, let after) {
                fruitless = state.done > before ? 0 : fruitless + 1
                guard fruitless < 4 else { throw failure(reason, state) }
                try await pause(fruitless, after: after)
            } catch let error as ImageError {
                // It was there when it gave us the manifest: perhaps it is being restarted.
                guard case .registryUnreachable = error else { throw error }
                fruitless += 1
                guard fruitless < 4 else { throw error }
                try await pause(fruitless, after: nil)
            }
        }
    }

    private func failure(_ reason: String, _ state: State) -> ImageError {
        state.done == 0
            ? .registryFailed(endpoint: repository.reference.registry, reason: "layer \(descriptor.digest): \(reason)")
            : .wrongSize(
                "layer \(descriptor.digest) of \(repository.reference) (\(reason))", expected: descriptor.size,
                got: state.done)
    }

    /// One request: from where we are to the end, or to where the connection breaks.
    private func transfer(
        _ file: Int32, _ state: inout State, _ progress: (Int64) -> Void,
        isolation: isolated (any Actor)? = #isolation
    ) async throws {
        let offset = state.done
        let response = try await repository.open(descriptor, from: offset)
        // A server that does not know ranges sends all of it, 200 instead of 206.
        if offset > 0, response.status.code != 206 || !response.startsAt(offset) { try restart(file, &state) }
        if offset == 0, response.status.code == 206 { throw RegistryFailure.refused("a part where all was asked for") }
        do {
            for try await piece in response.body {
                try take(piece, file, &state)
                progress(state.done)
            }
        } catch let error as ImageError {
            throw error
        } catch let error as SystemError {
            throw error
        } catch {
            throw RegistryFailure(transport: error) ?? error
        }
        // Some servers end a chunked answer early as if that were all of it.
        if state.done < descriptor.size { throw RegistryFailure.interrupted("the connection ended early", after: nil) }
    }

    private func take(_ piece: ByteBuffer, _ file: Int32, _ state: inout State) throws {
        let total = state.done + Int64(piece.readableBytes)
        guard total <= descriptor.size else {
            try restart(file, &state)
            throw ImageError.wrongSize(
                "layer \(descriptor.digest) of \(repository.reference)", expected: descriptor.size, got: total)
        }
        try piece.withUnsafeReadableBytes { bytes in
            state.hash.update(bytes)
            var written = 0
            while written < bytes.count {
                let count = write(file, bytes.baseAddress.map { $0 + written }, bytes.count - written)
                if count < 0 && errno == EINTR { continue }
                if count < 0 { throw SystemError("write", path) }
                written += count
            }
        }
        state.done = total
    }

    private func restart(_ file: Int32, _ state: inout State) throws {
        try check(ftruncate(file, 0), "ftruncate", path)
        try check(lseek(file, 0, SEEK_SET), "lseek", path)
        state = State(hash: ContentHash(descriptor.digest.algorithm), done: 0)
    }

    private func hashOfWhatIsThere(_ file: Int32) throws -> (ContentHash, Int64) {
        var status = stat()
        try check(fstat(file, &status), "fstat", path)
        if Int64(status.st_size) > descriptor.size { try check(ftruncate(file, 0), "ftruncate", path) }
        var hash = ContentHash(descriptor.digest.algorithm)
        var done: Int64 = 0
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
        defer { buffer.deallocate() }
        while true {
            let count = read(file, buffer.baseAddress, buffer.count)
            if count < 0 && errno == EINTR { continue }
            try check(count, "read", path)
            if count == 0 { return (hash, done) }
            hash.update(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<count]))
            done += Int64(count)
        }
    }
}

extension RegistryRepository {
    /// A blob's bytes from `offset` on.
    func open(_ descriptor: Descriptor, from offset: Int64) async throws -> HTTPClientResponse {
        try await eachEndpoint(for: descriptor.digest.description, interruptions: true) { [client] endpoint in
            try await client.get("blobs/\(descriptor.digest)", at: endpoint, from: offset)
        }
    }
}

extension HTTPClientResponse {
    /// Whether Content-Range says what was asked for (RFC 9110, section 14.4).
    fileprivate func startsAt(_ offset: Int64) -> Bool {
        headers.first(name: "Content-Range")?.hasPrefix("bytes \(offset)-") ?? false
    }
}
