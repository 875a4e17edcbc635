import Glibc
import Linux

/// Makes a directory that only this process uses; the caller removes it.
public func makeTemporaryDirectory() throws -> String {
    var template = Array("/tmp/swiftlet-test.XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw SystemError("mkdtemp", "/tmp") }
    return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// Runs `body` with a directory that is removed afterwards, also when `body` fails.
public func withTemporaryDirectory<Result>(_ body: (String) throws -> Result) throws -> Result {
    let path = try makeTemporaryDirectory()
    let result = Swift.Result { try body(path) }
    try removeTree(path)
    return try result.get()
}

/// Runs `body` with a directory that is removed afterwards, also when `body` fails.
public func withTemporaryDirectory<Result>(
    isolation: isolated (any Actor)? = #isolation, _ body: (String) async throws -> Result
) async throws -> Result {
    let path = try makeTemporaryDirectory()
    do {
        let result = try await body(path)
        try removeTree(path)
        return result
    } catch {
        try removeTree(path)
        throw error
    }
}
