import FoundationEssentials
import Glibc
import SystemPackage

/// The folder in which steering journals lie, one for each NIC that is steered.
///
/// A journal is written whole to a new file that then takes the old one's place, so that there is
/// no moment at which it is half there. Its first line holds a checksum of the rest.
public struct JournalStore: Sendable {
    /// Identifies a NIC among all network namespaces.
    struct Key: Hashable, Sendable {
        var namespace: UInt64
        var index: UInt32

        init(namespace: UInt64, index: UInt32) {
            self.namespace = namespace
            self.index = index
        }

        init(_ interface: SteeringJournal.Interface) {
            self.init(namespace: interface.namespace, index: interface.index)
        }

        var fileName: String { "netns-\(namespace)-interface-\(index)" }

        init?(fileName: Substring) {
            let parts = fileName.split(separator: "-", omittingEmptySubsequences: false)
            guard parts.count == 4, parts[0] == "netns", parts[2] == "interface",
                let namespace = UInt64(parts[1]), let index = UInt32(parts[3])
            else { return nil }
            self.init(namespace: namespace, index: index)
        }
    }

    private static let suffix = ".journal"
    /// Behind the suffix while a journal is being written.
    private static let unfinished = ".new"
    private static let magic = "devmemtcp-steering"
    /// The environment variable that names the folder.
    static let variable = "DEVMEMTCP_STATE_DIR"

    /// The folder's path.
    public let directory: String

    /// Where journals lie: what the environment says, for containers that share one; else below /run.
    public static var standardDirectory: String {
        guard let value = getenv(variable), value.pointee != 0 else { return "/run/devmemtcp" }
        return String(cString: value)
    }

    /// A store in a folder, which is made when first written to.
    public init(directory: String = JournalStore.standardDirectory) {
        self.directory = directory
    }

    func path(of key: Key) -> String { "\(directory)/\(key.fileName)\(Self.suffix)" }

    func lockPath(of key: Key) -> String { "\(directory)/\(key.fileName).lock" }

    /// Makes the folder if need be. One in which others than root and this user may write is refused:
    /// they could put any file in a journal's place.
    ///
    /// - Throws: `DevmemError` of kind `invalid` if it is such a folder.
    func prepare() throws(DevmemError) {
        guard directory.hasPrefix("/") else {
            throw DevmemError(
                .invalid, call: "use \(directory) for journals", message: "it is no absolute path",
                advice: "set \(Self.variable) to one")
        }
        try make()
        let folder = try Descriptor.open(directory, O_RDONLY | O_DIRECTORY)
        var status = stat()
        try retrying("look at \(directory)") { fstat(folder.rawValue, &status) }
        guard status.st_uid == 0 || status.st_uid == geteuid(), status.st_mode & 0o022 == 0 else {
            throw DevmemError(
                .invalid, call: "use \(directory) for journals",
                message: "others may write there (user \(status.st_uid), mode "
                    + "\(String(status.st_mode & 0o7777, radix: 8)))",
                advice: "chown root: \(directory); chmod 755 \(directory)")
        }
    }

    private func make() throws(DevmemError) {
        let call = "create \(directory)"
        do throws(DevmemError) {
            try retrying(call) { mkdir(directory, 0o755) }
        } catch {
            guard error.errno == .fileExists else { throw Self.needsRoot(error) }
        }
    }

