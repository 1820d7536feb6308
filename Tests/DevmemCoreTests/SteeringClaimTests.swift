import CDevmem
import Foundation
import Glibc
import SystemPackage
import Testing

@testable import DevmemCore

/// Claims are visible in the network namespace, and only root can block root.
@Suite struct SteeringClaimTests {
    /// A NIC that no other test claims.
    private let key = JournalStore.Key(
        namespace: .random(in: 0...(.max)), index: .random(in: 0...(.max)))

    @Test func namesAreReadAsTheyAreWritten() {
        for name in [
            ClaimName(key, isShared: true, tag: 0), ClaimName(key, isShared: false, tag: .max),
        ] {
            #expect(ClaimName(bytes: name.bytes) == name)
        }
        #expect(ClaimName(bytes: []) == nil)
        #expect(ClaimName(bytes: Array("devmemtcp/netns-1-interface-4/shared/1".utf8)) == nil)
        #expect(ClaimName(bytes: [0] + ClaimName(key, isShared: true, tag: 1).bytes) == nil)
        for text in [
            "", "@", "devmemtcp/netns-1-interface-4/shared/1\n",
            "devmemtcp/netns-1-interface-4/shared/1\0", "@devmemtcp/netns-1-interface-4/shared/1",
            "@devmemtcp/netns-1-interface-4/other/1", "@devmemtcp/netns-1-interface-4/shared/",
            "@devmemtcp/netns-1-interface-4/shared/0x1", "@devmemtcp/netns-1-interface-4/shared/01",
            "@devmemtcp/netns-1-interface-4/shared/1/", "@devmemtcp/netns--1-interface-4/shared/1",
            "@devmemtcp/netns-1-interface-99999999999/shared/1",
            "@devmemtcp/netns-1-interface-4/shared/1ffffffffffffffff",
        ] {
            #expect(ClaimName(bytes: [0] + Array(text.utf8)) == nil, "\(text)")
        }
    }

    private func refusal(shared: Bool) -> DevmemError? {
        do throws(DevmemError) {
            _ = try SteeringClaim(key, shared: shared, name: "sim0")
            return nil
        } catch {
            return error
        }
    }

    private func holder(of key: JournalStore.Key) throws -> SteeringClaim.Holder? {
        try #require(try PublishedClaims.all()).holders()[key]
    }

    /// Two containers that share the network namespace but no files.
    @Test func claimsCrossContainersOfANamespace() throws {
        #expect(try holder(of: key) == nil)
        do {
            let held = try SteeringClaim(key, shared: false, name: "sim0")
            defer { withExtendedLifetime(held) {} }
            #expect(try holder(of: key)?.pid == getpid())
            #expect(try PublishedClaims.all()?.keys.contains(key) == true)
            for shared in [false, true] {
                let error = refusal(shared: shared)
                #expect(error?.errno == .resourceBusy)
                #expect(error?.message?.hasSuffix("pid \(getpid())") == true)
            }
        }
        #expect(refusal(shared: false) == nil)
        let first = try SteeringClaim(key, shared: true, name: "sim0")
        defer { withExtendedLifetime(first) {} }
        #expect(refusal(shared: true) == nil)
        #expect(refusal(shared: false)?.errno == .resourceBusy)
    }

