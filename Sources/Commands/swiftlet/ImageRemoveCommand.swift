// `swiftlet image rm` and `prune`: what goes. Nothing that a pod uses ever does.
import ArgumentParser
import Images
import JSONTree
import Linux
import OCI

/// `swiftlet image rm REF…`
struct ImageRemoveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm", abstract: "Remove images.",
        discussion: """
            A reference loses that name, an id all names; with its last name the image goes, unless a pod uses it:
            then its layers stay until the pod is gone and `swiftlet image prune` runs.
            """, aliases: ["remove"])

    @OptionGroup var options: CommonOptions

    @Argument(help: ArgumentHelp("A reference, or the beginning of an id.", valueName: "ref"))
    var references: [String]

    func run() throws {
        let store = try options.imageStore()
        // All must be known before the first goes.
        let targets = try references.map { text in
            guard let image = try store.find(text) else { throw ImageError.notFound(text, where: "the store") }
            let reference = try? ImageReference(text)
            return (image, image.references.first { $0 == reference })
        }
        for (image, reference) in targets {
            let removal = try reference.map { try store.remove($0) } ?? store.remove(image)
            for name in removal.references { write("untagged \(name)\n", to: STDOUT_FILENO) }
            for digest in removal.images { write("deleted \(digest)\n", to: STDOUT_FILENO) }
            if !removal.keptBy.isEmpty {
                warn("\(image.id.short): its layers stay, in use by \(removal.keptBy.joined(separator: ", "))")
            }
        }
    }
}

/// `swiftlet image prune`
struct ImagePruneCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune", abstract: "Remove what no name and no pod needs, and what broken pulls left.")

    @OptionGroup var options: CommonOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        let removal = try options.imageStore().prune()
        switch output.format {
        case .json:
            let tree: JSONValue = [
                "images": .array(removal.images.map { .string($0.description) }),
                "layers": JSONValue(removal.layers), "bytes": .integer(removal.bytes),
            ]
            write(tree.text(pretty: true) + "\n", to: STDOUT_FILENO)
        case .table:
            let text =
                "\(removal.images.count) images and \(removal.layers) layers removed, \(humanBytes(removal.bytes))"
            write(text + "\n", to: STDOUT_FILENO)
        }
    }
}
