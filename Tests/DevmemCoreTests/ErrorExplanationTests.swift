import SystemPackage
import Testing

@testable import DevmemCore

/// A refusal by the kernel: request, error number, message and attribute.
struct Refused: Sendable, CustomTestStringConvertible {
    var operation: DevmemError.Operation
    var errno: Int32
    var text: String?
    var attribute: String?

    init(
        _ operation: DevmemError.Operation, _ errno: Int32, _ text: String? = nil,
        attribute: String? = nil
    ) {
        self.operation = operation
        self.errno = errno
        self.text = text
        self.attribute = attribute
    }

    var error: DevmemError {
        DevmemError(
            .netlink, operation, errno: Errno(rawValue: errno), message: text,
            attribute: attribute)
    }

    var testDescription: String { error.description }
}

private let bindRx = DevmemError.Operation(.bindReceive, "bind-rx on eth1 queues 7")
private let bindTx = DevmemError.Operation(.bindTransmit, "bind-tx on eth1")
private let setRings = DevmemError.Operation(.setHeaderSplit, "set tcp-data-split on on eth1")
private let addContext = DevmemError.Operation(.addContext, "add an RSS context to eth1")
private let addRule = DevmemError.Operation(.addFlowRule, "add a flow rule to eth1")
private let receive = DevmemError.Operation(.receive, "receive from 192.0.2.2:4000")
private let returnTokens = DevmemError.Operation(.returnTokens, "return 9 fragments to the NIC")
private let send = DevmemError.Operation(.send, "send to 192.0.2.2:4000")
private let deleteContext = DevmemError.Operation(.deleteContext, "delete RSS context 1 of eth1")
private let deleteRule = DevmemError.Operation(.deleteFlowRule, "delete flow rule 3 of eth1")
private let readRules = DevmemError.Operation(.readFlowRules, "read the flow rules of eth1")
private let attach = DevmemError.Operation(.attachXDP, "attach XDP to eth1")
private let lease = DevmemError.Operation(.leaseQueue, "lease queue 5 of eth1 to nk0")
private let setChannels: DevmemError.Operation = "set channels of eth1"

/// Refusals that the kernel explains with a message.
private let worded: [Refused] = [
    Refused(bindRx, 34, "integer out of range", attribute: "rx-page-size"),
    Refused(bindRx, 22, "rx-page-size must be a power of 2", attribute: "rx-page-size"),
    Refused(bindRx, 95, "DMA device mismatch between queue 0 and 9 (multi-PF device?)"),
    Refused(bindRx, 95, "Device doesn't support DMA"),
    Refused(bindRx, 22, "Failed to bind dmabuf to device"),
    Refused(bindRx, 12, "Failed to map dmabuf attachment"),
    Refused(
        bindRx, 22, "dmabuf sg entry (addr=0x1000, len=4096) not aligned to niov size 16384"),
    Refused(bindRx, 22, "tcp-data-split is disabled"),
    Refused(bindRx, 22, "hds-thresh is not zero"),
    Refused(
        bindRx, 17, "unable to custom memory provider to device with XDP program attached"),
    Refused(bindRx, 17, "designated queue already memory provider bound"),
    Refused(bindRx, 16, "designated queue already in use by AF_XDP"),
    Refused(bindRx, 95, "device does not support: rx_page_size"),
    Refused(bindRx, 16, "rx queue leased to a virtual netdev"),
    Refused(bindRx, 95, "rx queue belongs to a virtual netdev"),
    Refused(bindRx, 34, "rx queue index out of range"),
    Refused(bindTx, 95, "Driver does not support netmem TX"),
    Refused(bindTx, 95, "No DMA-capable device found for netmem TX"),
    Refused(bindTx, 22, "TX dma-buf size must be a multiple of PAGE_SIZE"),
    Refused(
        setRings, 22, "can't disable tcp-data-split while device has memory provider enabled"),
    Refused(
        setRings, 22, "can't set non-zero hds_thresh while device is memory provider enabled"),
    Refused(
        setChannels, 22,
        "requested channel counts are too low for existing memory provider setting (8)"),
    Refused(
        setChannels, 22, "requested channel counts are too low for existing indirection table (7)"),
    Refused(
        setChannels, 22,
        "requested channel counts are too low for existing ntuple filter settings"),
    Refused(attach, 16, "unable to install XDP to device using memory provider"),
    Refused(attach, 95, "unable to propagate XDP to device using memory provider"),
    Refused(lease, 22, "Device is not a virtual device"),
    Refused(lease, 95, "Device does not support queue creation"),
    Refused(lease, 95, "netkit can only lease against the peer device"),
    Refused(lease, 22, "netkit maximum queue limit reached"),
    Refused(lease, 22, "Lease device is a virtual device"),
    Refused(lease, 19, "Lease device has been removed from the system"),
    Refused(lease, 95, "Lease device does not support queue management operations"),
    Refused(lease, 95, "Leasing queues from different devices not supported"),
    Refused(lease, 16, "Device queue in use due to queue leasing"),
    Refused(lease, 16, "Device queue in use by AF_XDP"),
    Refused(lease, 16, "Device queue in use by memory provider"),
]

