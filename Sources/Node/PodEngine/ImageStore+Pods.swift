import Images
import Resources

extension ImageStore {
    /// The image of that name if it is in the store.
    func present(_ name: String) throws(ImageError) -> Image? { try resolve(ImageReference(name)) }

    /// The image as its pull policy wants it: from the store, or from its registry.
    func obtain(
        _ name: String, policy: Container.ImagePullPolicy, registriesFile: String?,
        progress: @escaping PullProgress.Handler
    ) async throws(ImageError) -> Image {
        let reference = try ImageReference(name)
        if policy != .always, let image = try resolve(reference) { return image }
        if policy == .never { throw .notFound(name, where: "the image store, and imagePullPolicy is Never") }
        // Read anew each time: a mirror that was added counts at once.
        let registries = try registriesFile.map { path throws(ImageError) in try Registries.load(path: path) }
        return try await pull(reference, from: registries, progress: progress)
    }
}
