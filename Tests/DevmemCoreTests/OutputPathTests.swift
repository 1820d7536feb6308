import Glibc
import SystemPackage
import Testing

@testable import DevmemCore

/// What another user put into a shared folder does not decide which file is written.
@Suite struct OutputPathTests {
    private static let flags = O_WRONLY | O_CREAT

    /// Makes a folder, calls `body` with its path, and removes it.
    private func inFolder(_ body: (String) throws -> Void) throws {
        var template = Array("/tmp/output-path.XXXXXX".utf8CString)
        _ = try #require(mkdtemp(&template))
        let folder = stringFromCBuffer(template)
        defer {
            for name in ["shared/victim", "shared/name", "shared", "target", "trusted", "loop"] {
                _ = unlink("\(folder)/\(name)") == 0 || rmdir("\(folder)/\(name)") == 0
            }
            rmdir(folder)
        }
        try #require(mkdir("\(folder)/shared", 0o777) == 0)
        try #require(chmod("\(folder)/shared", 0o777) == 0)
        try body(folder)
    }

    private func make(_ path: String) throws {
        let file = try Descriptor.open(path, O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
        try file.close(path)
    }

    private func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    private func refusal(_ path: String) -> DevmemError? {
        do throws(DevmemError) {
            _ = try OutputPath.open(path, Self.flags, mode: 0o600)
            return nil
        } catch {
            return error
        }
    }

    /// A slash stays one to the kernel when a mark follows that combines with it.
    @Test func aCombiningMarkHidesNoFolder() throws {
        try inFolder { folder in
            let link = "\(folder)/shared/\u{301}name"
            try #require(symlink("../target", link) == 0)
            defer { unlink(link) }
            #expect(refusal(link) == nil)
            #expect(exists("\(folder)/target"))
            guard geteuid() == 0 else { return }
            try #require(lchown(link, 65534, 65534) == 0)
            #expect(refusal(link)?.kind == .invalid)
        }
    }

    @Test func linksOfOthersInASharedFolderAreRefused() throws {
        try inFolder { folder in
            try #require(symlink("../target", "\(folder)/shared/name") == 0)
            // One of our own is followed.
            #expect(refusal("\(folder)/shared/name") == nil)
            #expect(exists("\(folder)/target"))
            try #require(unlink("\(folder)/target") == 0)
            guard geteuid() == 0 else { return }
            try #require(lchown("\(folder)/shared/name", 65534, 65534) == 0)
            let error = try #require(refusal("\(folder)/shared/name"))
            #expect(
                error.message
                    == "name is a link of user 65534, in a folder that others may write to")
            #expect(!exists("\(folder)/target"))
            // In a folder that is only its owner's, its owner is to be trusted.
            try #require(chmod("\(folder)/shared", 0o755) == 0)
            #expect(refusal("\(folder)/shared/name") == nil)
        }
    }

    @Test func linksOnTheWayAreRefusedToo() throws {
        try inFolder { folder in
            try #require(symlink("..", "\(folder)/shared/name") == 0)
            try #require(symlink("shared/name", "\(folder)/trusted") == 0)
            #expect(refusal("\(folder)/trusted/target") == nil)
            try #require(unlink("\(folder)/target") == 0)
            guard geteuid() == 0 else { return }
            try #require(lchown("\(folder)/shared/name", 65534, 65534) == 0)
            #expect(refusal("\(folder)/shared/name/target")?.kind == .invalid)
            #expect(refusal("\(folder)/trusted/target")?.kind == .invalid)
            #expect(!exists("\(folder)/target"))
        }
    }

    @Test func filesOfOthersInASharedFolderAreRefused() throws {
        try inFolder { folder in
            try make("\(folder)/shared/victim")
            #expect(refusal("\(folder)/shared/victim") == nil)
            try #require(link("\(folder)/shared/victim", "\(folder)/shared/name") == 0)
            let error = try #require(refusal("\(folder)/shared/name"))
            #expect(error.message?.hasPrefix("name is one of 2 names of a file") == true)
            try #require(unlink("\(folder)/shared/name") == 0)
            guard geteuid() == 0 else { return }
            try #require(chown("\(folder)/shared/victim", 65534, 65534) == 0)
            #expect(refusal("\(folder)/shared/victim")?.kind == .invalid)
            // The folder's owner may have files in it.
            try #require(chown("\(folder)/shared", 65534, 65534) == 0)
            #expect(refusal("\(folder)/shared/victim") == nil)
        }
    }

