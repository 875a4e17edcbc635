import Glibc
import JSONTree
import Linux
import OCI
import Synchronization

/// A pull or an import under way: a directory for what it makes, and a claim on what it is going to use, so that a
/// collection in another process leaves that alone. When the process dies, so does the transaction; the next one
/// removes the directory.
final class Transaction: Sendable {
    let store: ImageStore
    let directory: String
    private let lock: FileLock
    private let claimed = Mutex<[StoredImage]>([])

    init(_ store: ImageStore) throws(ImageError) {
        self.store = store
        let directory = "\(store.layout.transactions)/\(getpid())-\(UInt32.random(in: 0 ... .max))"
        self.directory = directory
        lock = try store.exclusively { () throws(ImageError) in
            try system { () throws(SystemError) in
                try makeDirectories(directory, mode: 0o700)
                return try FileLock("\(directory)/lock", wait: false)
            }
        }
    }

    /// Claims all of an image. What is here at that moment stays until the transaction ends.
    func claim(_ image: StoredImage) throws(ImageError) {
        try store.exclusively { () throws(ImageError) in
            let all = claimed.withLock { claimed in
                claimed.append(image)
                return claimed
            }
            try system { () throws(SystemError) in
                try writeFileAtomically(
                    "\(directory)/claims.json", JSONValue.array(all.map(\.tree)).encoded(), mode: 0o600)
            }
        }
    }

    /// Removes what the transaction did not move elsewhere.
    func end() throws(ImageError) {
        try store.empty(directory)
    }
}

extension ImageStore {
    /// Runs `body` in a transaction, which ends with it, on a thread where it may block.
    func transaction<Result: Sendable>(
        _ body: @Sendable (Transaction) async throws -> Result
    ) async throws -> Result {
        try await onOwnThread { try sweep() }
        let transaction = try await onOwnThread { try Transaction(self) }
        do {
            let result = try await body(transaction)
            try await onOwnThread { try transaction.end() }
            return result
        } catch {
            // The first error is the one to tell; what cannot be removed now goes with the next sweep.
            try? await onOwnThread { try transaction.end() }
            throw error
        }
    }

    /// Removes the directories of transactions whose process died.
    func sweep() throws(ImageError) {
        for name in try system({ () throws(SystemError) in try listDirectory(layout.transactions) }) {
            let directory = "\(layout.transactions)/\(name)"
            // The store's lock, so that a directory is never seen before its owner has locked it; then the directory's
            // own, kept while it is emptied, so that only one does.
            let dead = try exclusively { () throws(ImageError) -> WorkLock? in
                guard fileExists(directory) else { return nil }
                do throws(SystemError) {
                    return try WorkLock.take("\(directory)/lock", wait: false)
                } catch {
                    guard error.errno == ENOTDIR else { throw ImageError(error) }
                    // No transaction of ours is a file.
                    unlink(directory)
                    return nil
                }
            }
            guard let dead else { continue }
            try empty(directory)
            withExtendedLifetime(dead) {}
        }
    }

    /// Removes a transaction's directory; the caller holds its lock. What takes long goes first and beside no lock of the
    /// store, inside the directory, where no other process looks; the rest under the store's lock, or somebody who
    /// sweeps would put a lock of its own into what is being removed.
    fileprivate func empty(_ directory: String) throws(ImageError) {
        try system { () throws(SystemError) in
            for name in try listDirectory(directory) where name != "lock" && name != "claims.json" {
                try removeTree("\(directory)/\(name)")
            }
        }
        try exclusively { () throws(ImageError) in
            try system { () throws(SystemError) in try removeTree(directory) }
        }
    }

    /// What living transactions claim. To be called under the store's lock.
    func claims() throws(ImageError) -> [StoredImage] {
        var claims: [StoredImage] = []
        for name in try system({ () throws(SystemError) in try listDirectory(layout.transactions) }) {
            let file = "\(layout.transactions)/\(name)/claims.json"
            for tree in try readJSON(file)?.arrayValue ?? [] { claims.append(try StoredImage(tree, file: file)) }
        }
        return claims
    }
}
