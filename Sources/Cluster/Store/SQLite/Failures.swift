import GRDB

extension StoreError {
    /// What an error of GRDB's or SQLite's means to a caller. `subject` is what was being done or to what.
    init(_ error: any Error, _ subject: String) {
        switch error {
        case let error as StoreError: self = error
        case let error as Damage: self = .damaged("\(subject): \(error.detail)")
        case is CancellationError: self = .cancelled
        case let error as DatabaseError:
            let text = "\(subject): \(error.message ?? "error") (\(error.extendedResultCode))"
            switch error.resultCode {
            case .SQLITE_FULL: self = .full(text)
            // The file of the WAL's index could not grow.
            case .SQLITE_IOERR where error.extendedResultCode == .SQLITE_IOERR_SHMSIZE: self = .full(text)
            case .SQLITE_BUSY, .SQLITE_LOCKED: self = .busy(text)
            case .SQLITE_CORRUPT, .SQLITE_NOTADB: self = .damaged(text)
            case .SQLITE_INTERRUPT: self = .cancelled
            default: self = .failed(text)
            }
        default: self = .failed("\(subject): \(error)")
        }
    }
}

/// That the file is not what it should be. Becomes `StoreError.damaged` where the file's path is known.
struct Damage: Error {
    let detail: String

    init(_ detail: String) { self.detail = detail }
}

/// Turns whatever `body` throws into a ``StoreError``.
func storeErrors<Result>(_ subject: String, _ body: () throws -> Result) throws(StoreError) -> Result {
    do { return try body() } catch { throw StoreError(error, subject) }
}

/// Turns whatever `body` throws into a ``StoreError``.
func storeErrors<Result>(
    isolation: isolated (any Actor)? = #isolation, _ subject: String, _ body: () async throws -> Result
) async throws(StoreError) -> Result {
    do { return try await body() } catch { throw StoreError(error, subject) }
}
