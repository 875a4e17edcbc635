import OCI

extension ImportSource {
    /// An OCI layout's images for a platform (image-spec image-layout.md). A name comes from `--name`, else from the
    /// annotations that containerd and others write.
    func layoutImages(for platform: Platform, named name: ImageReference?) throws -> [Found] {
        let index = try Index(try read("index.json", limit: Bounds.manifestBytes))
        var suitable: [(ManifestBytes, target: Digest, name: String?)] = []
        var available: Set<String> = []
        for entry in index.manifests {
            if let stated = entry.platform, stated.suitability(for: platform) == nil {
                available.insert(stated.description)
                continue
            }
            guard let found = try manifest(entry, platform, depth: 0) else {
                available.insert("other platforms")
                continue
            }
            suitable.append((found, entry.digest, Self.name(in: entry.annotations)))
        }
        guard !suitable.isEmpty else {
            throw ImageError.noSuchPlatform(origin, platform, available: available.sorted().joined(separator: ", "))
        }
        if name != nil, Set(suitable.map(\.0.digest)).count > 1 {
            let names = suitable.map { $0.name ?? $0.target.short }.joined(separator: ", ")
            throw ImageError.notImportable(origin, reason: "has several images, which cannot all be named so: \(names)")
        }
        var found: [Found] = []
        for (manifest, target, stated) in suitable {
            let reference = try name ?? reference(stated)
            let config = try blob(manifest.manifest.config, limit: Bounds.configBytes)
            let assembly = try ImageAssembly(
                name: reference.description, manifest: manifest, configBytes: config, platform: platform)
            found.append((assembly, [(reference, target)]))
        }
        return found
    }

    private func manifest(_ entry: Descriptor, _ platform: Platform, depth: Int) throws -> ManifestBytes? {
        let bytes = try blob(entry, limit: Bounds.manifestBytes)
        switch try ManifestDocument(bytes, contentType: entry.mediaType) {
        case .manifest(let manifest): return ManifestBytes(manifest: manifest, bytes: bytes, digest: entry.digest)
        case .index(let index):
            guard depth < 3 else { throw ImageError.malformed(origin, reason: "an index in an index in an index") }
            guard let chosen = index.manifest(for: platform) else { return nil }
            return try manifest(chosen, platform, depth: depth + 1)
        }
    }

    /// containerd writes the whole reference; the specification's own annotation is often just a tag, which names nothing.
    private static func name(in annotations: [String: String]) -> String? {
        if let name = annotations["io.containerd.image.name"] { return name }
        guard let name = annotations["org.opencontainers.image.ref.name"] else { return nil }
        return name.contains("/") ? name : nil
    }

    func reference(_ stated: String?) throws -> ImageReference {
        guard let stated else {
            throw ImageError.notImportable(origin, reason: "the image has no name; give it one with --name")
        }
        return try ImageReference(stated)
    }
}