/// Refusals with only an error number and possibly an attribute.
private let numbered: [Refused] = [
    Refused(bindRx, 22, attribute: "missing ifindex"),
    Refused(bindRx, 22, attribute: "missing fd"),
    Refused(bindRx, 22, attribute: "missing queues"),
    Refused(bindRx, 22, attribute: "queues.id"),
    Refused(bindRx, 22, attribute: "queues.type"),
    Refused(bindRx, 22, attribute: "rx-page-size"),
    Refused(bindRx, 1), Refused(bindRx, 19), Refused(bindRx, 95), Refused(bindRx, 9),
    Refused(bindRx, 22), Refused(bindRx, 17), Refused(bindRx, 16), Refused(bindRx, 61),
    Refused(bindRx, 7), Refused(bindRx, 34), Refused(bindRx, 12), Refused(bindRx, 5),
    Refused(bindRx, 100),
    Refused(bindTx, 19), Refused(bindTx, 95), Refused(bindTx, 9), Refused(bindTx, 22),
    Refused(receive, 14), Refused(receive, 19),
    Refused(receive, 12), Refused(receive, 525),
    Refused(receive, 104),
    Refused(returnTokens, 22),
    Refused(returnTokens, 9),
    Refused(returnTokens, 12),
    Refused(returnTokens, 14),
    Refused(send, 22), Refused(send, 14),
    Refused(send, 19), Refused(send, 113),
    Refused(send, 105), Refused(send, 90),
    Refused(attach, 16),
    Refused(bindRx, 11),
    Refused(addRule, 17), Refused(addRule, 28), Refused(addRule, 12), Refused(addRule, 16),
    Refused(addRule, 11), Refused(addRule, 1), Refused(addRule, 19), Refused(addRule, 22),
    Refused(addRule, 95), Refused(addRule, 13), Refused(addRule, 62), Refused(addRule, 110),
    Refused(addRule, 100),
    Refused(addContext, 95), Refused(addContext, 28), Refused(addContext, 16),
    Refused(addContext, 11), Refused(addContext, 19), Refused(addContext, 100),
    Refused(deleteContext, 16), Refused(deleteContext, 19),
    Refused(deleteRule, 2), Refused(deleteRule, 11),
    Refused(deleteRule, 19), Refused(deleteRule, 100),
    Refused(readRules, 90), Refused(readRules, 19),
    Refused(lease, 1), Refused(lease, 19), Refused(lease, 34),
]

@Suite struct ErrorExplanationTests {
    @Test(arguments: worded + numbered) func everyRefusalIsExplained(refusal: Refused) throws {
        let answer = try #require(explain(refusal.error))
        #expect(!answer.meaning.isEmpty && !answer.advice.description.isEmpty)
        #expect(!answer.meaning.contains("\n") && !answer.advice.description.contains("\n"))
        #expect(explained(refusal.error).advice == answer.advice)
    }

    /// The message takes precedence over the error number, whatever the request.
    @Test(arguments: worded) func textWinsOverTheNumber(refusal: Refused) throws {
        let answer = try #require(explain(refusal.error))
        var wordless = refusal
        wordless.text = nil
        wordless.attribute = nil
        #expect(answer != explain(wordless.error))
        var elsewhere = refusal
        elsewhere.operation = "do something else"
        #expect(explain(elsewhere.error) == answer)
    }

    @Test func textsHaveAnswersOfTheirOwn() {
        let meanings = Set(worded.compactMap { explain($0.error)?.advice.description })
        #expect(meanings.count > worded.count * 3 / 4)
    }

    @Test func anAttributeSaysMoreThanTheNumber() {
        let plain = explain(Refused(bindRx, 22).error)
        for name in ["missing queues", "queues.id", "queues.type", "missing fd"] {
            #expect(explain(Refused(bindRx, 22, attribute: name).error) != plain)
        }
        #expect(explain(Refused(bindRx, 22, attribute: "#77").error) == plain)
    }

    @Test func whatIsNotKnownIsNotExplained() {
        #expect(explain(Refused("open /etc/passwd", 13).error) == nil)
        #expect(explain(Refused(bindRx, 71).error) == nil)
        #expect(explain(DevmemError(.invalid, call: "bind-rx on eth1")) == nil)
        let error = Refused("open /etc/passwd", 13).error
        #expect(explained(error) == error)
    }

    @Test func adviceThatIsThereStays() {
        let error = Refused(bindRx, 1).error.advising("something better")
        #expect(explained(error).advice == "something better")
    }
}
