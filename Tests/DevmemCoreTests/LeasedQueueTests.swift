import SystemPackage
import Testing

@testable import DevmemCore

/// Queues of a NIC that are leased to a virtual interface.
@Suite struct LeasedQueueTests {
    private let leased = LeasedQueues(interface: "nk0", ids: [1, 2, 3])

    private func refusal(of choice: QueueChoice, among queues: LeasedQueues) -> DevmemError? {
        do throws(DevmemError) {
            _ = try queues.choose(choice)
            return nil
        } catch {
            return error
        }
    }

    @Test func theLastAreChosenOfAll() throws {
        #expect(try leased.choose(.automatic(1)) == [3])
        #expect(try leased.choose(.last(2)) == [2, 3])
        #expect(try leased.choose(.automatic(3)) == [1, 2, 3])
        #expect(try leased.choose(.list([3, 1, 3])) == [1, 3])
    }

    @Test(arguments: [
        (QueueChoice.list([0]), "queue 0 is not leased to it, only 1-3"),
        (.list([1, 4]), "queue 4 is not leased to it, only 1-3"),
        (.list([]), "the list is empty"),
        (.automatic(4), "4 wanted, but 1-3 is all that is leased to it"),
        (.last(0), "0 wanted"), (.last(-1), "-1 wanted"),
    ])
    func othersAreRefused(choice: QueueChoice, words: String) {
        let error = refusal(of: choice, among: leased)
        #expect(error?.kind == .invalid)
        #expect(error?.message?.hasPrefix(words) == true)
    }

    @Test func withoutALeaseThereIsAdvice() {
        let error = refusal(
            of: .automatic(1), among: LeasedQueues(interface: "nk0", ids: []))
        #expect(error?.message == "no queue of a NIC is leased to it")
        #expect(error?.advice?.description.contains("nk0") == true)
    }

    /// Only a request for chosen queues asks what is leased.
    @Test func uncheckedQueuesAreNotChosen() {
        #expect(BindRequest.Queues.unchecked(.automatic(1)).checked == nil)
        #expect(BindRequest.Queues.none.checked == nil)
        #expect(BindRequest.Queues.unsteered(.last(2)).checked == .last(2))
        let steered = BindRequest.Queues.steered(
            SteeringRequest(queues: .list([4]), flows: []))
        #expect(steered.checked == .list([4]))
    }

    @Test(arguments: [nil, Int32(7)]) func requestNamesBothQueues(homeID: Int32?) throws {
        let message = try QueueLease.request(
            family: 0x1f, queue: 5, nic: 3, virtual: 9, homeID: homeID)
        let namespace: [UInt8] = homeID == nil ? [] : [8, 0, 3, 0, 7, 0, 0, 0]
        #expect(
            Array(message.bytes[16...]) == [16, 1, 0, 0]  // queue-create, version 1
                + [8, 0, 2, 0, 9, 0, 0, 0]  // ifindex
                + [8, 0, 3, 0, 0, 0, 0, 0]  // type RX
                + [UInt8(32 + namespace.count), 0, 8, 0x80]  // lease, nested
                + [8, 0, 1, 0, 3, 0, 0, 0]  // ifindex of the NIC
                + [20, 0, 2, 0x80, 8, 0, 1, 0, 5, 0, 0, 0, 8, 0, 3, 0, 0, 0, 0, 0]  // its queue
                + namespace)
    }
}

/// Network namespaces by name and by path.
@Suite struct NetworkNamespaceTests {
    private func refusal(of name: String) -> DevmemError? {
        do throws(DevmemError) {
            _ = try NetworkNamespace(name)
            return nil
        } catch {
            return error
        }
    }

    @Test func aPathIsOpenedAsItIs() throws {
        let own = try NetworkNamespace("/proc/self/ns/net")
        #expect(own.name == "/proc/self/ns/net")
        #expect(try NetworkNamespace.current().name.hasSuffix("/ns/net"))
    }

    @Test func whatDoesNotExistIsNamed() {
        let named = refusal(of: "nosuch")
        #expect(named?.errno == .noSuchFileOrDirectory)
        #expect(named?.operation.text == "open /run/netns/nosuch")
        #expect(named?.advice != nil)
        #expect(refusal(of: "/proc/self/ns/nosuch")?.operation.text == "open /proc/self/ns/nosuch")
    }

    @Test(arguments: ["", ".", ".."]) func whatIsNoNameIsRefused(name: String) {
        #expect(refusal(of: name)?.kind == .invalid)
    }

    /// A file that is no namespace is refused by the kernel, and nothing runs.
    @Test func whatIsNoNamespaceIsNotEntered() throws {
        let file = try NetworkNamespace("/dev/null")
        var hasRun = false
        #expect(throws: DevmemError.self) {
            try file.run { () throws(DevmemError) in hasRun = true }
        }
        #expect(!hasRun)
    }
}