    @Test func theLockIsHeldAgainstOtherFoldersToo() throws {
        let stores = (1...2).map { number in
            JournalStore(directory: "/tmp/devmemtcp-claim-\(UUID().uuidString)-\(number)")
        }
        defer {
            for store in stores { try? FileManager.default.removeItem(atPath: store.directory) }
        }
        let held = try SteeringLock(key, name: "sim0", in: stores[0])
        defer { withExtendedLifetime(held) {} }
        let error = #expect(throws: DevmemError.self) {
            try takeAndGive(stores[1])
        }
        #expect(error?.errno == .resourceBusy)
    }

    private func takeAndGive(_ store: JournalStore) throws(DevmemError) {
        _ = try SteeringLock(key, name: "sim0", in: store)
    }

    /// A name taken by another user neither gives it the NIC nor blocks root: with a datagram
    /// socket, with a listening socket and a pending connection, or with a name that imitates a
    /// line of /proc/net/unix about a socket of root.
    @Test(arguments: ForeignClaim.allCases)
    func aForeignClaimDoesNotCount(squat: ForeignClaim) async {
        await #expect(processExitsWith: .exitCode(7)) { [squat] in
            // Not used by another test or another case of this one.
            let key = JournalStore.Key(namespace: UInt64(getpid()), index: 77)
            let name = ClaimName(key, isShared: false, tag: 1)
            guard seteuid(65534) == 0 else { exit(1) }
            squat.take(name)
            guard seteuid(0) == 0 else { exit(2) }
            guard try PublishedClaims.all()?.keys.contains(key) == false else { exit(3) }
            let claim = try SteeringClaim(key, shared: false, name: "sim0")
            guard try PublishedClaims.all()?.holders()[key]?.pid == getpid() else { exit(4) }
            withExtendedLifetime(claim) {}
            exit(7)
        }
    }

    /// Ways to occupy a name.
    enum ForeignClaim: String, CaseIterable, Codable {
        case datagram, listener, forgery

        func take(_ name: ClaimName) {
            let isStream = self == .listener
            let number = socket(AF_UNIX, isStream ? cdm_SOCK_STREAM : cdm_SOCK_DGRAM, 0)
            var bytes = name.bytes
            if self == .forgery {
                // Owned by root, and open in this process.
                var status = stat()
                let root = socket(AF_UNIX, cdm_SOCK_DGRAM, 0)
                guard root >= 0, fstat(root, &status) == 0 else { exit(10) }
                let line = "0: 2 0 10000 5 1 \(status.st_ino) @\(name.text)"
                bytes = [0] + Array("x\n\(line)\n".utf8)
            }
            guard bindName(number, bytes) == 0 else { exit(11) }
            guard isStream else { return }
            guard listen(number, 1) == 0 else { exit(12) }
            let caller = socket(AF_UNIX, cdm_SOCK_STREAM, 0)
            guard withName(bytes, { connect(caller, $0, $1) }) == 0 else { exit(13) }
        }

        private func bindName(_ number: Int32, _ bytes: [UInt8]) -> Int32 {
            withName(bytes) { bind(number, $0, $1) }
        }

        private func withName(
            _ bytes: [UInt8], _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
        ) -> Int32 {
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) {
                $0.copyBytes(from: bytes.prefix($0.count))
            }
            return withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    body($0, socklen_t(2 + bytes.count))
                }
            }
        }
    }

    /// The processes are scanned at most once, and not for claims of other users.
    @Test func processesAreScannedAtMostOnce() {
        func sockets(_ count: UInt32, user: uid_t) -> [UnixSocket] {
            (0..<count).map { number in
                let key = JournalStore.Key(namespace: 1, index: number)
                let name = ClaimName(key, isShared: false, tag: UInt64(number))
                return UnixSocket(name: name.bytes, user: user, inode: UInt64(number) + 1)
            }
        }
        var looks = 0
        let processes = { () -> [ProcessDescriptors] in
            looks += 1
            return [ProcessDescriptors(pid: 9, name: "p", sockets: [1, 3])]
        }
        let foreign = PublishedClaims(sockets(600, user: 65534), user: 0)
        #expect(foreign.isEmpty && foreign.holders(among: processes).isEmpty && looks == 0)
        let own = PublishedClaims(sockets(600, user: 0), user: 1000)
        let holders = own.holders(among: processes)
        #expect(looks == 1 && holders.count == 600)
        #expect(holders[JournalStore.Key(namespace: 1, index: 2)]?.pid == 9)
        #expect(holders[JournalStore.Key(namespace: 1, index: 3)] == .init(pid: nil))
        // No scan for a NIC that is not claimed.
        let other = ClaimName(
            JournalStore.Key(namespace: 2, index: 1), isShared: false, tag: 1)
        #expect(own.rivals(of: other).holders(among: processes).isEmpty && looks == 1)
    }

    /// Replies about sockets are parsed, and refused without the owner.
    @Test func answersAboutSocketsAreRead() throws {
        func answer(type: UInt8, _ attributes: [(UInt16, [UInt8])]) -> [UInt8] {
            var bytes: [UInt8] = [1, type, 7, 0, 9, 0, 0, 0] + [UInt8](repeating: 0, count: 8)
            for (number, payload) in attributes {
                withUnsafeBytes(of: UInt16(4 + payload.count)) { bytes += $0 }
                withUnsafeBytes(of: number) { bytes += $0 }
                bytes += payload + [UInt8](repeating: 0, count: (4 - payload.count % 4) % 4)
            }
            return bytes
        }
        let name: (UInt16, [UInt8]) = (0, [0, 0x61, 0x0a])
        let user = (UInt16(7), withUnsafeBytes(of: UInt32(5)) { Array($0) })
        let known = try UnixSocket(answer(type: 2, [name, user])[...])
        #expect(known == UnixSocket(name: [0, 0x61, 0x0a], user: 5, inode: 9))
        #expect(try UnixSocket(answer(type: 1, [name, user])[...]) == nil)
        #expect(try UnixSocket(answer(type: 2, [user])[...]) == nil)
        #expect(throws: DevmemError.self) { try UnixSocket(answer(type: 2, [name])[...]) }
        for length in 0..<28 {
            _ = try? UnixSocket(answer(type: 2, [name, user]).prefix(length))
        }
    }

    /// If it is unknown whether another process steers the NIC, that is an error.
    @Test func whatCannotBeKnownIsAnError() async {
        await #expect(processExitsWith: .exitCode(7)) {
            var limit = rlimit(rlim_cur: 64, rlim_max: 64)
            setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
            let key = JournalStore.Key(namespace: 1, index: 78)
            // Another thread of the test's library may close a descriptor in between.
            for _ in 0..<100 {
                var last: Int32 = 0
                while last >= 0 { last = dup(0) }
                // Enough descriptors for the claim's socket but not for the query.
                close(63)
                do throws(DevmemError) {
                    _ = try SteeringClaim(key, shared: false, name: "sim0")
                } catch {
                    guard error.errno == .tooManyOpenFiles,
                        error.operation.text.hasPrefix(
                            "find out whether another process steers sim0")
                    else { exit(2) }
                    exit(7)
                }
            }
            exit(1)
        }
    }

    @Test func nobodyElseMayOpenTheLock() throws {
        let store = JournalStore(directory: "/tmp/devmemtcp-claim-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(atPath: store.directory) }
        try store.prepare()
        // As an earlier version created it.
        let path = store.lockPath(of: key)
        _ = try Descriptor.open(path, O_RDWR | O_CREAT, mode: 0o644)
        let held = try SteeringLock(key, name: "sim0", in: store)
        defer { withExtendedLifetime(held) {} }
        var status = stat()
        #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
    }

    @Test func aFolderThatOthersMayWriteToIsRefused() throws {
        let path = "/tmp/devmemtcp-claim-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        for (mode, owner) in [(0o777, 0), (0o1777, 0), (0o775, 0), (0o755, 65534)] {
            rmdir(path)
            mkdir(path, 0o700)
            chmod(path, mode_t(mode))
            chown(path, uid_t(owner), 0)
            let error = #expect(throws: DevmemError.self) {
                try JournalStore(directory: path).prepare()
            }
            #expect(error?.message?.hasPrefix("others may write there") == true)
        }
        let relative = #expect(throws: DevmemError.self) {
            try JournalStore(directory: "state").prepare()
        }
        #expect(relative?.message == "it is not an absolute path")
    }

    @Test func theFolderIsOfTheEnvironment() async {
        await #expect(processExitsWith: .exitCode(7)) {
            unsetenv("DEVMEMTCP_STATE_DIR")
            guard JournalStore().directory == "/run/devmemtcp" else { exit(1) }
            setenv("DEVMEMTCP_STATE_DIR", "", 1)
            guard JournalStore().directory == "/run/devmemtcp" else { exit(2) }
            setenv("DEVMEMTCP_STATE_DIR", "/var/lib/devmemtcp", 1)
            guard JournalStore().directory == "/var/lib/devmemtcp" else { exit(3) }
            // A missing directory is an error, because nothing is known about steering.
            for wrong in ["/nonexistent/state", "state"] {
                setenv("DEVMEMTCP_STATE_DIR", wrong, 1)
                guard (try? JournalStore().keys()) == nil else { exit(4) }
                guard (try? steeredNICs()) == nil else { exit(5) }
            }
            exit(7)
        }
    }

    /// A symbolic link or a file in its place is refused.
    @Test func theFolderIsNoLink() throws {
        let path = "/tmp/devmemtcp-claim-\(UUID().uuidString)"
        defer {
            unlink(path)
            rmdir(path + "-real")
        }
        #expect(mkdir(path + "-real", 0o755) == 0 && symlink(path + "-real", path) == 0)
        #expect(throws: DevmemError.self) { try JournalStore(directory: path).prepare() }
        #expect(throws: DevmemError.self) { try JournalStore(directory: path).keys() }
        // An unreadable directory is not an empty one.
        #expect(throws: DevmemError.self) { try JournalStore(directory: "/dev/null").keys() }
    }
}
