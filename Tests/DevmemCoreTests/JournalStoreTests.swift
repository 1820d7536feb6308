import CDevmem
import Foundation
import SystemPackage
import Testing

@testable import DevmemCore

@Suite struct JournalStoreTests {
    private let store: JournalStore
    private let folder: URL

    init() throws {
        folder = FileManager.default.temporaryDirectory
            .appending(path: "devmemtcp-journal-\(UUID().uuidString)")
        store = JournalStore(directory: folder.path)
        try store.prepare()
    }

    private var journal: SteeringJournal {
        get throws {
            let snapshot = NICSnapshot(
                rings: RingSettings(headerSplit: .off, splitThreshold: 256),
                receiveQueues: (0..<4).map { QueueInfo(id: $0, type: .rx) },
                contexts: [RSSContext(id: 0, indirection: [0, 1, 2, 3])],
                ntuple: FeatureState(isActive: true, isChangeable: true),
                ruleTable: FlowRuleTable(locations: [3], capacity: nil, choosesLocation: true))
            let flow = SteeringFlow(families: [
                [FlowRule(isIPv6: true, source: Array(0..<16), destinationPort: 80)]
            ])
            let plan = try SteeringPlan(
                for: SteeringRequest(queues: .last(1), flows: [flow], spread: .rssContext),
                on: snapshot, interface: "sim0")
            return .sample(plan: plan, on: snapshot)
        }
    }

    private func refusal(_ bytes: [UInt8]) -> DevmemError? {
        do throws(DevmemError) {
            _ = try JournalStore.decode(bytes, path: "test")
            return nil
        } catch {
            return error
        }
    }

