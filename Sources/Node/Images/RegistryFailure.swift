import AsyncHTTPClient
import Glibc
import NIOCore
import NIOPosix
import NIOSSL

/// Why one request to one server did not work, told apart by what to do about it.
enum RegistryFailure: Error {
    /// Not connected: another endpoint may do; trying again at once will not.
    case unreachable(String)
    /// Cut off under way, or the server said that it is busy: trying again may do. How long the server wants to be left
    /// alone, in seconds.
    case interrupted(String, after: Int64?)
    case unauthorized(String)
    case notFound(String)
    /// Any other answer.
    case refused(String)

    var reason: String {
        switch self {
        case .unreachable(let reason), .interrupted(let reason, _), .unauthorized(let reason), .notFound(let reason),
            .refused(let reason):
            reason
        }
    }

    /// From what the HTTP client throws. nil for what is none of its errors.
    init?(transport error: any Error) {
        switch error {
        case let failure as RegistryFailure: self = failure
        case let error as NIOConnectionError: self = .unreachable(Self.reason(error))
        case let error as NIOSSLError: self = .unreachable("TLS: \(Self.reason(tls: "\(error)"))")
        case let error as NIOSSLExtraError: self = .unreachable("TLS: \(Self.reason(tls: error.description))")
        case let error as HTTPClientError where error == .connectTimeout || error == .tlsHandshakeTimeout:
            self = .unreachable(error.shortDescription)
        case let error as HTTPClientError where error == .cancelled: return nil
        case let error as HTTPClientError: self = .interrupted(error.shortDescription, after: nil)
        case let error as IOError:
            let refusals = [ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EADDRNOTAVAIL, ENETDOWN]
            self =
                refusals.contains(error.errnoCode)
                ? .unreachable(Self.reason(error)) : .interrupted(Self.reason(error), after: nil)
        case let error as ChannelError: self = .interrupted("\(error)", after: nil)
        case is SocketAddressError, is SocketAddressError.UnknownHost: self = .unreachable(Self.reason(error))
        case is CancellationError: return nil
        default: self = .interrupted(printable("\(error)"), after: nil)
        }
    }

    private static func reason(_ error: NIOConnectionError) -> String {
        if let failure = error.connectionErrors.first { return reason(failure.error) }
        if let failure = error.dnsAError ?? error.dnsAAAAError { return reason(failure) }
        return "no address to connect to"
    }

    private static func reason(_ error: any Error) -> String {
        switch error {
        case let error as IOError: String(cString: strerror(error.errnoCode))
        case let error as SocketAddressError.UnknownHost: "no address for \(error.host): \(error.errorDescription)"
        case let error as ChannelError: "\(error)"
        default: printable("\(error)")
        }
    }

    /// BoringSSL's names for the two failures that people meet, in words; its own for all others.
    private static func reason(tls text: String) -> String {
        if text.contains("WRONG_VERSION_NUMBER") || text.contains("HTTP_REQUEST") {
            return "the server does not speak TLS; a plain HTTP registry needs an http:// endpoint in registries.yaml"
        }
        if text.contains("CERTIFICATE_VERIFY_FAILED") {
            return "the server's certificate is signed by nobody who is trusted here, or is for another name"
        }
        let marker = "OPENSSL_internal:"
        guard let start = text.firstRange(of: marker)?.upperBound else { return printable(text) }
        return printable(String(text[start...].prefix { $0 != " " }))
    }
}
