import CDevmem
import Foundation
import Glibc
import SystemPackage
import Testing

@testable import DevmemCore

/// Who steers a NIC is found by the network namespace, and nobody but root keeps root from it.
@Suite struct SteeringClaimTests {
    /// A NIC that no other test claims.
    private let key = JournalStore.Key(
        namespace: .random(in: 0...(.max)), index: .random(in: 0...(.max)))

    @Test func namesAreReadAsTheyAreWritten() {
        for name in [
            ClaimName(key, isShared: true, tag: 0), ClaimName(key, isShared: false, tag: .max),
        ] {
            #expect(ClaimName(listed: "@\(name.text)") == name)
        }
        for text in [
            "", "@", "devmemtcp/netns-1-interface-4/shared/1",
            "@devmemtcp/netns-1-interface-4/other/1", "@devmemtcp/netns-1-interface-4/shared/",
            "@devmemtcp/netns-1-interface-4/shared/0x1", "@devmemtcp/netns-1-interface-4/shared/01",
            "@devmemtcp/netns-1-interface-4/shared/1/", "@devmemtcp/netns--1-interface-4/shared/1",
            "@devmemtcp/netns-1-interface-99999999999/shared/1",
            "@devmemtcp/netns-1-interface-4/shared/1ffffffffffffffff",
        ] {
            #expect(ClaimName(listed: Substring(text)) == nil, "\(text)")
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

    /// Two containers that share the network namespace, and no files.
    @Test func whoSharesOnlyTheNamespaceIsSeen() throws {
        #expect(SteeringClaim.holder(of: key) == nil)
        do {
            let held = try SteeringClaim(key, shared: false, name: "sim0")
            defer { withExtendedLifetime(held) {} }
            #expect(SteeringClaim.holder(of: key)?.pid == getpid())
            #expect(SteeringClaim.keys().contains(key))
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

    /// Whoever else takes a name neither has the NIC nor keeps root from it.
    @Test func aStrangersClaimDoesNotCount() async {
        await #expect(processExitsWith: .exitCode(7)) {
            let key = JournalStore.Key(namespace: 1, index: 77)
            guard seteuid(65534) == 0 else { exit(1) }
            let number = socket(AF_UNIX, cdm_SOCK_DGRAM | cdm_SOCK_CLOEXEC, 0)
            try ClaimName(key, isShared: false, tag: 1).withAddress {
                address, length throws(DevmemError) in
                guard bind(number, address, length) == 0 else { exit(1) }
            }
            guard seteuid(0) == 0 else { exit(2) }
            guard SteeringClaim.holder(of: key) == nil, !SteeringClaim.keys().contains(key) else {
                exit(3)
            }
            let claim = try SteeringClaim(key, shared: false, name: "sim0")
            guard SteeringClaim.holder(of: key)?.pid == getpid() else { exit(4) }
            withExtendedLifetime(claim) {}
            exit(7)
        }
    }

    @Test func nobodyElseMayOpenTheLock() throws {
        let store = JournalStore(directory: "/tmp/devmemtcp-claim-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(atPath: store.directory) }
        try store.prepare()
        // As an earlier version made it.
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
        #expect(relative?.message == "it is no absolute path")
    }

    @Test func theFolderIsOfTheEnvironment() async {
        await #expect(processExitsWith: .exitCode(7)) {
            unsetenv("DEVMEMTCP_STATE_DIR")
            guard JournalStore().directory == "/run/devmemtcp" else { exit(1) }
            setenv("DEVMEMTCP_STATE_DIR", "", 1)
            guard JournalStore().directory == "/run/devmemtcp" else { exit(2) }
            setenv("DEVMEMTCP_STATE_DIR", "/var/lib/devmemtcp", 1)
            guard JournalStore().directory == "/var/lib/devmemtcp" else { exit(3) }
            exit(7)
        }
    }
}
