import OCI

import struct Crypto.SHA256
import struct Crypto.SHA512

/// A hash under way, of whichever function the expected digest names.
struct ContentHash {
    private enum State {
        case sha256(SHA256)
        case sha512(SHA512)
    }
    private var state: State

    init(_ algorithm: Digest.Algorithm) {
        state = algorithm == .sha256 ? .sha256(SHA256()) : .sha512(SHA512())
    }

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        // Taken out and put back, so that the hash's state is changed in place and not copied.
        switch state {
        case .sha256(var hash):
            hash.update(bufferPointer: bytes)
            state = .sha256(hash)
        case .sha512(var hash):
            hash.update(bufferPointer: bytes)
            state = .sha512(hash)
        }
    }

    func digest() -> Digest? {
        switch state {
        case .sha256(let hash): Digest(algorithm: .sha256, bytes: hash.finalize())
        case .sha512(let hash): Digest(algorithm: .sha512, bytes: hash.finalize())
        }
    }
}

extension Digest {
    /// The digest of `bytes`.
    public static func of(_ bytes: [UInt8], _ algorithm: Algorithm = .sha256) -> Digest? {
        var hash = ContentHash(algorithm)
        bytes.withUnsafeBytes { hash.update($0) }
        return hash.digest()
    }

    /// Throws ``ImageError/wrongDigest(_:expected:got:)`` unless `bytes` are what this digest names.
    func verify(_ bytes: [UInt8], _ what: @autoclosure () -> String) throws(ImageError) {
        guard let got = Digest.of(bytes, algorithm), got == self else {
            throw .wrongDigest(what(), expected: self, got: Digest.of(bytes, algorithm) ?? self)
        }
    }
}
