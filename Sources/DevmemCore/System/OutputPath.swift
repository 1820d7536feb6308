import CDevmem
import Glibc
import SystemPackage

/// The path of a file to write, as a program with privileges must open it: in a folder that others may
/// write to, a link of another user, or a file of another user, may not decide what is written.
///
/// The kernel refuses some of that too, if sysctls fs.protected_symlinks, fs.protected_hardlinks,
/// fs.protected_regular and fs.protected_fifos say so (proc_sys_fs(5)), and only in sticky folders.
package struct OutputPath: ~Copyable {
    /// The most symbolic links on the way, as in the kernel (`MAXSYMLINKS`).
    private static let maximumLinks = 40

    private let path: String
    /// What is left of the path, relative to the folder.
    private var rest: [Substring]
    private var folder: Descriptor
    private var links = 0

    private init(_ path: String) throws(DevmemError) {
        self.path = path
        rest = Self.components(path[...])
        folder = try Self.start(of: path[...], path)
    }

    /// Opens a file for writing, with `O_CLOEXEC` added to `flags`.
    ///
    /// - Parameters:
    ///   - path: the path.
    ///   - flags: the flags of open(2).
    ///   - mode: the mode of a new file.
    /// - Returns: the descriptor.
    /// - Throws: `DevmemError` of kind `system` with the `errno` of open(2), `invalid` if another user
    ///   decides which file it is.
    package static func open(
        _ path: String, _ flags: Int32, mode: UInt32 = 0
    ) throws(DevmemError) -> Descriptor {
        // The kernel knows what is wrong with a path that names no file.
        guard let last = path.last, last != "/" else { return try .open(path, flags, mode: mode) }
        var way = try OutputPath(path)
        while true {
            guard let name = way.rest.first else {
                throw DevmemError(.system, call: "open \(path)", errno: .isDirectory)
            }
            way.rest.removeFirst()
            if !way.rest.isEmpty {
                try way.enter(name)
            } else if let file = try way.openLast(name, flags, mode: mode) {
                return file
            }
        }
    }

    /// Replaces a file, or creates it: whoever opens the path finds the old contents or the new ones,
    /// never a part. A symbolic link is followed.
    ///
    /// - Parameters:
    ///   - path: the path.
    ///   - contents: the new contents.
    ///   - mode: the mode of the file.
    /// - Throws: `DevmemError` of kind `system` if the file cannot be written, `invalid` if the path
    ///   names anything but a file, or if another user decides which file it is.
    package static func replace(
        _ path: String, contents: some Sequence<UInt8>, mode: UInt32
    ) throws(DevmemError) {
        var way = try OutputPath(path)
        while true {
            guard path.last != "/", let name = way.rest.first, name != ".." || way.rest.count > 1
            else { throw DevmemError(.system, call: "open \(path)", errno: .isDirectory) }
            way.rest.removeFirst()
            if !way.rest.isEmpty {
                try way.enter(name)
            } else if try way.isFileOrFree(name) {
                return try way.replaceLast(name, Array(contents), mode: mode)
            }
        }
    }

    /// Returns whether the last component is a regular file that may be replaced, or names nothing;
    /// false if it is a link, whose path is then what is left.
    private mutating func isFileOrFree(_ name: Substring) throws(DevmemError) -> Bool {
        let file: Descriptor
        do throws(DevmemError) {
            file = try at(name, cdm_O_PATH | O_NOFOLLOW)
        } catch {
            guard error.errno == .noSuchFileOrDirectory else { throw error }
            return true
        }
        let status = try Self.status(of: file, path)
        switch status.st_mode & S_IFMT {
        case S_IFREG:
            try checkOwner(of: file, name)
            return true
        case S_IFLNK where try follow(file, status, name):
            return false
        default:
            // Replacing /dev/null, for one, would do harm.
            throw DevmemError(
                .invalid, call: "replace \(path)", message: "\(name) is not a regular file")
        }
    }

    /// Writes a new file beside the one at the end of the way, and gives it that one's name.
    private func replaceLast(
        _ name: Substring, _ contents: [UInt8], mode: UInt32
    ) throws(DevmemError) {
        // Hidden and with another ending, so that a program which reads all files of some ending in
        // the folder does not read it.
        let fresh = ".devmemtcp-\(String(UInt64.random(in: 0...(.max)), radix: 16)).new"
        let file = try at(fresh[...], O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: mode)
        do throws(DevmemError) {
            try writeAll(contents, to: file.rawValue, name: path)
            try syncToDisk(file.rawValue, name: path)
            try file.close(path)
            try retrying("replace \(path)") {
                renameat(folder.rawValue, fresh, folder.rawValue, String(name))
            }
        } catch {
            unlinkat(folder.rawValue, fresh, 0)
            throw error
        }
    }

    private static func components(_ path: Substring) -> [Substring] {
        // Not by character: with a mark that combines with it, a slash is another character, but still
        // a slash to the kernel.
        path.utf8.split(separator: UInt8(ascii: "/")).map { Substring($0) }.filter { $0 != "." }
    }

    /// Opens the folder that a path starts from.
    private static func start(of path: Substring, _ whole: String) throws(DevmemError) -> Descriptor
    {
        let name = path.utf8.first == UInt8(ascii: "/") ? "/" : "."
        let number = try retrying("open \(whole)") {
            cdm_open(name, cdm_O_PATH | O_DIRECTORY | O_CLOEXEC, 0)
        }
        return Descriptor(owning: number)
    }

    /// Goes on in a folder on the way, or to where a link leads.
    private mutating func enter(_ name: Substring) throws(DevmemError) {
        let next = try at(name, cdm_O_PATH | O_NOFOLLOW)
        let status = try Self.status(of: next, path)
        guard status.st_mode & S_IFMT == S_IFLNK else {
            folder = consume next
            return
        }
        guard try follow(next, status, name) else {
            // One of /proc is no path, but only the kernel's to follow.
            folder = try at(name, cdm_O_PATH | O_DIRECTORY)
            return
        }
    }

    /// Opens the file at the end of the way; nil if it is a link, whose path is then what is left.
    private mutating func openLast(
        _ name: Substring, _ flags: Int32, mode: UInt32
    ) throws(DevmemError) -> Descriptor? {
        do throws(DevmemError) {
            let file = try at(name, flags | O_NOFOLLOW, mode: mode)
            try checkOwner(of: file, name)
            return file
        } catch {
            // For one in a sticky folder the kernel says EACCES (`may_create_in_sticky` of fs/namei.c).
            guard error.errno == .tooManySymbolicLinkLevels || error.errno == .permissionDenied,
                let last = try? at(name, cdm_O_PATH | O_NOFOLLOW),
                let status = try? Self.status(of: last, path), status.st_mode & S_IFMT == S_IFLNK
            else { throw error }
            return try follow(last, status, name) ? nil : try at(name, flags, mode: mode)
        }
    }

    /// Replaces a link by its path.
    ///
    /// - Returns: false for a link of /proc, which has no path.
    /// - Throws: `DevmemError` of kind `invalid` if the link is another user's, in a folder that others
    ///   may write to.
    private mutating func follow(
        _ link: borrowing Descriptor, _ status: stat, _ name: Substring
    ) throws(DevmemError) -> Bool {
        links += 1
        guard links <= Self.maximumLinks else {
            throw DevmemError(.system, call: "open \(path)", errno: .tooManySymbolicLinkLevels)
        }
        if isSuspect(status) { throw refusal("\(name) is a link of user \(status.st_uid)") }
        guard !isOfProc else { return false }
        var target = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = try retrying("open \(path)") {
            readlinkat(link.rawValue, "", &target, target.count)
        }
        let bytes = target[..<count].map { UInt8(bitPattern: $0) }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw DevmemError(.system, call: "open \(path)", errno: .illegalByteSequence)
        }
        if text.utf8.first == UInt8(ascii: "/") { folder = try Self.start(of: text[...], path) }
        rest = Self.components(text[...]) + rest
        return true
    }

    /// Refuses an existing file that another user may have put there: one of their own, or a second
    /// name of any file.
    private func checkOwner(of file: borrowing Descriptor, _ name: Substring) throws(DevmemError) {
        let status = try Self.status(of: file, path)
        let kind = status.st_mode & S_IFMT
        guard kind == S_IFREG || kind == S_IFIFO else { return }
        if isSuspect(status) { throw refusal("\(name) is of user \(status.st_uid)") }
        if kind == S_IFREG && status.st_nlink > 1 && sharedFolder != nil {
            throw refusal("\(name) is one of \(status.st_nlink) names of a file")
        }
    }

    /// Whether what lies in the folder may be another user's doing, whom its owner need not know.
    private func isSuspect(_ status: stat) -> Bool {
        guard let parent = sharedFolder else { return false }
        return status.st_uid != geteuid() && status.st_uid != parent.st_uid
    }

    /// The folder, if others than its owner may write to it.
    private var sharedFolder: stat? {
        guard let status = try? Self.status(of: folder, path),
            status.st_mode & (S_IWGRP | S_IWOTH) != 0
        else { return nil }
        return status
    }

    private var isOfProc: Bool {
        var system = statfs()
        return fstatfs(folder.rawValue, &system) == 0 && Int(system.f_type) == cdm_PROC_SUPER_MAGIC
    }

    private func refusal(_ what: String) -> DevmemError {
        DevmemError(
            .invalid, call: "open \(path)",
            message: "\(what), in a folder that others may write to",
            advice: "choose a folder of your own")
    }

    private func at(
        _ name: Substring, _ flags: Int32, mode: UInt32 = 0
    ) throws(DevmemError) -> Descriptor {
        let number = try retrying("open \(path)") {
            cdm_openat(folder.rawValue, String(name), flags | O_CLOEXEC, mode)
        }
        return Descriptor(owning: number)
    }

    private static func status(
        of file: borrowing Descriptor, _ path: String
    ) throws(DevmemError) -> stat {
        var status = stat()
        try retrying("open \(path)") { fstat(file.rawValue, &status) }
        return status
    }
}
