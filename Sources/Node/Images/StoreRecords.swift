import JSONTree
import OCI

/// What an image consists of, as references, pins and claims record it: enough to know what must not be collected
/// without reading anything else.
struct StoredImage: Sendable, Hashable {
    let manifest: Digest
    let config: Digest
    /// diffIDs, bottom first.
    let layers: [Digest]

    init(manifest: Digest, config: Digest, layers: [Digest]) {
        self.manifest = manifest
        self.config = config
        self.layers = layers
    }

    init(_ tree: JSONValue, file: String) throws(ImageError) {
        func digest(_ value: JSONValue?) throws(ImageError) -> Digest {
            guard let digest = Digest(validating: value?.stringValue ?? "") else {
                throw .damagedStore(file, reason: "no digest where one belongs")
            }
            return digest
        }
        manifest = try digest(tree["manifest"])
        config = try digest(tree["config"])
        guard let fields = tree["layers"]?.arrayValue else { throw .damagedStore(file, reason: "no layers") }
        var layers: [Digest] = []
        for field in fields { layers.append(try digest(field)) }
        self.layers = layers
    }

    /// The layers to stack. overlayfs refuses a directory that comes twice; of equal layers the topmost alone shows the
    /// same, because it decides on every path that the lower ones have.
    var stack: [Digest] {
        layers.enumerated().filter { index, layer in !layers[(index + 1)...].contains(layer) }.map(\.element)
    }

    var tree: JSONValue {
        [
            "manifest": .string(manifest.description), "config": .string(config.description),
            "layers": .array(layers.map { .string($0.description) }),
        ]
    }
}

/// `refs/<hash>.json`
struct ReferenceRecord: Sendable, Hashable {
    let reference: ImageReference
    /// What the registry's name means there: an index, or the manifest itself.
    let target: Digest
    let image: StoredImage
    let pulledAt: String

    init(reference: ImageReference, target: Digest, image: StoredImage, pulledAt: String) {
        self.reference = reference
        self.target = target
        self.image = image
        self.pulledAt = pulledAt
    }

    init(_ tree: JSONValue, file: String) throws(ImageError) {
        guard let text = tree["reference"]?.stringValue, let reference = try? ImageReference(text),
            let target = Digest(validating: tree["target"]?.stringValue ?? "")
        else { throw .damagedStore(file, reason: "no reference record") }
        self.reference = reference
        self.target = target
        image = try StoredImage(tree, file: file)
        pulledAt = tree["pulledAt"]?.stringValue ?? ""
    }

    var tree: JSONValue {
        var tree = image.tree
        tree["reference"] = .string(reference.description)
        tree["target"] = .string(target.description)
        tree["pulledAt"] = .string(pulledAt)
        return tree
    }
}

/// `layers/<id>.json`
struct LayerRecord: Sendable, Hashable {
    let diffID: Digest
    /// Bytes of the layer's files.
    let size: Int64
    let entries: Int64

    init(diffID: Digest, size: Int64, entries: Int64) {
        self.diffID = diffID
        self.size = size
        self.entries = entries
    }

    init(_ tree: JSONValue, file: String) throws(ImageError) {
        guard let diffID = Digest(validating: tree["diffID"]?.stringValue ?? ""),
            let size = tree["size"]?.integerValue, let entries = tree["entries"]?.integerValue
        else { throw .damagedStore(file, reason: "no layer record") }
        self.init(diffID: diffID, size: size, entries: entries)
    }

    var tree: JSONValue {
        ["diffID": .string(diffID.description), "size": .integer(size), "entries": .integer(entries)]
    }
}
