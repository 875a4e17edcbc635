// `swiftlet image ls` and `inspect`: what is in the store.
import ArgumentParser
import Images
import JSONTree
import Linux
import LocalNode
import OCI

/// `swiftlet image ls`
struct ImageListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls", abstract: "List the images of this host.", aliases: ["list"])

    @OptionGroup var options: CommonOptions
    @OptionGroup var output: OutputOptions

    @Flag(name: .shortAndLong, help: "Only the images' ids.")
    var quiet = false

    func run() throws {
        let images = try options.imageStore().list()
        if quiet {
            for image in images { write("\(image.id)\n", to: STDOUT_FILENO) }
            return
        }
        switch output.format {
        case .json: write(JSONValue.array(images.map(\.tree)).text(pretty: true) + "\n", to: STDOUT_FILENO)
        case .table:
            var table = TextTable(["IMAGE", "ID", "LAYERS", "SIZE", "PULLED"])
            for image in images {
                let names = image.references.isEmpty ? ["<none>"] : image.references.map(\.description)
                for name in names {
                    table.add(
                        [name, image.id.short, "\(image.layers.count)", humanBytes(image.size), image.pulledAt])
                }
            }
            write(table.text(), to: STDOUT_FILENO)
        }
    }
}

/// `swiftlet image inspect REF…`
struct ImageInspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Print what is known of images, with their manifests, as JSON.")

    @OptionGroup var options: CommonOptions

    @Argument(help: ArgumentHelp("A reference, or the beginning of an id.", valueName: "ref"))
    var references: [String]

    func run() throws {
        let store = try options.imageStore()
        var found: [JSONValue] = []
        for reference in references {
            guard let image = try store.find(reference) else {
                throw ImageError.notFound(reference, where: "the store")
            }
            let documents = try store.documents(of: image)
            var tree = image.tree
            tree["layers"] = .array(image.layers.map { .string($0) })
            tree["manifest"] = try JSONValue.parse(documents.manifest)
            tree["config"] = try JSONValue.parse(documents.config)
            found.append(tree)
        }
        write(JSONValue.array(found).text(pretty: true) + "\n", to: STDOUT_FILENO)
    }
}

extension Image {
    /// As `-o json` lists it.
    fileprivate var tree: JSONValue {
        [
            "references": .array(references.map { .string($0.description) }), "id": .string(id.description),
            "manifestDigest": .string(manifestDigest.description),
            "repositoryDigests": .array(repositoryDigests.map { .string($0) }),
            "platform": .string(config.platform.description), "layerCount": JSONValue(layers.count),
            "size": .integer(size), "created": .string(config.created), "pulledAt": .string(pulledAt),
        ]
    }
}
