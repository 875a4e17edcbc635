import AsyncHTTPClient
import Linux
import NIOCore
import NIOHTTP1
import NIOSSL
import OCI
import Synchronization

/// Speaks the Distribution API (https://github.com/opencontainers/distribution-spec) to any number of servers, for the
/// time of one pull.
final class RegistryClient: Sendable {
    private let client: HTTPClient
    private let registries: Registries
    private let authorizer: Authorizer
    private let tls = Mutex<[String: TLSConfiguration]>([:])

    /// - Parameter credentials: used for the image's own registry in place of the configured ones.
    init(registries: Registries, credentials: RegistryCredentials?) {
        self.registries = registries
        authorizer = Authorizer(registries: registries, credentials: credentials)
        var configuration = HTTPClient.Configuration(
            redirectConfiguration: .disallow,
            timeout: .init(connect: .seconds(10), read: .seconds(30)))
        configuration.httpVersion = .http1Only
        configuration.connectionPool.retryConnectionEstablishment = false
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    func shutdown() async throws { try await client.shutdown() }

    /// GETs something of a repository. Follows redirects, gets tokens. Throws ``RegistryFailure`` or
    /// ``ImageError/configuration(_:reason:)``; a response is 200 or 206.
    func get(
        _ suffix: String, at endpoint: Endpoint, accept: [String] = [], from offset: Int64 = 0
    ) async throws -> HTTPClientResponse {
        var address = endpoint.address(suffix)
        var redirects = 0
        var challenged = false
        while true {
            // Credentials go where they belong and nowhere else: not to where a redirect leads.
            let isOwn = address.hasSameOrigin(as: endpoint.base)
            var headers = HTTPHeaders()
            if !accept.isEmpty { headers.add(name: "Accept", value: accept.joined(separator: ", ")) }
            if offset > 0 { headers.add(name: "Range", value: "bytes=\(offset)-") }
            if isOwn, let authorization = await authorizer.header(for: endpoint) {
                headers.add(name: "Authorization", value: authorization)
            }
            let response = try await send(address, headers: headers)
            switch response.status.code {
            case 200, 206: return response
            case 301, 302, 303, 307, 308:
                redirects += 1
                guard redirects <= 10, let location = response.headers.first(name: "Location"),
                    let next = address.following(location)
                else { throw RegistryFailure.refused("a redirect that leads nowhere") }
                address = next
            case 401 where isOwn && !challenged:
                challenged = true
                let challenges = AuthChallenge.parse(response.headers["WWW-Authenticate"])
                try await authorizer.authorize(challenges, for: endpoint, through: self)
            case 401, 403: throw RegistryFailure.unauthorized(await message(of: response))
            case 404: throw RegistryFailure.notFound(await message(of: response))
            case 408, 429, 500...599:
                let after = response.headers.first(name: "Retry-After").flatMap { Int64($0) }
                throw RegistryFailure.interrupted(await message(of: response), after: after)
            default: throw RegistryFailure.refused(await message(of: response))
            }
        }
    }

    /// One request, one answer.
    func send(
        _ address: WebAddress, method: HTTPMethod = .GET, headers: HTTPHeaders, body: String? = nil
    ) async throws -> HTTPClientResponse {
        var request = HTTPClientRequest(url: address.description)
        request.method = method
        request.headers = headers
        request.headers.replaceOrAdd(name: "User-Agent", value: "swiftlet")
        if let body { request.body = .bytes(ByteBuffer(string: body)) }
        if address.isSecure { request.tlsConfiguration = try tlsConfiguration(for: address) }
        do {
            return try await client.execute(request, deadline: .distantFuture)
        } catch {
            throw RegistryFailure(transport: error) ?? error
        }
    }

    /// What an error's answer says, on one line.
    func message(of response: HTTPClientResponse) async -> String {
        let status = printable("HTTP \(response.status.code) \(response.status.reasonPhrase)")
        guard let body = try? await response.body.collect(upTo: 64 << 10) else { return status }
        let tree = try? JSONValueOfBody.parse(body)
        guard let error = tree?["errors"]?[0] else { return status }
        let code = error["code"]?.stringValue ?? ""
        let text = error["message"]?.stringValue ?? ""
        return printable("\(status): \(code)\(text.isEmpty ? "" : " (\(text))")")
    }

    private func tlsConfiguration(for address: WebAddress) throws -> TLSConfiguration {
        if let known = tls.withLock({ $0[address.authority] }) { return known }
        var configuration = TLSConfiguration.makeClientConfiguration()
        if let server = registries.server(address) {
            if server.insecureSkipVerify { configuration.certificateVerification = .none }
            if let file = server.caFile {
                configuration.additionalTrustRoots = [.certificates(try Self.certificates(file))]
            }
            if let certFile = server.certFile, let keyFile = server.keyFile {
                configuration.certificateChain = try Self.certificates(certFile).map { .certificate($0) }
                do {
                    configuration.privateKey = .privateKey(try NIOSSLPrivateKey(file: keyFile, format: .pem))
                } catch {
                    throw ImageError.configuration(keyFile, reason: "no PEM private key: \(error)")
                }
            }
        }
        tls.withLock { $0[address.authority] = configuration }
        return configuration
    }

    private static func certificates(_ file: String) throws -> [NIOSSLCertificate] {
        let bytes = try system { () throws(SystemError) in try readFile(file, limit: 16 << 20) }
        do {
            return try NIOSSLCertificate.fromPEMBytes(bytes)
        } catch {
            throw ImageError.configuration(file, reason: "no PEM certificates: \(error)")
        }
    }
}
