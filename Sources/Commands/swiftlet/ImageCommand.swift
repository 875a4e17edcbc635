// `swiftlet image`: what is on disk, where it comes from, what may go. Works on the store directly, agent or not.
import ArgumentParser
import Images
import JSONTree
import Linux
import LocalNode
import OCI

struct ImageCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "image", abstract: "Pull, import, list and remove images.",
        subcommands: [
            ImagePullCommand.self, ImageImportCommand.self, ImageListCommand.self, ImageInspectCommand.self,
            ImageRemoveCommand.self, ImagePruneCommand.self,
        ])
}

extension CommonOptions {
    /// The images of this data directory.
    func imageStore() throws -> ImageStore {
        try DataDirectory.open(dataDirectory)
        return try ImageStore(directory: "\(dataDirectory)/images")
    }
}

/// Which registries are asked, and as whom.
struct RegistryOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Mirrors, credentials and TLS of registries, as k3s has them (default: \(Registries.defaultPath)).",
            valueName: "file"),
        completion: .file(extensions: ["yaml", "yml"]))
    var registries: String?

    func load() throws -> Registries { try Registries.load(path: registries) }
}

/// `swiftlet image pull REF`
struct ImagePullCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pull", abstract: "Bring an image from its registry.",
        discussion: """
            Credentials come from the registries file and from Docker's config.json. Registries on this host
            (localhost, 127.0.0.0/8) may speak plain HTTP; others only when the registries file says so.
            """)

    @OptionGroup var options: CommonOptions
    @OptionGroup var registries: RegistryOptions

    @Flag(name: .shortAndLong, help: "Print nothing but the image's id.")
    var quiet = false

    @Argument(help: ArgumentHelp("The image, such as nginx or localhost:5000/web:1.", valueName: "ref"))
    var reference: String

    func run() async throws {
        let reference = try ImageReference(self.reference)
        let store = try options.imageStore()
        let renderer = ProgressRenderer(title: reference.description, isQuiet: quiet)
        let image: Image
        do {
            image = try await store.pull(reference, from: try registries.load()) { renderer.take($0) }
            renderer.finish()
        } catch {
            renderer.finish()
            throw CommandError((error as? ImageError)?.description(of: self.reference) ?? "\(error)")
        }
        printResult(image, named: reference.description, quiet: quiet)
    }
}

/// `swiftlet image import FILE|DIR`
struct ImageImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Bring images from a directory or an archive.",
        discussion: "Takes an OCI layout (directory or tar) and what `docker save` and `podman save` write.")

    @OptionGroup var options: CommonOptions

    @Option(help: ArgumentHelp("What manifests will call the image.", valueName: "ref"))
    var name: String?

    @Flag(name: .shortAndLong, help: "Print nothing but the images' ids.")
    var quiet = false

    @Argument(
        help: ArgumentHelp("An OCI layout, an OCI archive or a docker-archive.", valueName: "file"), completion: .file()
    )
    var path: String

    func run() async throws {
        let name = try self.name.map { text throws in try ImageReference(text) }
        let store = try options.imageStore()
        let renderer = ProgressRenderer(title: path, isQuiet: quiet)
        let images: [Image]
        do {
            images = try await store.importImages(from: path, name: name) { renderer.take($0) }
            renderer.finish()
        } catch {
            renderer.finish()
            throw error
        }
        for image in images {
            let names = name.map { [$0] } ?? image.references
            printResult(image, named: names.map(\.description).joined(separator: " "), quiet: quiet)
        }
    }
}

private func printResult(_ image: Image, named name: String, quiet: Bool) {
    let line =
        quiet
        ? "\(image.id)\n" : "\(name)  \(image.id.short)  \(humanBytes(image.size))  \(image.layers.count) layers\n"
    write(line, to: STDOUT_FILENO)
}

/// `12.3 MiB`; whole bytes below 1 KiB.
func humanBytes(_ bytes: Int64) -> String {
    guard bytes >= 1024 else { return "\(bytes) B" }
    var value = Double(bytes)
    var unit = ""
    for next in ["KiB", "MiB", "GiB", "TiB"] where value >= 1024 {
        value /= 1024
        unit = next
    }
    let tenths = Int((value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10) \(unit)"
}
