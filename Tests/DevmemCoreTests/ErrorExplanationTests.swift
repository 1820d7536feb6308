import SystemPackage
import Testing

@testable import DevmemCore

/// A refusal by the kernel: request, error number, message and attribute.
struct Refusal: Sendable, CustomTestStringConvertible {
    var call: String
    var errno: Int32
    var text: String?
    var attribute: String?

    init(_ call: String, _ errno: Int32, _ text: String? = nil, attribute: String? = nil) {
        self.call = call
        self.errno = errno
        self.text = text
        self.attribute = attribute
    }

    var error: DevmemError {
        DevmemError(
            .netlink, call: call, errno: Errno(rawValue: errno), message: text,
            attribute: attribute)
    }

    var testDescription: String { error.description }
}

private let bindRx = "bind-rx on eth1 queues 7"
private let bindTx = "bind-tx on eth1"
private let create = "queue-create on nk0"
private let setRings = "set tcp-data-split on on eth1"
private let addContext = "add an RSS context to eth1"
private let addRule = "add a flow rule to eth1"
private let setChannels = "set channels of eth1"

/// Refusals that the kernel explains with a message.
private let worded: [Refusal] = [
    Refusal(bindRx, 34, "integer out of range", attribute: "rx-page-size"),
    Refusal(bindRx, 22, "rx-page-size must be a power of 2", attribute: "rx-page-size"),
    Refusal(bindRx, 95, "DMA device mismatch between queue 0 and 9 (multi-PF device?)"),
    Refusal(bindRx, 95, "Device doesn't support DMA"),
    Refusal(bindRx, 22, "Failed to bind dmabuf to device"),
    Refusal(bindRx, 12, "Failed to map dmabuf attachment"),
    Refusal(
        bindRx, 22, "dmabuf sg entry (addr=0x1000, len=4096) not aligned to niov size 16384"),
    Refusal(bindRx, 22, "tcp-data-split is disabled"),
    Refusal(bindRx, 22, "hds-thresh is not zero"),
    Refusal(
        bindRx, 17, "unable to custom memory provider to device with XDP program attached"),
    Refusal(bindRx, 17, "designated queue already memory provider bound"),
    Refusal(bindRx, 16, "designated queue already in use by AF_XDP"),
    Refusal(bindRx, 95, "device does not support: rx_page_size"),
    Refusal(bindRx, 16, "rx queue leased to a virtual netdev"),
    Refusal(bindRx, 95, "rx queue belongs to a virtual netdev"),
    Refusal(bindRx, 34, "rx queue index out of range"),
    Refusal(bindTx, 95, "Driver does not support netmem TX"),
    Refusal(bindTx, 95, "No DMA-capable device found for netmem TX"),
    Refusal(bindTx, 22, "TX dma-buf size must be a multiple of PAGE_SIZE"),
    Refusal(create, 22, "Device is not a virtual device"),
    Refusal(create, 95, "Device does not support queue creation"),
    Refusal(create, 22, "Device must have at least one real queue"),
    Refusal(create, 22, "Lease device is a virtual device"),
    Refusal(create, 19, "Lease device has been removed from the system"),
    Refusal(create, 95, "Lease device does not support queue management operations"),
    Refusal(create, 95, "Leasing queues from different devices not supported"),
    Refusal(create, 16, "Device queue in use by AF_XDP"),
    Refusal(create, 16, "Device queue in use due to queue leasing"),
    Refusal(create, 16, "Device queue in use by memory provider"),
    Refusal(create, 95, "netkit can only lease against the peer device"),
    Refusal(create, 34, "netkit maximum queue limit reached"),
    Refusal(
        setRings, 22, "can't disable tcp-data-split while device has memory provider enabled"),
    Refusal(
        setRings, 22, "can't set non-zero hds_thresh while device is memory provider enabled"),
    Refusal(
        setChannels, 22,
        "requested channel counts are too low for existing memory provider setting (8)"),
    Refusal(
        setChannels, 22, "requested channel counts are too low for existing indirection table (7)"),
    Refusal(
        setChannels, 22,
        "requested channel counts are too low for existing ntuple filter settings"),
    Refusal("attach XDP to eth1", 16, "unable to install XDP to device using memory provider"),
    Refusal("attach XDP to bond0", 95, "unable to propagate XDP to device using memory provider"),
]