    @Test func journalsAreReadBackAsWritten() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let journal = try journal
        let key = JournalStore.Key(journal.interface)
        #expect(try store.read(key) == nil)
        #expect(try store.keys().isEmpty)
        try store.write(journal)
        #expect(try store.read(key) == journal)
        #expect(try store.keys() == [key])
        // Only the journal exists, no partly written one.
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).count == 1)
        try store.remove(key)
        try store.remove(key)
        #expect(try store.read(key) == nil)
    }

    @Test func everyTruncationIsRefused() throws {
        let bytes = try JournalStore.encode(journal)
        for length in 0..<bytes.count {
            let error = try #require(refusal(Array(bytes[..<length])), "\(length) bytes")
            #expect(error.kind == .malformed)
        }
        #expect(refusal(bytes) == nil)
    }

    @Test func everyFlippedBitIsRefused() throws {
        let bytes = try JournalStore.encode(journal)
        for place in bytes.indices {
            var damaged = bytes
            damaged[place] ^= 1 << UInt8(place % 8)
            #expect(refusal(damaged) != nil, "byte \(place)")
        }
    }

    @Test func foreignJournalsAreRefused() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        #expect(refusal(Array("{}\n{}".utf8))?.message == "it is not a journal of devmemtcp")
        #expect(
            refusal(Array("devmemtcp-steering 2 0\n".utf8))?.message == "its version is 2, not 1")
        func message(_ key: JournalStore.Key) -> String? {
            do throws(DevmemError) {
                _ = try store.read(key)
                return nil
            } catch {
                return error.message
            }
        }
        // A journal of another interface.
        var journal = try journal
        let key = JournalStore.Key(namespace: 1, index: 9)
        try Data(JournalStore.encode(journal)).write(to: URL(filePath: store.path(of: key)))
        #expect(message(key) == "it is of another interface")
        // A journal from an earlier boot is useless; the holder of the NIC's lock drops it.
        let own = JournalStore.Key(journal.interface)
        try store.write(journal)
        #expect(try store.removeFromEarlierBoot(own) == nil && store.read(own) == journal)
        journal.interface.boot = "another"
        try store.write(journal)
        // A container may see its own boot id: the journal is recent, and its changes are on the
        // NIC.
        #expect(message(own)?.hasPrefix("its boot id is not this system's, but") == true)
        #expect(throws: DevmemError.self) { try store.removeFromEarlierBoot(own) }
        let old = [timeval(tv_sec: 1, tv_usec: 0), timeval(tv_sec: 1, tv_usec: 0)]
        #expect(utimes(store.path(of: own), old) == 0)
        #expect(message(own) == "it is of an earlier boot, whose settings are gone")
        // Without a boot id nothing is dropped.
        var blind = store
        blind.boot = nil
        #expect(throws: DevmemError.self) { try blind.removeFromEarlierBoot(own) }
        #expect(throws: DevmemError.self) { try blind.read(own) }
        let entry = SteeredNIC(own, in: store, hasJournal: true, claimedBy: nil)
        #expect(entry.isFromEarlierBoot && entry.journal == nil)
        #expect(entry.problem?.message == "it is of an earlier boot, whose settings are gone")
        #expect(try store.removeFromEarlierBoot(own) == journal)
        #expect(try store.read(own) == nil && store.removeFromEarlierBoot(own) == nil)
        // A symbolic link could lead anywhere, so even a good one is refused.
        journal.interface.boot = try #require(bootID())
        let whole = folder.appending(path: "elsewhere")
        try Data(JournalStore.encode(journal)).write(to: whole)
        let linked = JournalStore.Key(journal.interface)
        try store.remove(linked)
        try FileManager.default.createSymbolicLink(
            at: URL(filePath: store.path(of: linked)), withDestinationURL: whole)
        #expect(throws: DevmemError.self) { try store.read(linked) }
    }

    @Test func otherFilesAreNotTakenForJournals() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        for name in [
            "netns-1-interface-2.lock", "netns-1-interface-2.new", "x.journal", "journal.new",
            "netns-1-interface--2.journal", "netns-1-interface-99999999999.journal",
        ] {
            try Data().write(to: folder.appending(path: name))
        }
        #expect(try store.keys().isEmpty)
    }

    /// The advice in the errors about a NIC that is gone must identify it.
    @Test func aRemovedNICIsFoundByIndex() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let key = JournalStore.Key(namespace: 1, index: 4_000_000_003)
        try Data("damaged".utf8).write(to: URL(filePath: store.path(of: key)))
        let damaged = SteeredNIC(key, in: store, hasJournal: true, claimedBy: nil)
        let advice = try #require(damaged.problem?.advice?.description)
        #expect(advice.hasSuffix("drop the journal of 4000000003"))
        #expect(damaged.answers(to: "4000000003") && !damaged.answers(to: "4"))
        var journal = try journal
        journal.interface.namespace = 1
        journal.interface.index = key.index
        journal.interface.name = "gone0"
        try store.write(journal)
        let gone = SteeredNIC(key, in: store, hasJournal: true, claimedBy: nil)
        #expect(gone.answers(to: "gone0") && gone.answers(to: "4000000003"))
        // Another NIC may have the name now.
        journal.interface.name = "lo"
        try store.write(journal)
        let renamed = SteeredNIC(key, in: store, hasJournal: true, claimedBy: nil)
        #expect(!renamed.answers(to: "lo") && renamed.answers(to: "4000000003"))
    }

    /// A NIC is listed by the name that it has now.
    @Test func aRenamedNICIsListedByItsName() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        var journal = try journal
        let loopback = try NetworkInterface(named: "lo")
        journal.interface.index = loopback.index
        journal.interface.name = "former0"
        try store.write(journal)
        let entry = SteeredNIC(
            JournalStore.Key(journal.interface), in: store, hasJournal: true, claimedBy: nil)
        #expect(entry.name == "lo" && entry.journal == journal)
        #expect(!entry.isFromEarlierBoot && entry.problem == nil)
    }

    /// What the environment names is in use by someone, and must be there.
    @Test func aFolderThatIsNamedMustExist() async {
        await #expect(processExitsWith: .exitCode(7)) {
            setenv(JournalStore.variable, "/nonexistent-devmemtcp", 1)
            do throws(DevmemError) {
                _ = try JournalStore().keys()
            } catch {
                exit(error.errno == .noSuchFileOrDirectory ? 7 : 2)
            }
            exit(1)
        }
    }

    /// Root and the user may own the folder of journals; nobody else.
    @Test(.enabled(if: getuid() == 0, "needs root")) func theFolderHasTheRightOwner() async throws {
        await #expect(processExitsWith: .exitCode(7)) {
            let path = "/tmp/devmemtcp-owner-\(getpid())"
            let store = JournalStore(directory: path)
            guard mkdir(path, 0o755) == 0 else { exit(1) }
            defer { rmdir(path) }
            for (owner, user, isRight) in [
                (0, 0, true), (65534, 0, false), (0, 65534, true), (65534, 65534, true),
                (65533, 65534, false),
            ] as [(uid_t, uid_t, Bool)] {
                guard chown(path, owner, 0) == 0, seteuid(user) == 0 else { exit(2) }
                let keys = try? store.keys()
                guard seteuid(0) == 0 else { exit(3) }
                guard (keys != nil) == isRight else {
                    rmdir(path)
                    exit(4)
                }
            }
            rmdir(path)
            exit(7)
        }
    }

    /// The same holds for a journal.
    @Test(.enabled(if: getuid() == 0, "needs root")) func aJournalHasTheRightOwner() async throws {
        let journal = try journal
        let bytes = try JournalStore.encode(journal)
        await #expect(processExitsWith: .exitCode(7)) { [bytes = bytes as [UInt8]] in
            let journal = try JournalStore.decode(bytes, path: "test")
            let key = JournalStore.Key(journal.interface)
            let store = JournalStore(directory: "/tmp/devmemtcp-owner-\(getpid())")
            try store.prepare()
            try store.write(journal)
            let path = store.path(of: key)
            var wrong = 0
            for (owner, user, isRight) in [
                (0, 0, true), (65534, 0, false), (0, 65534, true), (65534, 65534, true),
                (65533, 65534, false),
            ] as [(uid_t, uid_t, Bool)] {
                guard chown(path, owner, 0) == 0, seteuid(user) == 0 else { exit(2) }
                let read = try? store.read(key)
                guard seteuid(0) == 0 else { exit(3) }
                if (read == journal) != isRight { wrong += 1 }
            }
            unlink(path)
            rmdir(store.directory)
            exit(wrong == 0 ? 7 : 4)
        }
    }

    /// Of a process in another network namespace only the file is seen.
    @Test func aLockWithoutAClaimCounts() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let key = JournalStore.Key(namespace: 1, index: 4_000_000_005)
        let other = try store.openLock(of: key)
        #expect(cdm_flock(other.rawValue, LOCK_EX | LOCK_NB) == 0)
        let error = refusalOfLock(key, shared: false)
        #expect(error?.errno == .resourceBusy)
        #expect(error?.message == "it is in use by another process")
        #expect(refusalOfLock(key, shared: true)?.errno == .resourceBusy)
    }

    @Test func unfinishedJournalsAreFoundAndRemoved() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let key = JournalStore.Key(namespace: 1, index: 2)
        try Data("half".utf8).write(to: URL(filePath: store.path(of: key) + ".new"))
        #expect(try store.keys() == [key])
        #expect(try store.read(key) == nil)
        try store.remove(key)
        #expect(try store.keys().isEmpty)
    }

    @Test func theLockHasOneOwner() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        // A key that no other test uses.
        let key = JournalStore.Key(namespace: 1, index: 4_000_000_001)
        do {
            let held = try SteeringLock(key, name: "sim0", in: store)
            defer { withExtendedLifetime(held) {} }
            let error = refusalOfLock(key, shared: false)
            #expect(error?.errno == .resourceBusy)
            #expect(
                error?.message?.hasSuffix("pid \(ProcessInfo.processInfo.processIdentifier)")
                    == true)
            #expect(refusalOfLock(key, shared: true)?.errno == .resourceBusy)
            let other = JournalStore.Key(namespace: 1, index: 4_000_000_002)
            #expect(refusalOfLock(other, shared: false) == nil)
        }
        // Processes that use applied steering share the lock and keep others from restoring.
        let first = try SteeringLock(key, name: "sim0", in: store, shared: true)
        defer { withExtendedLifetime(first) {} }
        #expect(refusalOfLock(key, shared: true) == nil)
        #expect(refusalOfLock(key, shared: false)?.errno == .resourceBusy)
    }

    private func refusalOfLock(_ key: JournalStore.Key, shared: Bool) -> DevmemError? {
        do throws(DevmemError) {
            _ = try SteeringLock(key, name: "sim0", in: store, shared: shared)
            return nil
        } catch {
            return error
        }
    }
}
