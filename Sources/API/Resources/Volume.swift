/// Volume (Kubernetes API reference, core/v1): a name and where its content comes from.
public struct Volume: Sendable, Hashable {
    public enum Source: Sendable, Hashable {
        /// `sizeLimit` in bytes; for the memory medium it bounds the tmpfs.
        case emptyDir(memory: Bool, sizeLimit: Int64?)
        case hostPath(path: String, type: HostPathType)
    }
    /// HostPathType: what must be there, or is made.
    public enum HostPathType: String, Sendable, CaseIterable {
        case unset = "", directoryOrCreate = "DirectoryOrCreate", directory = "Directory"
        case fileOrCreate = "FileOrCreate", file = "File", socket = "Socket", charDevice = "CharDevice"
        case blockDevice = "BlockDevice"
    }
    public var name: String
    public var source: Source
    public init(name: String, source: Source) { (self.name, self.source) = (name, source) }
}