    @Test func theKernelsErrorsStay() throws {
        try inFolder { folder in
            #expect(refusal("")?.errno == .noSuchFileOrDirectory)
            #expect(refusal("/")?.errno == .isDirectory)
            #expect(refusal("\(folder)/.")?.errno == .isDirectory)
            #expect(refusal("\(folder)/shared/")?.errno == .isDirectory)
            #expect(refusal("\(folder)/none/file")?.errno == .noSuchFileOrDirectory)
            try make("\(folder)/target")
            #expect(refusal("\(folder)/target/file")?.errno == .notDirectory)
            try #require(symlink("loop", "\(folder)/loop") == 0)
            #expect(refusal("\(folder)/loop")?.errno == .tooManySymbolicLinkLevels)
            #expect(refusal("\(folder)/loop/file")?.errno == .tooManySymbolicLinkLevels)
        }
    }

    @Test func openFilesOfThisProcessHaveNames() throws {
        try inFolder { folder in
            let file = try Descriptor.open("\(folder)/target", Self.flags, mode: 0o600)
            #expect(refusal("/dev/fd/\(file.rawValue)") == nil)
            #expect(refusal("/proc/self/fd/\(file.rawValue)") == nil)
        }
    }

    private func replacing(_ path: String, _ text: String) -> DevmemError? {
        do throws(DevmemError) {
            try OutputPath.replace(path, contents: text.utf8, mode: 0o644)
            return nil
        } catch {
            return error
        }
    }

    @Test func aFileIsReplacedAsAWhole() throws {
        try inFolder { folder in
            let path = "\(folder)/shared/name"
            #expect(replacing(path, "first") == nil)
            let reader = try Descriptor.open(path, O_RDONLY)
            #expect(replacing(path, "second") == nil)
            // Whoever has the old file open reads the old contents.
            #expect(try contents(of: reader, call: "read") == Array("first".utf8))
            #expect(try readTextFile(path) == "second")
            var status = stat()
            #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o644 & ~currentMask())
            #expect(names(in: "\(folder)/shared") == ["name"])
            #expect(hidden(in: "\(folder)/shared").isEmpty)
        }
    }

    @Test func onlyAFileIsReplaced() throws {
        try inFolder { folder in
            try #require(mkfifo("\(folder)/shared/name", 0o600) == 0)
            #expect(
                replacing("\(folder)/shared/name", "x")?.message == "name is not a regular file")
            #expect(replacing("/dev/null", "x")?.message == "null is not a regular file")
            #expect(replacing("/dev/stdout", "x")?.kind == .invalid)
            #expect(replacing("\(folder)/shared", "x")?.kind == .invalid)
            #expect(replacing("\(folder)/shared/", "x")?.errno == .isDirectory)
            #expect(replacing("\(folder)/..", "x")?.errno == .isDirectory)
            #expect(replacing("\(folder)/none/name", "x")?.errno == .noSuchFileOrDirectory)
            #expect(replacing("", "x")?.kind == .system)
            #expect(hidden(in: "\(folder)/shared").isEmpty)
        }
    }

    @Test func aLinkIsFollowedUnlessItIsAnothersInASharedFolder() throws {
        try inFolder { folder in
            try make("\(folder)/target")
            try #require(symlink("../target", "\(folder)/shared/name") == 0)
            #expect(replacing("\(folder)/shared/name", "new") == nil)
            #expect(try readTextFile("\(folder)/target") == "new")
            #expect(hidden(in: folder).isEmpty)
            guard geteuid() == 0 else { return }
            try #require(lchown("\(folder)/shared/name", 65534, 65534) == 0)
            #expect(replacing("\(folder)/shared/name", "evil")?.kind == .invalid)
            #expect(try readTextFile("\(folder)/target") == "new")
        }
    }

    /// Lists the hidden files of a folder.
    private func hidden(in folder: String) -> [String] {
        guard let stream = opendir(folder) else { return ["\(folder) cannot be read"] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name.hasPrefix("."), name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    /// Returns the process's umask; umask(2) can only tell it by setting another.
    private func currentMask() -> mode_t {
        lines(of: "/proc/self/status").first { $0.hasPrefix("Umask:") }.flatMap {
            mode_t($0.dropFirst(6).filter { $0.isNumber }, radix: 8)
        } ?? 0
    }
}