/// Refusals with only an error number and possibly an attribute.
private let numbered: [Refusal] = [
    Refusal(bindRx, 22, attribute: "missing ifindex"),
    Refusal(bindRx, 22, attribute: "missing fd"),
    Refusal(bindRx, 22, attribute: "missing queues"),
    Refusal(bindRx, 22, attribute: "queues.id"),
    Refusal(bindRx, 22, attribute: "queues.type"),
    Refusal(bindRx, 22, attribute: "rx-page-size"),
    Refusal(bindRx, 1), Refusal(bindRx, 19), Refusal(bindRx, 95), Refusal(bindRx, 9),
    Refusal(bindRx, 22), Refusal(bindRx, 17), Refusal(bindRx, 16), Refusal(bindRx, 61),
    Refusal(bindRx, 7), Refusal(bindRx, 34), Refusal(bindRx, 12), Refusal(bindRx, 5),
    Refusal(bindRx, 100),
    Refusal(bindTx, 19), Refusal(bindTx, 95), Refusal(bindTx, 9), Refusal(bindTx, 22),
    Refusal(create, 1), Refusal(create, 19), Refusal(create, 95), Refusal(create, 22),
    Refusal(create, 16), Refusal(create, 34),
    Refusal("receive from 192.0.2.2:4000", 14), Refusal("receive from 192.0.2.2:4000", 19),
    Refusal("receive from 192.0.2.2:4000", 12), Refusal("receive from 192.0.2.2:4000", 525),
    Refusal("receive from 192.0.2.2:4000", 104),
    Refusal("give 9 fragments back to the NIC", 22),
    Refusal("give 9 fragments back to the NIC", 9),
    Refusal("give 9 fragments back to the NIC", 12),
    Refusal("give 9 fragments back to the NIC", 14),
    Refusal("send to 192.0.2.2:4000", 22), Refusal("send to 192.0.2.2:4000", 14),
    Refusal("send to 192.0.2.2:4000", 19), Refusal("send to 192.0.2.2:4000", 113),
    Refusal("send to 192.0.2.2:4000", 105), Refusal("send to 192.0.2.2:4000", 90),
    Refusal("attach AF_XDP to eth1 queue 7", 16),
    Refusal(bindRx, 11),
    Refusal(addRule, 17), Refusal(addRule, 28), Refusal(addRule, 12), Refusal(addRule, 16),
    Refusal(addRule, 11), Refusal(addRule, 1), Refusal(addRule, 19), Refusal(addRule, 22),
    Refusal(addRule, 95), Refusal(addRule, 13), Refusal(addRule, 62), Refusal(addRule, 110),
    Refusal(addRule, 100),
    Refusal(addContext, 95), Refusal(addContext, 28), Refusal(addContext, 16),
    Refusal(addContext, 11), Refusal(addContext, 19), Refusal(addContext, 100),
    Refusal("delete RSS context 1 of eth1", 16), Refusal("delete RSS context 1 of eth1", 19),
    Refusal("delete flow rule 3 of eth1", 2), Refusal("delete flow rule 3 of eth1", 11),
    Refusal("delete flow rule 3 of eth1", 19), Refusal("delete flow rule 3 of eth1", 100),
    Refusal("read the flow rules of eth1", 90), Refusal("read the flow rules of eth1", 19),
]

@Suite struct ErrorExplanationTests {
    @Test(arguments: worded + numbered) func everyRefusalIsExplained(refusal: Refusal) throws {
        let answer = try #require(explain(refusal.error))
        #expect(!answer.meaning.isEmpty && !answer.advice.isEmpty)
        #expect(!answer.meaning.contains("\n") && !answer.advice.contains("\n"))
        #expect(explained(refusal.error).advice == answer.advice)
    }

    /// The message takes precedence over the error number, whatever the request.
    @Test(arguments: worded) func textWinsOverTheNumber(refusal: Refusal) throws {
        let answer = try #require(explain(refusal.error))
        var wordless = refusal
        wordless.text = nil
        wordless.attribute = nil
        #expect(answer != explain(wordless.error))
        var elsewhere = refusal
        elsewhere.call = "do something else"
        #expect(explain(elsewhere.error) == answer)
    }

    @Test func textsHaveAnswersOfTheirOwn() {
        let meanings = Set(worded.compactMap { explain($0.error)?.advice })
        #expect(meanings.count > worded.count * 3 / 4)
    }

    @Test func anAttributeSaysMoreThanTheNumber() {
        let plain = explain(Refusal(bindRx, 22).error)
        for name in ["missing queues", "queues.id", "queues.type", "missing fd"] {
            #expect(explain(Refusal(bindRx, 22, attribute: name).error) != plain)
        }
        #expect(explain(Refusal(bindRx, 22, attribute: "#77").error) == plain)
    }

    @Test func whatIsNotKnownIsNotExplained() {
        #expect(explain(Refusal("open /etc/passwd", 13).error) == nil)
        #expect(explain(Refusal(bindRx, 71).error) == nil)
        #expect(explain(DevmemError(.invalid, call: "bind-rx on eth1")) == nil)
        let error = Refusal("open /etc/passwd", 13).error
        #expect(explained(error) == error)
    }

    @Test func adviceThatIsThereStays() {
        let error = Refusal(bindRx, 1).error.advising("something better")
        #expect(explained(error).advice == "something better")
    }
}
