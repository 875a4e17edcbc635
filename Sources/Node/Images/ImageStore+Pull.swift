import Linux
import OCI

extension ImageStore {
    /// Brings an image from its registry, or makes sure that what is here is what the registry has.
    ///
    /// Everything is verified by size and digest while it streams; at most three layers at a time are downloaded and
    /// unpacked. Cancelling the task ends it; what was downloaded is kept for the next time. Several pulls at once, in
    /// any number of processes, do the same work once.
    ///
    /// - Parameters:
    ///   - registries: mirrors, credentials, TLS; nil reads the usual files (``Registries/load(path:dockerConfig:)``).
    ///   - credentials: for the image's own registry, in place of the configured ones (a pod's imagePullSecrets).
    ///   - platform: what the image must run on.
    ///   - progress: called from several threads.
    public func pull(
        _ reference: ImageReference, from registries: Registries? = nil,
        credentials: RegistryCredentials? = nil, platform: Platform = .host, limits: UnpackLimits = UnpackLimits(),
        progress: @escaping PullProgress.Handler = { _ in }
    ) async throws(ImageError) -> Image {
        try await imageErrors(reference.description) {
            let registries = if let registries { registries } else { try await onOwnThread { try Registries.load() } }
            let client = RegistryClient(registries: registries, credentials: credentials)
            do {
                let repository = RegistryRepository(
                    reference, client: client, endpoints: try registries.endpoints(for: reference))
                let image = try await transaction { transaction in
                    try await pull(repository, platform, limits, transaction, progress)
                }
                try? await client.shutdown()
                return image
            } catch {
                try? await client.shutdown()
                throw error
            }
        }
    }

    private func pull(
        _ repository: RegistryRepository, _ platform: Platform, _ limits: UnpackLimits, _ transaction: Transaction,
        _ progress: @escaping PullProgress.Handler
    ) async throws -> Image {
        let reference = repository.reference
        let (document, target) = try await manifest(of: repository, platform)
        let configBytes = try await repository.blob(
            document.manifest.config, limit: Bounds.configBytes, what: "configuration")
        let assembly = try ImageAssembly(
            name: reference.description, manifest: document, configBytes: configBytes, platform: platform)
        try await onOwnThread { try transaction.claim(assembly.stored) }
        try await assembly.bringLayers(transaction, limits, progress) { _ in .registry(repository) }
        return try await onOwnThread {
            try commit(assembly, names: [(reference, target)])
        }
    }

    /// The manifest for the platform, and the digest of what the reference itself means.
    private func manifest(
        of repository: RegistryRepository, _ platform: Platform
    ) async throws -> (manifest: ManifestBytes, target: Digest) {
        let reference = repository.reference
        var (bytes, digest, contentType) = try await repository.manifest(reference.target)
        let target = digest
        for _ in 0..<3 {
            switch try ManifestDocument(bytes, contentType: contentType) {
            case .manifest(let manifest):
                return (ManifestBytes(manifest: manifest, bytes: bytes, digest: digest), target)
            case .index(let index):
                guard let chosen = index.manifest(for: platform) else {
                    throw ImageError.noSuchPlatform(
                        reference.description, platform, available: index.platformNames)
                }
                (bytes, digest, contentType) = try await repository.manifest(chosen.digest.description)
                guard bytes.count == chosen.size else {
                    throw ImageError.wrongSize(
                        "manifest \(chosen.digest) of \(reference)", expected: chosen.size, got: Int64(bytes.count))
                }
            }
        }
        throw ImageError.malformed(reference.description, reason: "an index in an index in an index")
    }

    /// Writes what makes the image one: its documents, then its names. Blocks.
    func commit(_ assembly: ImageAssembly, names: [(ImageReference, Digest)]) throws(ImageError) -> Image {
        try exclusively { () throws(ImageError) in
            let documents = [
                (assembly.manifest.digest, assembly.manifest.bytes), (assembly.stored.config, assembly.configBytes),
            ]
            for (digest, bytes) in documents where !fileExists(layout.blob(digest)) {
                try system { () throws(SystemError) in
                    try writeFileAtomically(layout.blob(digest), bytes, mode: 0o600, durable: true)
                }
            }
            let now = timestamp()
            for (reference, target) in names {
                let record = ReferenceRecord(
                    reference: reference, target: target, image: assembly.stored, pulledAt: now)
                try write(layout.reference(reference), record.tree)
            }
            guard let image = try image(assembly.stored) else {
                throw .damagedStore(layout.root, reason: "\(assembly.name) vanished while it was written")
            }
            return image
        }
    }
}

extension Index {
    /// `linux/amd64, linux/arm64`: what there is, for a person whose platform is not among it.
    var platformNames: String {
        let names = manifests.compactMap(\.platform).map(\.description).filter { $0 != "unknown/unknown" }
        return Array(Set(names)).sorted().joined(separator: ", ")
    }
}
