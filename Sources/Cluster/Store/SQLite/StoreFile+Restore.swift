import GRDB
import Glibc
import Linux

extension StoreFile {
    /// How far a restore advances the revisions.
    public static let restoreAdvance: Int64 = 1_000_000_000

    /// Makes a store out of a backup. No server may be running.
    ///
    /// Its revisions go on a thousand million after the newest of the backup and of the store that it replaces, and
    /// everything before is compacted: watchers list anew, and none ever sees two states under one revision. The store
    /// that was there stays beside it as `<path>.replaced`, in place of an earlier one.
    /// - Throws: `inUse`, `damaged` when the backup is, `invalid` when there is a store and `replacing` is false.
    /// - Returns: The first revision of the restored store.
    @discardableResult
    public func restore(from backup: String, replacing: Bool = false) throws(StoreError) -> Revision {
        let lock = try SQLiteStore.lock(path)
        defer { withExtendedLifetime(lock) {} }
        return try storeErrors("restore of \(path)") {
            if fileExists(path), !replacing { throw StoreError.invalid("\(path) exists already") }
            let source = StoreFile(backup)
            let problems = try source.check()
            if let first = problems.first { throw StoreError.damaged("\(backup): \(first)") }
            // A store that is too damaged to tell its newest revision may be the reason for the restore.
            let replaced = fileExists(path) ? try? statistics().newest : nil
            let part = "\(path).part"
            for suffix in ["", "-journal", "-wal", "-shm"] { removeFile(part + suffix) }
            let newest = max(try source.backup(to: part), replaced ?? .zero)
            let first = Revision(newest.number + Self.restoreAdvance)
            do {
                try advance(part, to: first)
                try setAside()
                try settle(part, as: path)
            } catch {
                removeFile(part)
                throw error
            }
            return first
        }
    }

    private func advance(_ file: String, to revision: Revision) throws {
        let copy = try DatabaseQueue(path: file)
        try copy.write { database in
            try database.execute(sql: "UPDATE meta SET compacted = ?", arguments: [revision.number])
        }
        try copy.close()
    }

    /// Gives the store that is there a second name. Its first one is then replaced in one step, so that whenever this is
    /// killed there is a whole store under it.
    private func setAside() throws {
        guard fileExists(path) else { return }
        // One file instead of three: closing the last connection folds the write-ahead log into it. One that is too
        // damaged for that keeps its log beside it.
        try? DatabaseQueue(path: path).writeWithoutTransaction { _ = try $0.checkpoint(.truncate) }
        for suffix in ["", "-wal", "-shm"] { removeFile("\(path).replaced\(suffix)") }
        try Linux.check(link(path, "\(path).replaced"), "link", path)
        for suffix in ["-wal", "-shm"] where fileExists(path + suffix) {
            try Linux.check(rename(path + suffix, "\(path).replaced\(suffix)"), "rename", path + suffix)
        }
    }

    /// Makes `part` durable, and then gives it its name.
    func settle(_ part: String, as name: String) throws {
        try Linux.check(chmod(part, 0o600), "chmod", part)
        try fsync(path: part)
        try Linux.check(rename(part, name), "rename", name)
        try fsync(path: parentDirectory(of: name))
    }

    private func fsync(path: String) throws {
        let file = try OwnedDescriptor(opening: path, flags: O_RDONLY)
        try Linux.check(Glibc.fsync(file.number), "fsync", path)
    }
}

/// Makes an empty file that only its owner may read: it will hold Secrets. SQLite gives the files beside it its mode.
/// One that is there already stays as it is.
func createPrivateFile(_ path: String) throws(SystemError) {
    _ = try OwnedDescriptor(opening: path, flags: O_RDWR | O_CREAT, mode: 0o600)
}

/// Removes a file if it is there.
func removeFile(_ path: String) { unlink(path) }

/// The size of a file; 0 for a missing one.
func fileBytes(_ path: String) -> Int {
    var status = stat()
    return stat(path, &status) == 0 ? Int(status.st_size) : 0
}
