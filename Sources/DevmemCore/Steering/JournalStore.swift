import CDevmem
import FoundationEssentials
import Glibc
import SystemPackage

/// The directory that holds the steering journals, one for each steered NIC.
///
/// A journal is written to a new file that is then renamed over the old one, so a reader never sees
/// half a journal. Its first line holds a checksum of the rest.
package struct JournalStore: Sendable {
    /// Identifies a NIC across all network namespaces.
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
    /// Follows the suffix while a journal is being written.
    private static let unfinished = ".new"
    private static let magic = "devmemtcp-steering"
    /// The environment variable that names the directory.
    static let variable = "DEVMEMTCP_STATE_DIR"
    /// How far, in seconds, the clock may have been set forward since boot before a file of this
    /// boot counts as older.
    private static let clockSlack: Int64 = 60

    /// The directory's path.
    package let directory: String
    /// Whether the directory may be absent because no journal has been written yet.
    private let mayBeMissing: Bool
    /// The running system's boot id; nil if it cannot be read.
    var boot = bootID()

    /// Uses the directory named by the environment, which containers can share and which must exist
    /// to be read; otherwise one below /run.
    package init() {
        // A set-user-ID program must not let its caller choose the directory.
        if let value = cdm_secure_getenv(Self.variable), value.pointee != 0 {
            directory = String(cString: value)
            mayBeMissing = false
        } else {
            directory = "/run/devmemtcp"
            mayBeMissing = true
        }
    }

    /// Uses the given directory and creates it on the first write.
    package init(directory: String) {
        self.directory = directory
        mayBeMissing = true
    }

    private func path(_ name: String) -> String { "\(directory)/\(name)" }

    private static func name(of key: Key) -> String { key.fileName + suffix }

    func path(of key: Key) -> String { path(Self.name(of: key)) }

    func lockPath(of key: Key) -> String { path(key.fileName + ".lock") }

    /// Opens the lock file of a NIC and creates it if necessary. Anyone who can open the file can
    /// lock it, so only its owner may open it.
    func openLock(of key: Key) throws(DevmemError) -> Descriptor {
        let folder = try prepare()
        let path = lockPath(of: key)
        do throws(DevmemError) {
            let descriptor = try folder.open(
                key.fileName + ".lock", O_RDWR | O_CREAT, mode: 0o600, path: path)
            try retrying("close \(path) to others") { fchmod(descriptor.rawValue, 0o600) }
            return descriptor
        } catch {
            throw Self.needsRoot(error)
        }
    }

    /// Creates the directory if necessary. Refuses a directory that users other than root and this
    /// user can write to, because they could replace a journal with any file.
    ///
    /// - Returns: the open directory. Journals are accessed relative to it, because its path could
    ///   resolve elsewhere a moment later.
    /// - Throws: `DevmemError` of kind `invalid` if the path is not absolute or others can write to
    ///   the directory; `system` if it cannot be created or opened.
    @discardableResult
    package func prepare() throws(DevmemError) -> Descriptor {
        try checkPath()
        do throws(DevmemError) {
            try retrying("create \(directory)") { mkdir(directory, 0o755) }
        } catch {
            guard error.errno == .fileExists else { throw Self.needsRoot(error) }
        }
        return try openFolder()
    }

    private func checkPath() throws(DevmemError) {
        guard directory.hasPrefix("/") else {
            throw DevmemError(
                .invalid, call: "use \(directory) for journals",
                message: "it is not an absolute path",
                advice: "set \(Self.variable) to one")
        }
    }

    private func openFolder() throws(DevmemError) -> Descriptor {
        do throws(DevmemError) {
            let folder = try Descriptor.open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
            var status = stat()
            try retrying("look at \(directory)") { fstat(folder.rawValue, &status) }
            guard status.st_uid == 0 || status.st_uid == geteuid(), status.st_mode & 0o022 == 0
            else {
                throw DevmemError(
                    .invalid, call: "use \(directory) for journals",
                    message: "others may write there (user \(status.st_uid), mode "
                        + "\(String(status.st_mode & 0o7777, radix: 8)))",
                    advice: "chown root: \(directory); chmod 755 \(directory)")
            }
            return folder
        } catch {
            throw Self.needsRoot(error)
        }
    }

    /// Opens the directory; nil if it does not exist and need not.
    private func existingFolder() throws(DevmemError) -> Descriptor? {
        try checkPath()
        do throws(DevmemError) {
            return try openFolder()
        } catch {
            guard error.errno == .noSuchFileOrDirectory else { throw error }
            if mayBeMissing { return nil }
            throw error.advising(
                "\(Self.variable) names it: create it, or name the folder that is in use")
        }
    }

    /// Lists the NICs that have a journal, complete or partly written; empty if the directory does
    /// not exist yet.
    ///
    /// - Throws: `DevmemError` of kind `system` if the directory cannot be read, or is missing
    ///   although the environment names it; `invalid` if others can write to it.
    func keys() throws(DevmemError) -> [Key] {
        guard let folder = try existingFolder() else { return [] }
        let call = "list \(directory)"
        // closedir() closes the descriptor that it was given.
        let copy = try retrying(call) { fcntl(folder.rawValue, F_DUPFD_CLOEXEC, 0) }
        guard let stream = fdopendir(copy) else {
            let code = Errno(rawValue: errno)
            Glibc.close(copy)
            throw DevmemError(.system, call: call, errno: code)
        }
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
    /// - Throws: `DevmemError` of kind `malformed` if it is damaged or from an earlier boot.
    func read(_ key: Key) throws(DevmemError) -> SteeringJournal? {
        guard let file = try readFromAnyBoot(key) else { return nil }
        guard try predatesBoot(file, key) else { return file.journal }
        throw DevmemError(
            .malformed, call: "read the journal \(path(of: key))",
            message: "it is of an earlier boot, whose settings are gone",
            advice: "the next command that steers the NIC drops it, or "
                + "\(AdvisedCommand(.restore, interfaceName(key.index)))")
    }

    /// Reads a NIC's journal if it is from an earlier boot; otherwise nil.
    func readFromEarlierBoot(_ key: Key) throws(DevmemError) -> SteeringJournal? {
        guard let file = try readFromAnyBoot(key), try predatesBoot(file, key) else { return nil }
        return file.journal
    }

    /// Removes a NIC's journal if it is from an earlier boot. The caller must hold the NIC's lock.
    ///
    /// - Returns: the removed journal; nil if there was none from an earlier boot.
    func removeFromEarlierBoot(_ key: Key) throws(DevmemError) -> SteeringJournal? {
        guard let journal = try readFromEarlierBoot(key) else { return nil }
        try remove(key)
        return journal
    }

    /// Returns whether the system has rebooted since a journal was written. Each container may see
    /// its own boot id, so a different id alone proves nothing.
    private func predatesBoot(_ file: File, _ key: Key) throws(DevmemError) -> Bool {
        guard let boot else { throw bootIDError("read the journal \(path(of: key))") }
        if file.journal.interface.boot == boot { return false }
        if file.written < secondsAtBoot() - Self.clockSlack { return true }
        throw DevmemError(
            .malformed, call: "read the journal \(path(of: key))",
            message: "its boot id is not this system's, but it was written since boot: perhaps "
                + "by a container that sees another id",
            advice: "restore it there; otherwise drop it with \(Self.forgetting(key))")
    }

    private struct File {
        var journal: SteeringJournal
        /// The modification time, in seconds since 1970.
        var written: Int64
    }

    private func readFromAnyBoot(_ key: Key) throws(DevmemError) -> File? {
        guard let folder = try existingFolder() else { return nil }
        let path = path(of: key)
        guard let descriptor = try Self.openJournal(Self.name(of: key), in: folder, path: path)
        else { return nil }
        var status = stat()
        try retrying("look at \(path)") { fstat(descriptor.rawValue, &status) }
        guard status.st_uid == 0 || status.st_uid == geteuid() else {
            throw Self.refusal(path, "it belongs to user \(status.st_uid)")
        }
        let journal = try Self.decode(
            try contents(of: descriptor, call: "read \(path)"), path: path)
        guard Key(journal.interface) == key else {
            throw Self.refusal(path, "it is of another interface")
        }
        return File(journal: journal, written: Int64(status.st_mtim.tv_sec))
    }

    /// Stores a journal where the next run finds it.
    func write(_ journal: SteeringJournal) throws(DevmemError) {
        let name = Self.name(of: Key(journal.interface))
        let fresh = name + Self.unfinished
        let bytes = try Self.encode(journal)
        do throws(DevmemError) {
            let folder = try openFolder()
            let descriptor = try folder.open(
                fresh, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644, path: path(fresh))
            try writeAll(bytes, to: descriptor.rawValue, name: path(fresh))
            try retrying("sync \(path(fresh))") { fsync(descriptor.rawValue) }
            try retrying("rename \(path(fresh))") {
                renameat(folder.rawValue, fresh, folder.rawValue, name)
            }
            try retrying("sync \(directory)") { fsync(folder.rawValue) }
        } catch {
            throw Self.needsRoot(error)
        }
    }

    /// Removes a NIC's journal without reading it; does nothing if there is none.
    func remove(_ key: Key) throws(DevmemError) {
        guard let folder = try existingFolder() else { return }
        for name in [Self.name(of: key), Self.name(of: key) + Self.unfinished] {
            do throws(DevmemError) {
                try retrying("remove \(path(name))") { unlinkat(folder.rawValue, name, 0) }
                try retrying("sync \(directory)") { fsync(folder.rawValue) }
            } catch {
                guard error.errno == .noSuchFileOrDirectory else { throw Self.needsRoot(error) }
            }
        }
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
            throw refusal(path, "it is truncated or damaged")
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
            throw refusal(path, "it is truncated or damaged")
        }
        do {
            return try JSONDecoder().decode(SteeringJournal.self, from: Data(body))
        } catch {
            throw refusal(path, "it is damaged")
        }
    }

    /// FNV-1a, 64 bits. Detects truncated and overwritten files; it is no protection against
    /// forgery.
    private static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }

    private static func refusal(_ path: String, _ why: String) -> DevmemError {
        DevmemError(
            .malformed, call: "read the journal \(path)", message: why,
            advice: "nothing was changed; check the NIC by hand, then drop the journal with "
                + "\(forgetting(path))")
    }

    /// Returns the command that drops a journal: of one NIC if the file name identifies it.
    private static func forgetting(_ path: String) -> AdvisedCommand {
        guard let file = path.split(separator: "/").last, file.hasSuffix(suffix),
            let key = Key(fileName: file.dropLast(suffix.count))
        else { return AdvisedCommand(.forgetAll) }
        return forgetting(key)
    }

    /// Returns the command that drops a NIC's journal, by the NIC's name or its former index.
    private static func forgetting(_ key: Key) -> AdvisedCommand {
        AdvisedCommand(.forget, interfaceName(key.index))
    }

    /// Opens a file in the directory; nil if it does not exist.
    private static func openJournal(
        _ name: String, in folder: borrowing Descriptor, path: String
    ) throws(DevmemError) -> Descriptor? {
        do throws(DevmemError) {
            return try folder.open(name, O_RDONLY, path: path)
        } catch {
            if error.errno == .noSuchFileOrDirectory { return nil }
            throw needsRoot(error)
        }
    }

    private static func needsRoot(_ error: DevmemError) -> DevmemError {
        error.errno == .permissionDenied ? error.advising("run as root") : error
    }
}
