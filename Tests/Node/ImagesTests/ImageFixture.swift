import Glibc
import JSONTree
import Linux
import OCI
import Testing

@testable import Images

enum Compression: String, CaseIterable, Sendable {
    case plain, gzip, zstd

    func compress(_ bytes: [UInt8], in directory: TemporaryDirectory) throws -> [UInt8] {
        if self == .plain { return bytes }
        let file = try directory.file("compress-\(UInt32.random(in: 0 ... .max))", bytes)
        try run(rawValue, self == .gzip ? ["-n", "-S", ".out", file] : ["-q", "-o", "\(file).out", file])
        return try readFile("\(file).out", limit: 1 << 30)
    }

    var mediaType: String {
        switch self {
        case .plain: MediaType.layer
        case .gzip: MediaType.layerGzip
        case .zstd: MediaType.layerZstd
        }
    }
}

/// An image made by a test: all its blobs, and what names them.
struct ImageFixture {
    var blobs: [Digest: [UInt8]] = [:]
    var manifest: [UInt8] = []
    var layers: [Descriptor] = []
    var diffIDs: [Digest] = []

    var manifestDigest: Digest { digest(manifest) }

    init(
        layers: [[TarEntry]], compression: Compression = .gzip, architecture: String = Platform.host.architecture,
        environment: [String] = ["PATH=/bin"], in directory: TemporaryDirectory
    ) throws {
        try self.init(
            tars: layers.map(tar), compression: compression, architecture: architecture, environment: environment,
            in: directory)
    }

    init(
        tars: [[UInt8]], compression: Compression = .gzip, architecture: String = Platform.host.architecture,
        environment: [String] = ["PATH=/bin"], in directory: TemporaryDirectory
    ) throws {
        for tar in tars {
            let blob = try compression.compress(tar, in: directory)
            diffIDs.append(digest(tar))
            blobs[digest(blob)] = blob
            layers.append(
                Descriptor(mediaType: compression.mediaType, digest: digest(blob), size: Int64(blob.count)))
        }
        seal(architecture: architecture, environment: environment)
    }

    /// Writes configuration and manifest anew, after a test changed something.
    mutating func seal(
        architecture: String = Platform.host.architecture, environment: [String] = ["PATH=/bin"]
    ) {
        let config: JSONValue = [
            "architecture": .string(architecture), "os": "linux",
            "config": ["Env": .array(environment.map { .string($0) }), "Cmd": ["/bin/sh"], "User": "1000:1000"],
            "rootfs": ["type": "layers", "diff_ids": .array(diffIDs.map { .string($0.description) })],
        ]
        let bytes = config.encoded()
        blobs[digest(bytes)] = bytes
        manifest = Manifest(
            config: Descriptor(mediaType: MediaType.config, digest: digest(bytes), size: Int64(bytes.count)),
            layers: layers
        ).encoded()
        blobs[manifestDigest] = manifest
    }

    /// An index of several images, by architecture.
    static func index(_ images: [(ImageFixture, architecture: String)]) -> [UInt8] {
        let entries = images.map { image, architecture -> JSONValue in
            [
                "mediaType": .string(MediaType.manifest), "digest": .string(image.manifestDigest.description),
                "size": JSONValue(image.manifest.count),
                "platform": ["os": "linux", "architecture": .string(architecture)],
            ]
        }
        let tree: JSONValue = [
            "schemaVersion": 2, "mediaType": .string(MediaType.index), "manifests": .array(entries),
        ]
        return tree.encoded()
    }

    /// An OCI layout on disk.
    func writeLayout(_ directory: String, referenceName: String? = nil) throws {
        try makeDirectories("\(directory)/blobs/sha256")
        for (digest, bytes) in blobs { try writeFileAtomically("\(directory)/blobs/sha256/\(digest.hex)", bytes) }
        try writeFileAtomically("\(directory)/oci-layout", Array(#"{"imageLayoutVersion":"1.0.0"}"#.utf8))
        var entry: JSONValue = [
            "mediaType": .string(MediaType.manifest), "digest": .string(manifestDigest.description),
            "size": JSONValue(manifest.count),
        ]
        if let referenceName { entry["annotations"] = ["org.opencontainers.image.ref.name": .string(referenceName)] }
        let index: JSONValue = ["schemaVersion": 2, "manifests": [entry]]
        try writeFileAtomically("\(directory)/index.json", index.encoded())
    }
}

func digest(_ bytes: [UInt8]) -> Digest {
    // SHA-256 always gives 32 bytes.
    Digest.of(bytes) ?? Digest(algorithm: .sha256, bytes: [UInt8](repeating: 0, count: 32))!
}

/// What lstat(2) says.
func status(_ path: String) -> stat? {
    var result = stat()
    return lstat(path, &result) == 0 ? result : nil
}

func xattr(_ path: String, _ name: String) -> [UInt8]? {
    var value = [UInt8](repeating: 0, count: 4096)
    let count = lgetxattr(path, name, &value, value.count)
    return count < 0 ? nil : Array(value[..<count])
}

/// The error that `body` throws, which must be one of this room's.
func imageError(
    _ sourceLocation: SourceLocation = #_sourceLocation, isolation: isolated (any Actor)? = #isolation,
    _ body: () async throws -> Void
) async -> ImageError? {
    do {
        try await body()
        Issue.record("nothing was thrown", sourceLocation: sourceLocation)
        return nil
    } catch let error as ImageError {
        return error
    } catch {
        Issue.record("threw \(error)", sourceLocation: sourceLocation)
        return nil
    }
}

extension TemporaryDirectory {
    func store() throws -> ImageStore { try ImageStore(directory: "\(path)/images") }
}

extension ImageStore {
    /// A pull that no file of this host has a say in.
    func fetch(
        _ reference: ImageReference, credentials: RegistryCredentials? = nil, platform: Platform = .host,
        progress: @escaping PullProgress.Handler = { _ in }
    ) async throws -> Image {
        try await pull(
            reference, from: Registries(), credentials: credentials, platform: platform, progress: progress)
    }
}
