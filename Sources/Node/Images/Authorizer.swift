import AsyncHTTPClient
import JSONTree
import NIOCore
import NIOHTTP1

/// Answers the challenges of registries (distribution's token authentication, RFC 6750 and RFC 7617) and remembers what
/// it got as long as it is good.
actor Authorizer {
    private struct Pass {
        let header: String
        let expiry: ContinuousClock.Instant?
    }

    private let registries: Registries
    private let credentials: RegistryCredentials?
    private var passes: [Endpoint: Pass] = [:]

    init(registries: Registries, credentials: RegistryCredentials?) {
        self.registries = registries
        self.credentials = credentials
    }

    /// The Authorization header for an endpoint, when one is known that has not run out.
    func header(for endpoint: Endpoint) -> String? {
        guard let pass = passes[endpoint] else { return nil }
        if let expiry = pass.expiry, expiry < .now {
            passes[endpoint] = nil
            return nil
        }
        return pass.header
    }

    /// Gets what the server asks for. Throws ``RegistryFailure/unauthorized(_:)`` when there is no way.
    func authorize(
        _ challenges: [AuthChallenge], for endpoint: Endpoint, through client: RegistryClient
    ) async throws {
        let credentials = try await credentials(for: endpoint)
        if let bearer = challenges.first(where: { $0.scheme == "bearer" }) {
            passes[endpoint] = try await token(bearer, endpoint, credentials, client)
        } else if challenges.contains(where: { $0.scheme == "basic" }) {
            guard let credentials, !credentials.username.isEmpty else {
                throw RegistryFailure.unauthorized("it wants a user name and a password, and there are none for it")
            }
            passes[endpoint] = Pass(header: credentials.basic, expiry: nil)
        } else {
            throw RegistryFailure.unauthorized("it asks for no kind of authentication that is known here")
        }
    }

    private func credentials(for endpoint: Endpoint) async throws -> RegistryCredentials? {
        if let credentials, endpoint.namespace == nil { return credentials }
        let registries = registries
        return try await onOwnThread { try registries.credentials(endpoint.base) }
    }

    private func token(
        _ challenge: AuthChallenge, _ endpoint: Endpoint, _ credentials: RegistryCredentials?, _ client: RegistryClient
    ) async throws -> Pass {
        guard let realm = challenge.parameters["realm"], var address = WebAddress(realm) else {
            throw RegistryFailure.refused("a Bearer challenge without a realm")
        }
        if credentials != nil && endpoint.base.isSecure && !address.isSecure {
            throw RegistryFailure.refused("its token server \(address) speaks plain HTTP: no password is sent there")
        }
        var query = [("scope", challenge.parameters["scope"] ?? "repository:\(endpoint.repository):pull")]
        if let service = challenge.parameters["service"] { query.insert(("service", service), at: 0) }
        let response: HTTPClientResponse
        if let credentials, !credentials.identityToken.isEmpty {
            query += [
                ("grant_type", "refresh_token"), ("client_id", "swiftlet"),
                ("refresh_token", credentials.identityToken),
            ]
            response = try await client.send(
                address, method: .POST, headers: ["Content-Type": "application/x-www-form-urlencoded"],
                body: Self.form(query))
        } else {
            var headers = HTTPHeaders()
            if let credentials {
                query.append(("account", credentials.username))
                headers.add(name: "Authorization", value: credentials.basic)
            }
            address.query = [address.query, Self.form(query)].compactMap { $0 }.joined(separator: "&")
            response = try await client.send(address, headers: headers)
        }
        guard response.status.code == 200 else {
            let message = await client.message(of: response)
            let who = credentials == nil ? "without credentials" : "as \"\(credentials?.username ?? "")\""
            throw RegistryFailure.unauthorized("no token \(who): \(message)")
        }
        let tree = try JSONValueOfBody.parse(try await response.body.collect(upTo: 1 << 20))
        guard let token = tree["token"]?.stringValue ?? tree["access_token"]?.stringValue,
            token.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f })
        else { throw RegistryFailure.refused("its token server answered without a token") }
        // Half a minute is the least that the protocol knows (60 s is its default); renewed a little early.
        let life = max(30, tree["expires_in"]?.integerValue ?? 60)
        return Pass(header: "Bearer \(token)", expiry: .now + .seconds(life - 10))
    }

    private static func form(_ query: [(String, String)]) -> String {
        query.map { "\($0.0)=\(WebAddress.encoded($0.1))" }.joined(separator: "&")
    }
}

/// JSON in an answer's body.
enum JSONValueOfBody {
    static func parse(_ body: ByteBuffer) throws -> JSONValue {
        do { return try JSONValue.parse(Array(body.readableBytesView)) } catch {
            throw RegistryFailure.refused("an answer that is no JSON: \(error)")
        }
    }
}