    /// The NICs that have a journal, or one that its writer did not live to finish; none if there is
    /// no folder.
    func keys() -> [Key] {
        guard let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var keys: Set<Key> = []
        while let entry = readdir(stream) {
            var name = withUnsafeBytes(of: &entry.pointee.d_name) {
                Substring(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name.hasSuffix(Self.unfinished) { name = name.dropLast(Self.unfinished.count) }
            guard name.hasSuffix(Self.suffix) else { continue }
            if let key = Key(fileName: name.dropLast(Self.suffix.count)) { keys.insert(key) }
        }
        return keys.sorted { ($0.namespace, $0.index) < ($1.namespace, $1.index) }
    }

    /// Reads a NIC's journal; nil if it has none.
    ///
    /// - Throws: `DevmemError` of kind `malformed` if it is damaged or of an earlier boot.
    func read(_ key: Key) throws(DevmemError) -> SteeringJournal? {
        guard let journal = try readOfAnyBoot(key) else { return nil }
        guard journal.interface.boot == bootID() else {
            throw DevmemError(
                .malformed, call: "read the journal \(path(of: key))",
                message: "it is of an earlier boot, which has left no settings",
                advice: "the next command that steers \(journal.interface.name) drops it, or "
                    + "\(AdvisedCommand(.restore, journal.interface.name))")
        }
        return journal
    }

    /// Removes a NIC's journal if it is of an earlier boot; to be called by the owner of the NIC's lock.
    ///
    /// - Returns: the journal; nil if there is none of an earlier boot.
    func dropEarlier(_ key: Key) throws(DevmemError) -> SteeringJournal? {
        guard let journal = try readOfAnyBoot(key), journal.interface.boot != bootID() else {
            return nil
        }
        try strike(key)
        return journal
    }

    private func readOfAnyBoot(_ key: Key) throws(DevmemError) -> SteeringJournal? {
        let path = path(of: key)
        let bytes: [UInt8]
        do throws(DevmemError) {
            bytes = try Self.load(path)
        } catch {
            if error.errno == .noSuchFileOrDirectory { return nil }
            throw error
        }
        let journal = try Self.decode(bytes, path: path)
        guard Key(journal.interface) == key else {
            throw Self.refusal(path, "it is of another interface")
        }
        return journal
    }

    private static func load(_ path: String) throws(DevmemError) -> [UInt8] {
        let descriptor = try Descriptor.open(path, O_RDONLY | O_NOFOLLOW)
        var status = stat()
        try retrying("look at \(path)") { fstat(descriptor.rawValue, &status) }
        guard status.st_uid == 0 || status.st_uid == geteuid() else {
            throw refusal(path, "it belongs to user \(status.st_uid)")
        }
        return try contents(of: descriptor, call: "read \(path)")
    }

    /// Puts a journal where the next run finds it.
    func write(_ journal: SteeringJournal) throws(DevmemError) {
        let path = path(of: Key(journal.interface))
        let fresh = path + Self.unfinished
        let bytes = try Self.encode(journal)
        do throws(DevmemError) {
            let flags = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW
            let descriptor = try Descriptor.open(fresh, flags, mode: 0o644)
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = try retrying("write \(fresh)") {
                    rest.withUnsafeBytes {
                        Glibc.write(descriptor.rawValue, $0.baseAddress, $0.count)
                    }
                }
                rest = rest.dropFirst(count)
            }
            try retrying("sync \(fresh)") { fsync(descriptor.rawValue) }
            try retrying("rename \(fresh)") { rename(fresh, path) }
            try sync()
        } catch {
            throw Self.needsRoot(error)
        }
    }

    /// Removes a NIC's journal, whatever is in it; nothing happens if there is none.
    func strike(_ key: Key) throws(DevmemError) {
        for path in [path(of: key), path(of: key) + Self.unfinished] {
            do throws(DevmemError) {
                try retrying("remove \(path)") { unlink(path) }
                try sync()
            } catch {
                guard error.errno == .noSuchFileOrDirectory else { throw Self.needsRoot(error) }
            }
        }
    }

    private func sync() throws(DevmemError) {
        let folder = try Descriptor.open(directory, O_RDONLY | O_DIRECTORY)
        try retrying("sync \(directory)") { fsync(folder.rawValue) }
    }

    static func encode(_ journal: SteeringJournal) throws(DevmemError) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            let body = [UInt8](try encoder.encode(journal))
            let head = "\(magic) \(SteeringJournal.version) \(checksum(body[...]))\n"
            return Array(head.utf8) + body
        } catch {
            throw DevmemError(.malformed, call: "encode a journal", message: "\(error)")
        }
    }

    static func decode(_ bytes: [UInt8], path: String) throws(DevmemError) -> SteeringJournal {
        guard let end = bytes.firstIndex(of: UInt8(ascii: "\n")) else {
            throw refusal(path, "it is cut short or damaged")
        }
        let head = String(decoding: bytes[..<end], as: UTF8.self).split(separator: " ")
        guard head.count == 3, head[0] == magic else {
            throw refusal(path, "it is not a journal of devmemtcp")
        }
        guard head[1] == "\(SteeringJournal.version)" else {
            throw refusal(path, "its version is \(head[1]), not \(SteeringJournal.version)")
        }
        let body = bytes[(end + 1)...]
        guard head[2] == "\(checksum(body))" else {
            throw refusal(path, "it is cut short or damaged")
        }
        do {
            return try JSONDecoder().decode(SteeringJournal.self, from: Data(body))
        } catch {
            throw refusal(path, "it is damaged")
        }
    }

    /// FNV-1a of 64 bits: finds what is cut or overwritten; no defence against forgery.
    private static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }

    private static func refusal(_ path: String, _ why: String) -> DevmemError {
        DevmemError(
            .malformed, call: "read the journal \(path)", message: why,
            advice: "nothing was changed; see to the NIC by hand, then drop the journal with "
                + "\(forgetting(path))")
    }

    /// The command that drops a journal: of its NIC, if its name tells that.
    private static func forgetting(_ path: String) -> AdvisedCommand {
        guard let file = path.split(separator: "/").last, file.hasSuffix(suffix),
            let key = Key(fileName: file.dropLast(suffix.count))
        else { return AdvisedCommand(.forgetAll) }
        return AdvisedCommand(.forget, interfaceName(key.index))
    }

    private static func needsRoot(_ error: DevmemError) -> DevmemError {
        error.errno == .permissionDenied ? error.advising("run as root") : error
    }
}
