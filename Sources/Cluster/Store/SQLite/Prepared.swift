import GRDB
import GRDBSQLite

/// A statement of GRDB's that is bound and stepped by SQLite's own calls: the writer's inner loop runs three of them for
/// each change, and GRDB's argument values (a `Data` for every blob) would cost more than SQLite does.
///
/// Belongs to the connection that made it, and is used only inside of that connection's closures.
struct Prepared {
    private let statement: Statement

    init(_ database: Database, _ sql: String) throws {
        statement = try database.makeStatement(sql: sql)
    }

    /// The connection's own statement for `sql`, prepared at its first use.
    init(cachedBy database: Database, _ sql: String) throws {
        statement = try database.cachedStatement(sql: sql)
    }

    func bind(_ number: Int64, at index: Int32) {
        sqlite3_bind_int64(statement.sqliteStatement, index, number)
    }

    func bind(_ number: Int64?, at index: Int32) {
        if let number { bind(number, at: index) } else { bindNull(at: index) }
    }

    func bindNull(at index: Int32) { sqlite3_bind_null(statement.sqliteStatement, index) }

    /// Binds a copy of `bytes`, so that the binding is good for as long as the statement is.
    func bind(_ bytes: [UInt8], at index: Int32) {
        // SQLITE_TRANSIENT, a C macro that Swift does not see.
        let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
        _ = bytes.withUnsafeBytes { buffer in
            // A null pointer would bind NULL instead of no bytes.
            buffer.baseAddress.map {
                sqlite3_bind_blob(statement.sqliteStatement, index, $0, Int32(buffer.count), transient)
            } ?? sqlite3_bind_zeroblob(statement.sqliteStatement, index, 0)
        }
    }

    /// Runs a statement that gives no rows.
    func run() throws {
        defer { reset() }
        while try step() {}
    }

    /// Runs `body` on the first row, if there is one.
    func first<Result>(_ body: (borrowing PreparedRow) throws -> Result) throws -> Result? {
        defer { reset() }
        guard try step() else { return nil }
        return try body(PreparedRow(statement: statement.sqliteStatement))
    }

    /// Runs `body` on each row until it says false.
    func forEach(_ body: (borrowing PreparedRow) throws -> Bool) throws {
        defer { reset() }
        while try step(), try body(PreparedRow(statement: statement.sqliteStatement)) {}
    }

    private func step() throws -> Bool {
        switch sqlite3_step(statement.sqliteStatement) {
        case SQLITE_ROW: return true
        case SQLITE_DONE: return false
        case let code:
            let connection = sqlite3_db_handle(statement.sqliteStatement)
            throw DatabaseError(
                resultCode: ResultCode(rawValue: code), message: sqlite3_errmsg(connection).map { String(cString: $0) },
                sql: statement.sql)
        }
    }

    /// Its result repeats the step's, which was reported.
    private func reset() {
        sqlite3_reset(statement.sqliteStatement)
    }
}

/// The row that a statement stands on.
struct PreparedRow: ~Copyable {
    fileprivate let statement: OpaquePointer

    func integer(_ column: Int32) -> Int64 { sqlite3_column_int64(statement, column) }
    func isNull(_ column: Int32) -> Bool { sqlite3_column_type(statement, column) == SQLITE_NULL }
    func place(_ column: Int32) -> Place { Place(integer(column)) }
    func key(_ column: Int32) -> StoreKey { StoreKey(bytes(column)) }

    /// A copy of a blob; empty for NULL.
    func bytes(_ column: Int32) -> [UInt8] {
        guard let start = sqlite3_column_blob(statement, column) else { return [] }
        let count = Int(sqlite3_column_bytes(statement, column))
        return Array(unsafeUninitializedCapacity: count) { buffer, initialized in
            UnsafeMutableRawBufferPointer(buffer).copyMemory(from: UnsafeRawBufferPointer(start: start, count: count))
            initialized = count
        }
    }
}
