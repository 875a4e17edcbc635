import AsyncHTTPClient
import NIOCore
import OCI

/// The repository of one image on all servers that may have it.
final class RegistryRepository: Sendable {
    let reference: ImageReference
    let client: RegistryClient
    private let endpoints: [Endpoint]

    init(_ reference: ImageReference, client: RegistryClient, endpoints: [Endpoint]) {
        self.reference = reference
        self.client = client
        self.endpoints = endpoints
    }

    /// A manifest by tag or digest: its bytes, verified as far as its name is a digest, and the Content-Type.
    func manifest(_ target: String) async throws -> (bytes: [UInt8], digest: Digest, contentType: String) {
        try await eachEndpoint(for: target) { [client] endpoint in
            try await retrying {
                let response = try await client.get("manifests/\(target)", at: endpoint, accept: MediaType.manifests)
                let bytes = try await Self.collect(response, limit: Bounds.manifestBytes)
                // A tag's manifest is what the server says it is, if it says so.
                let named = target.contains(":") ? target : response.headers.first(name: "Docker-Content-Digest")
                guard let digest = named.flatMap({ Digest(validating: $0) }) ?? Digest.of(bytes) else {
                    throw RegistryFailure.refused("a manifest without a digest")
                }
                try digest.verify(bytes, "manifest of \(self.reference)")
                return (bytes, digest, response.headers.first(name: "Content-Type") ?? "")
            }
        }
    }

    /// A small blob, verified.
    func blob(_ descriptor: Descriptor, limit: Int, what: String) async throws -> [UInt8] {
        guard descriptor.size <= limit else {
            throw ImageError.malformed("\(reference)", reason: "\(what): \(descriptor.size) bytes, more than \(limit)")
        }
        return try await eachEndpoint(for: descriptor.digest.description) { [client] endpoint in
            try await retrying {
                let response = try await client.get("blobs/\(descriptor.digest)", at: endpoint)
                let bytes = try await Self.collect(response, limit: limit)
                guard bytes.count == descriptor.size else {
                    throw ImageError.wrongSize(
                        "\(what) \(descriptor.digest)", expected: descriptor.size, got: Int64(bytes.count))
                }
                try descriptor.digest.verify(bytes, what)
                return bytes
            }
        }
    }

    /// Asks one endpoint after the other. Content that is wrong is wrong everywhere; all else may do at the next one.
    /// With `interruptions`, a failure that may pass is thrown as it is, for the caller to try again.
    func eachEndpoint<Result>(
        for target: String, interruptions: Bool = false, _ body: (Endpoint) async throws -> Result
    ) async throws -> Result {
        var failures: [(endpoint: Endpoint, failure: RegistryFailure)] = []
        for endpoint in endpoints {
            do {
                return try await body(endpoint)
            } catch let failure as RegistryFailure {
                failures.append((endpoint, failure))
            } catch let error as ImageError {
                throw error
            } catch {
                guard let failure = RegistryFailure(transport: error) else { throw CancellationError() }
                failures.append((endpoint, failure))
            }
        }
        if interruptions, case .interrupted? = failures.last?.failure, let last = failures.last { throw last.failure }
        throw summary(of: failures, target)
    }

    /// One error for all endpoints: of the last one that was reached, with what the others said.
    private func summary(of failures: [(endpoint: Endpoint, failure: RegistryFailure)], _ target: String) -> ImageError
    {
        func isReached(_ failure: RegistryFailure) -> Bool {
            if case .unreachable = failure { false } else { true }
        }
        // A certificate that nobody trusts is what is wrong, not that its server then answers no plain HTTP.
        let untrusted = failures.last { failure in
            failure.failure.reason.contains("certificate")
                && failures.last.map { $0.endpoint.base.authority == failure.endpoint.base.authority } ?? false
        }
        guard let chosen = untrusted ?? failures.last(where: { isReached($0.failure) }) ?? failures.last else {
            return .registryUnreachable(registry: reference.registry, endpoint: "", reason: "no endpoint")
        }
        // The attempt by HTTPS at a loopback registry that then answered by plain HTTP is nobody's concern.
        let others = failures.filter {
            $0.endpoint != chosen.endpoint && $0.endpoint.base.authority != chosen.endpoint.base.authority
        }
        .map { "\($0.endpoint.base): \($0.failure.reason)" }
        let reason = ([chosen.failure.reason] + others).joined(separator: "; ")
        let name =
            target.contains(":") && reference.digest?.description != target
            ? "\(reference) (\(target))" : "\(reference)"
        switch chosen.failure {
        case .unreachable:
            return .registryUnreachable(
                registry: chosen.endpoint.base.authority, endpoint: "\(chosen.endpoint.base)", reason: reason)
        case .unauthorized:
            return .unauthorized(name, registry: chosen.endpoint.base.registry, reason: reason)
        case .notFound:
            return .notFound(name, where: "registry \(chosen.endpoint.base.registry) (\(reason))")
        case .interrupted, .refused:
            return .registryFailed(endpoint: "\(chosen.endpoint.base)", reason: "\(name): \(reason)")
        }
    }

    private static func collect(_ response: HTTPClientResponse, limit: Int) async throws -> [UInt8] {
        do {
            return Array((try await response.body.collect(upTo: limit)).readableBytesView)
        } catch is NIOTooManyBytesError {
            throw RegistryFailure.refused("an answer of more than \(limit) bytes")
        } catch {
            throw RegistryFailure(transport: error) ?? error
        }
    }
}

/// Runs `body` up to four times, as long as it fails by what may pass: with a pause that doubles, or what the server asks
/// for up to 20 s.
func retrying<Result>(_ body: () async throws -> Result) async throws -> Result {
    var attempt = 0
    while true {
        do {
            return try await body()
        } catch RegistryFailure.interrupted(let reason, let after) {
            attempt += 1
            guard attempt < 4 else { throw RegistryFailure.interrupted(reason, after: after) }
            try await pause(attempt, after: after)
        }
    }
}

/// 0.25 s, 0.5 s, 1 s … at most 8 s, up to a quarter more so that many do not come back at once.
func pause(_ attempt: Int, after: Int64?) async throws {
    let base = after.map { Double(min(20, max(0, $0))) } ?? min(8, 0.125 * Double(1 << min(attempt, 8)))
    try await Task.sleep(for: .seconds(base * Double.random(in: 1...1.25)))
}
