import OCI

/// A manifest with the bytes that its digest is of.
struct ManifestBytes: Sendable {
    let manifest: Manifest
    let bytes: [UInt8]
    let digest: Digest
}

/// An image whose documents are here and verified, and whose layers are being brought.
struct ImageAssembly: Sendable {
    /// For messages.
    let name: String
    let manifest: ManifestBytes
    let configBytes: [UInt8]
    let stored: StoredImage

    /// Layers that are worked on at once: enough to keep both the network and the disk busy.
    static let parallelLayers = 3

    init(name: String, manifest: ManifestBytes, configBytes: [UInt8], platform: Platform) throws {
        self.name = name
        self.manifest = manifest
        self.configBytes = configBytes
        let config = try ImageConfig(configBytes)
        let layers = manifest.manifest.layers
        guard config.diffIDs.count == layers.count else {
            throw ImageError.malformed(
                name, reason: "\(layers.count) layers, but its configuration speaks of \(config.diffIDs.count)")
        }
        guard !layers.isEmpty else { throw ImageError.malformed(name, reason: "no layers") }
        // An image that does not say what it is for is taken at its word by nobody but us.
        if !config.platform.architecture.isEmpty, config.platform.suitability(for: platform) == nil {
            throw ImageError.noSuchPlatform(name, platform, available: config.platform.description)
        }
        stored = StoredImage(
            manifest: manifest.digest, config: manifest.manifest.config.digest, layers: config.diffIDs)
    }

    /// Brings all layers that are not here, a few at a time.
    func bringLayers(
        _ transaction: Transaction, _ limits: UnpackLimits, _ progress: @escaping PullProgress.Handler,
        from source: @Sendable @escaping (Descriptor) throws -> LayerJob.Source
    ) async throws {
        let layers = Array(zip(manifest.manifest.layers, stored.layers).enumerated())
        try await withThrowingTaskGroup(of: Void.self) { group in
            var next = layers.makeIterator()
            func startNext() {
                guard let (index, (descriptor, diffID)) = next.next() else { return }
                group.addTask {
                    let job = try LayerJob(
                        transaction, descriptor: descriptor, diffID: diffID, limits: limits,
                        report: { phase, done in
                            progress(
                                PullProgress(
                                    layer: descriptor.digest, phase: phase, done: done, total: descriptor.size,
                                    index: index, count: layers.count))
                        })
                    defer { job.stop() }
                    try await job.run(try source(descriptor))
                }
            }
            for _ in 0..<Self.parallelLayers { startNext() }
            while try await group.next() != nil { startNext() }
        }
    }
}
