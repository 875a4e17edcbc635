import CLinux
import Glibc
import Linux
import OCI
import Synchronization

/// A registry that misbehaves as a test wants it: an HTTP server on a thread for each connection.
final class FakeRegistry: Sendable {
    struct Request: Sendable {
        var method: String
        var path: String
        var query: String
        /// Names lower-case.
        var headers: [String: String]
        var body: String
    }

    struct Response: Sendable {
        var status = 200
        var headers: [(String, String)] = []
        var body: [UInt8] = []
        /// The connection is closed after so many bytes of the body, although all are announced.
        var cutAfter: Int?
        /// Called once the (cut) body is out, before the connection is closed.
        var afterwards: (@Sendable () -> Void)?

        static let notFound = Response(status: 404, body: Array(#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#.utf8))
    }

    typealias Handler = @Sendable (Request) -> Response

    private let listener: Listener
    private let log = Shared<[Request]>([])
    private let handler: Handler

    var port: UInt16 { listener.port }
    var host: String { "127.0.0.1:\(port)" }
    var requests: [Request] { log.value.withLock { $0 } }

    init(_ handler: @escaping Handler) throws {
        listener = try Listener()
        self.handler = handler
        let descriptor = try listener.descriptor.duplicate().release()
        onThread { [log] in
            while true {
                let connection = accept(descriptor, nil, nil)
                if connection < 0 { break }
                _ = fcntl(connection, F_SETFD, FD_CLOEXEC)
                onThread { FakeRegistry.serve(connection, log, handler) }
            }
            close(descriptor)
        }
    }

    deinit { shutdown(listener.descriptor.number, Int32(SHUT_RDWR)) }

    private static func serve(_ connection: Int32, _ log: Shared<[Request]>, _ handler: Handler) {
        defer { close(connection) }
        var buffer: [UInt8] = []
        while let request = receive(connection, &buffer) {
            log.value.withLock { $0.append(request) }
            let response = handler(request)
            var head = "HTTP/1.1 \(response.status) x\r\nContent-Length: \(response.body.count)\r\n"
            for (name, value) in response.headers { head += "\(name): \(value)\r\n" }
            let body = response.cutAfter.map { Array(response.body.prefix($0)) } ?? response.body
            var bytes = Array("\(head)\r\n".utf8) + body
            while !bytes.isEmpty {
                let count = send(connection, bytes, bytes.count, Int32(MSG_NOSIGNAL))
                if count <= 0 { return }
                bytes.removeFirst(count)
            }
            response.afterwards?()
            if response.cutAfter != nil { return }
        }
    }

    private static func receive(_ connection: Int32, _ buffer: inout [UInt8]) -> Request? {
        func more() -> Bool {
            var chunk = [UInt8](repeating: 0, count: 65536)
            let count = recv(connection, &chunk, chunk.count, 0)
            if count > 0 { buffer.append(contentsOf: chunk[..<count]) }
            return count > 0
        }
        while buffer.firstRange(of: Array("\r\n\r\n".utf8)) == nil {
            // A TLS handshake: not spoken here.
            if buffer.first == 22 || !more() { return nil }
        }
        guard let end = buffer.firstRange(of: Array("\r\n\r\n".utf8)) else { return nil }
        let lines = String(decoding: buffer[..<end.lowerBound], as: UTF8.self).split(separator: "\r\n")
        let parts = (lines.first ?? "").split(separator: " ")
        guard parts.count == 3 else { return nil }
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            let pair = line.split(separator: ":", maxSplits: 1)
            headers[pair[0].lowercased()] = pair.count > 1 ? String(pair[1].drop { $0 == " " }) : ""
        }
        let length = Int(headers["content-length"] ?? "0") ?? 0
        while buffer.count < end.upperBound + length { if !more() { return nil } }
        let body = String(decoding: buffer[end.upperBound..<(end.upperBound + length)], as: UTF8.self)
        buffer.removeFirst(end.upperBound + length)
        let target = parts[1].split(separator: "?", maxSplits: 1)
        return Request(
            method: String(parts[0]), path: String(target[0]), query: target.count > 1 ? String(target[1]) : "",
            headers: headers, body: body)
    }
}

extension FakeRegistry.Response {
    /// What an honest registry answers for `image`, tagged `latest` and reachable by digest; ranges are honoured.
    static func of(_ image: ImageFixture, _ request: FakeRegistry.Request, index: [UInt8]? = nil) -> Self {
        guard let name = request.path.split(separator: "/").last.map(String.init) else { return .notFound }
        if request.path.contains("/manifests/") {
            let known = index.map { [digest($0).description: $0] } ?? [:]
            let bytes =
                name == "latest"
                ? index ?? image.manifest : known[name] ?? Digest(validating: name).flatMap { image.blobs[$0] }
            guard let bytes else { return .notFound }
            let type = bytes == index ? MediaType.index : MediaType.manifest
            return Self(
                headers: [("Content-Type", type), ("Docker-Content-Digest", digest(bytes).description)], body: bytes)
        }
        guard let digest = Digest(validating: name), let bytes = image.blobs[digest] else { return .notFound }
        if let range = request.headers["range"], let start = Int(range.dropFirst(6).dropLast()), start < bytes.count {
            return Self(
                status: 206, headers: [("Content-Range", "bytes \(start)-\(bytes.count - 1)/\(bytes.count)")],
                body: Array(bytes[start...]))
        }
        return Self(body: bytes)
    }
}

/// A value that several threads look at.
final class Shared<Value: Sendable>: Sendable {
    let value: Mutex<Value>
    init(_ value: Value) { self.value = Mutex(value) }
}

/// Runs `body` on a thread of its own.
func onThread(_ body: @escaping @Sendable () -> Void) {
    final class Box: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var id = pthread_t()
    let context = Unmanaged.passRetained(Box(body)).toOpaque()
    let result = pthread_create(
        &id, nil,
        { context in
            if let context { Unmanaged<Box>.fromOpaque(context).takeRetainedValue().body() }
            return nil
        }, context)
    precondition(result == 0, "pthread_create")
    pthread_detach(id)
}
