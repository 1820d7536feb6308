import DevmemCore
import CDevmem
import Glibc
import SystemPackage

extension ValidationCase {
    /// Requests that the kernel must refuse while a queue is bound.
    static var boundRefusals: [ValidationCase] {
        [
            ValidationCase(
                "bound", "bound-again", "a bound queue cannot be bound again", needs: .binding
            ) { run throws(DevmemError) in
                let queue = try run.fixture(.quiet).queue
                let memory = try run.makeMemory()
                let number = memory.descriptor.rawValue
                return ExpectedRefusal(
                    .fileExists, refusal: .queueHasMemory
                ).verdict(on: "the request") { () throws(DevmemError) in
                    try bind(to: run.interface.index, descriptor: number) {
                        message throws(DevmemError) in
                        try message.putQueue(id: queue, type: QueueType.rx.rawValue)
                    }
                }
            },
            ValidationCase(
                "bound", "queue-twice", "a queue given twice is bound once, or refused",
                needs: .binding + [.freeQueues(2)]
            ) { run throws(DevmemError) in
                let unbound = try run.fixture(.withUnboundQueue).unboundQueue
                let memory = try run.makeMemory()
                do throws(DevmemError) {
                    let binding = try ReceiveBinding(
                        dmabuf: memory.descriptor, interface: run.interface,
                        queues: [unbound, unbound])
                    let holders = try queues(ofInterface: run.interface.index)
                        .filter { $0.dmabufID == binding.id }.map(\.id)
                    return verdict(unless: difference("the bound queues", holders, [unbound]))
                } catch {
                    // Before Linux 6.18.
                    return ExpectedRefusal(
                        .fileExists, refusal: .queueHasMemory
                    ).isMet(by: error) ? .pass : CaseVerdict(error)
                }
            },
            ValidationCase(
                "bound", "header-split-off", "header split cannot be turned off",
                needs: .binding + [.splitHeld]
            ) { run throws(DevmemError) in
                _ = try run.fixture(.quiet)
                let nic = try EthtoolNetlink(run.interface)
                return try whileBound(
                    ExpectedRefusal(
                        .invalidArgument,
                        refusal: .splitHeldByMemory
                    ), "turning header split off",
                    change: { () throws(DevmemError) in try nic.setRings(RingRequest(split: .off))
                    },
                    undo: { () throws(DevmemError) in try nic.setRings(RingRequest(split: .on)) })
            },
            ValidationCase(
                "bound", "hds-thresh-up", "the split threshold cannot be raised",
                needs: .binding + [.splitThreshold]
            ) { run throws(DevmemError) in
                _ = try run.fixture(.quiet)
                let nic = try EthtoolNetlink(run.interface)
                return try whileBound(
                    ExpectedRefusal(
                        .invalidArgument,
                        refusal: .thresholdHeldByMemory
                    ), "raising hds-thresh",
                    change: { () throws(DevmemError) in try nic.setRings(RingRequest(threshold: 1))
                    },
                    undo: { () throws(DevmemError) in try nic.setRings(RingRequest(threshold: 0)) })
            },
            ValidationCase(
                "bound", "fewer-channels", "channels cannot be reduced below a bound queue",
                needs: .binding
            ) { run throws(DevmemError) in
                let queue = try run.fixture(.quiet).queue
                let nic = try EthtoolNetlink(run.interface)
                guard let before = try nic.channels() else {
                    return .skip("\(run.interface.name) does not report its channels")
                }
                guard let asked = before.leavingOut(queue) else {
                    return .skip("no number of channels removes queue \(queue) only")
                }
                return try whileBound(
                    ExpectedRefusal(
                        .invalidArgument,
                        refusal: .channelsHeldByMemory
                    ), "\(asked.receiveQueues) channels",
                    change: { () throws(DevmemError) in try nic.setChannels(asked) },
                    undo: { () throws(DevmemError) in try nic.setChannels(before) })
            },
            ValidationCase(
                "bound", "xdp", "an XDP program cannot be attached", needs: .binding
            ) { run throws(DevmemError) in
                guard run.facts.snapshot.xdpProgram == nil else {
                    return .skip("\(run.interface.name) has an XDP program")
                }
                _ = try run.fixture(.quiet)
                let program: Descriptor
                do throws(DevmemError) {
                    program = try XDPAttachment.loadProgram()
                } catch {
                    return .skip("no XDP program can be loaded: \(error)")
                }
                let number = program.rawValue
                return try whileBound(
                    ExpectedRefusal(
                        .resourceBusy,
                        refusal: .xdpHeldByMemory),
                    "an XDP program",
                    change: { () throws(DevmemError) in
                        try XDPAttachment.attach(number, to: run.interface)
                    },
                    undo: { () throws(DevmemError) in
                        try XDPAttachment.attach(-1, to: run.interface)
                    })
            },
        ]
    }

    /// Attempts a change that must be refused, and undoes it if it succeeds.
    private static func whileBound(
        _ expected: ExpectedRefusal, _ what: String, change: () throws(DevmemError) -> Void,
        undo: () throws(DevmemError) -> Void
    ) throws(DevmemError) -> CaseVerdict {
        var isDone = false
        let verdict = expected.verdict(on: what) { () throws(DevmemError) in
            try change()
            isDone = true
        }
        if isDone { try undo() }
        return verdict
    }
}

extension ReceiveFixture.Kind {
    /// A bound queue and an unbound one.
    static let withUnboundQueue = ReceiveFixture.Kind(
        unboundQueues: 1, listeners: 0, memory: 1 << 20)
}

extension ChannelCounts {
    /// Returns the largest channel counts that exclude a receive queue and those after it; nil if
    /// there are none, or the queue does not exist. Combined channels provide the first receive
    /// queues.
    func leavingOut(_ queue: UInt32) -> ChannelCounts? {
        guard queue > 0, UInt64(combined) + UInt64(rx) > UInt64(queue) else { return nil }
        var fewer = self
        if queue > combined {
            fewer.rx = queue - combined
        } else if rx == 0 {
            fewer.combined = queue
        } else {
            return nil
        }
        return fewer
    }
}

/// An attempt to attach an XDP program that passes every packet.
enum XDPAttachment {
    /// Loads the program.
    static func loadProgram() throws(DevmemError) -> Descriptor {
        Descriptor(owning: try retrying("load an XDP program") { cdm_load_xdp_pass() })
    }

    /// Attaches a program by its descriptor, or detaches it for -1, in generic mode, which needs no
    /// driver support. Only this netlink request can return an extack text.
    static func attach(_ program: Int32, to interface: NetworkInterface) throws(DevmemError) {
        let socket = try NetlinkSocket(
            protocol: LinkNumber.netlinkRoute, familyHeaderLength: LinkNumber.headerLength)
        var header = [UInt8](repeating: 0, count: LinkNumber.headerLength)
        header.store(interface.index, at: LinkNumber.headerIndex)
        let message = try NetlinkMessage(type: LinkNumber.setLink, header: header)
        try message.nest(LinkNumber.xdp) { nest throws(DevmemError) in
            try nest.put(LinkNumber.XDP.descriptor, program)
            try nest.put(LinkNumber.XDP.flags, LinkNumber.XDP.genericMode)
        }
        _ = try socket.request(
            message, operation: .init(.attachXDP, "attach an XDP program to \(interface.name)"))
    }
}
