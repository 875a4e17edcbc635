/// The stores of one server: objects, and apart from them events, which come in floods, expire, and may be lost without
/// harm. Each has a file, a writer and revisions of its own.
public struct StoreDirectory: Sendable {
    public let objects: SQLiteStore
    /// For what is put with `expires`.
    public let events: SQLiteStore

    /// Opens both, in a directory that is made where it is missing (mode 0700).
    /// - Throws: As ``SQLiteStore/init(path:settings:)`` does.
    public init(
        _ directory: String, settings: SQLiteStore.Settings = SQLiteStore.Settings()
    ) async throws(StoreError) {
        let files = Self.files(in: directory)
        let objects = try await SQLiteStore(path: files.objects.path, settings: settings)
        do {
            events = try await SQLiteStore(path: files.events.path, settings: settings)
        } catch {
            await objects.close()
            throw error
        }
        self.objects = objects
    }

    /// The files of such a directory, to look after.
    public static func files(in directory: String) -> (objects: StoreFile, events: StoreFile) {
        (StoreFile("\(directory)/objects.sqlite"), StoreFile("\(directory)/events.sqlite"))
    }

    /// ``SQLiteStore/keepTidy(_:every:)`` for both, until the task is cancelled.
    public func keepTidy(_ retention: Retention = Retention(), every interval: Duration = .seconds(30)) async {
        async let first: Void = objects.keepTidy(retention, every: interval)
        async let second: Void = events.keepTidy(retention, every: interval)
        _ = await (first, second)
    }

    /// What is wrong with either.
    public func problems() async -> [String] {
        await objects.problems().map { "objects: \($0)" } + events.problems().map { "events: \($0)" }
    }

    public func close() async {
        await objects.close()
        await events.close()
    }
}
