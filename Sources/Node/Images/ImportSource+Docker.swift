import Glibc
import JSONTree
import Linux
import OCI

extension ImportSource {
    /// `manifest.json` of `docker save`: configurations, layer files and names. The layers have no digests there; they
    /// are given those of their bytes, and then verified like any other against the configuration's diffIDs.
    func withLayersHashed() throws -> ImportSource {
        var source = self
        for entry in try dockerEntries() {
            for path in entry.layers where !source.files.values.contains(path) {
                source.files[try hashOfFile(path).digest] = path
            }
        }
        return source
    }

    func dockerImages(for platform: Platform, named name: ImageReference?) throws -> [Found] {
        let entries = try dockerEntries()
        guard !entries.isEmpty else { throw ImageError.notImportable(origin, reason: "manifest.json: no images") }
        if name != nil, entries.count > 1 {
            let names = entries.flatMap(\.names).joined(separator: ", ")
            throw ImageError.notImportable(origin, reason: "has several images, which cannot all be named so: \(names)")
        }
        var found: [Found] = []
        for entry in entries {
            let references = try name.map { [$0] } ?? entry.names.map { name throws in try ImageReference(name) }
            if references.isEmpty { _ = try reference(nil) }
            let config = try read(entry.config, limit: Bounds.configBytes)
            guard let configDigest = Digest.of(config) else { continue }
            var layers: [Descriptor] = []
            for path in entry.layers {
                let (digest, size) = try hashOfFile(path)
                layers.append(Descriptor(mediaType: MediaType.layer, digest: digest, size: size))
            }
            let manifest = Manifest(
                config: Descriptor(mediaType: MediaType.config, digest: configDigest, size: Int64(config.count)),
                layers: layers)
            let bytes = manifest.encoded()
            guard let digest = Digest.of(bytes) else { continue }
            let assembly = try ImageAssembly(
                name: references.first?.description ?? origin,
                manifest: ManifestBytes(manifest: manifest, bytes: bytes, digest: digest), configBytes: config,
                platform: platform)
            found.append((assembly, references.map { ($0, digest) }))
        }
        return found
    }

    private struct DockerEntry {
        let config: String
        let names: [String]
        let layers: [String]
    }

    private func dockerEntries() throws -> [DockerEntry] {
        let tree: JSONValue
        do {
            tree = try JSONValue.parse(try read("manifest.json", limit: Bounds.manifestBytes))
        } catch let error as JSONError {
            throw ImageError.notImportable(origin, reason: "manifest.json: \(error)")
        }
        return try (tree.arrayValue ?? []).map { entry in
            guard let config = entry["Config"]?.stringValue, let layers = entry["Layers"]?.arrayValue,
                layers.count <= Bounds.layers
            else { throw ImageError.notImportable(origin, reason: "manifest.json: no Config and Layers") }
            return DockerEntry(
                config: config, names: (entry["RepoTags"]?.arrayValue ?? []).compactMap(\.stringValue),
                layers: layers.compactMap(\.stringValue))
        }
    }

    private func hashOfFile(_ path: String) throws -> (digest: Digest, size: Int64) {
        let file = try openFile(path)
        var hash = ContentHash(.sha256)
        var size: Int64 = 0
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
        defer { buffer.deallocate() }
        while true {
            let count = Glibc.read(file.number, buffer.baseAddress, buffer.count)
            if count < 0 && errno == EINTR { continue }
            try check(count, "read", path)
            if count == 0 { break }
            hash.update(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<count]))
            size += Int64(count)
        }
        guard let digest = hash.digest() else { throw ImageError.notImportable(origin, reason: "no digest of \(path)") }
        return (digest, size)
    }
}
