import DevmemCore
import CDevmem
import Glibc
import SystemPackage

extension ValidationCase {
    /// Bind requests that the kernel must refuse in any state of the NIC, and one that it must
    /// accept.
    static var bindRefusals: [ValidationCase] {
        [
            refused(
                "no-queues", "a request without queues",
                ExpectedRefusal(.invalidArgument, attribute: "missing queues")
            ) { _, _ in },
            refused(
                "queue-without-id", "a queue without an id",
                ExpectedRefusal(.invalidArgument, attribute: "missing queues.id")
            ) { message, _ throws(DevmemError) in
                try message.putQueue(id: nil, type: QueueType.rx.rawValue)
            },
            refused(
                "queue-without-type", "a queue without a type",
                ExpectedRefusal(.invalidArgument, attribute: "missing queues.type")
            ) { message, run throws(DevmemError) in
                try message.putQueue(id: run.facts.lastQueue, type: nil)
            },
            refused(
                "queue-out-of-range", "a queue that does not exist",
                ExpectedRefusal(.invalidArgument, attribute: "queues.id"),
                // Before Linux 6.18.
                ExpectedRefusal(.outOfRange)
            ) { message, run throws(DevmemError) in
                try message.putQueue(
                    id: run.facts.lastQueue &+ 1, type: QueueType.rx.rawValue)
            },
            refused(
                "queue-of-type-tx", "a transmit queue",
                ExpectedRefusal(.invalidArgument, attribute: "queues.type")
            ) { message, run throws(DevmemError) in
                try message.putQueue(id: run.facts.lastQueue, type: QueueType.tx.rawValue)
            },
            ValidationCase(
                "bind", "bad-descriptor", "a descriptor that is not open is refused",
                needs: [.privilege, .bindReceive]
            ) { run throws(DevmemError) in
                ExpectedRefusal(.badFileDescriptor).verdict(on: "the request") {
                    () throws(DevmemError) in try bindLast(of: run, descriptor: Int32.max)
                }
            },
            ValidationCase(
                "bind", "no-dma-buf", "a descriptor that is not a dma-buf is refused",
                needs: [.privilege, .bindReceive]
            ) { run throws(DevmemError) in
                let other = try Descriptor.open("/dev/null", O_RDWR)
                let number = other.rawValue
                return ExpectedRefusal(.invalidArgument).verdict(on: "the request") {
                    () throws(DevmemError) in try bindLast(of: run, descriptor: number)
                }
            },
            ValidationCase(
                "bind", "no-such-interface", "an interface that does not exist is refused",
                needs: [.privilege, .bindReceive, .udmabuf]
            ) { run throws(DevmemError) in
                let memory = try run.makeMemory()
                let number = memory.descriptor.rawValue
                return ExpectedRefusal(.operationNotSupportedByDevice).verdict(on: "the request") {
                    () throws(DevmemError) in
                    try bind(to: UInt32(Int32.max), descriptor: number) {
                        message throws(DevmemError) in
                        try message.putQueue(id: 0, type: QueueType.rx.rawValue)
                    }
                }
            },
            ValidationCase(
                "bind", "without-privilege", "a request without CAP_NET_ADMIN is refused",
                needs: [.privilege, .bindReceive, .udmabuf]
            ) { run throws(DevmemError) in
                let memory = try run.makeMemory()
                let number = memory.descriptor.rawValue
                return try withoutNetAdmin {
                    ExpectedRefusal(.notPermitted).verdict(on: "the request") {
                        () throws(DevmemError) in try bindLast(of: run, descriptor: number)
                    }
                }
            },
            pageSize(
                "page-size-not-power-of-2", "a page size that is not a power of two",
                systemPageSize * 3,
                ExpectedRefusal(
                    .invalidArgument, refusal: .pageSizeNotPowerOfTwo,
                    attribute: "rx-page-size")),
            pageSize(
                "page-size-too-small", "a page size below the system's", systemPageSize / 2,
                ExpectedRefusal(
                    .outOfRange, refusal: .pageSizeOutOfRange, attribute: "rx-page-size")),
            pageSize(
                "page-size-unsupported", "a page size that no NIC supports", 1 << 31,
                ExpectedRefusal(.invalidArgument, refusal: .extentNotAligned),
                ExpectedRefusal(
                    .notSupportedOnSocket, refusal: .pageSizeUnsupported),
                ExpectedRefusal(.outOfRange)),
            ValidationCase(
                "bind", "header-split-off", "binding with header split off is refused",
                needs: .binding + [.splitHeld]
            ) { run throws(DevmemError) in
                try bindInState(
                    run,
                    ExpectedRefusal(.invalidArgument, refusal: .splitIsOff)
                ) { snapshot in
                    // The kernel checks the user's setting, and some drivers refuse "off".
                    snapshot.rings.headerSplit == .on
                        ? [.headerSplit(before: .on, after: .unknown)] : []
                }
            },
            ValidationCase(
                "bind", "hds-thresh-not-zero",
                "binding with a split threshold above zero is refused",
                needs: .binding + [.splitThreshold]
            ) { run throws(DevmemError) in
                try bindInState(
                    run, ExpectedRefusal(.invalidArgument, refusal: .thresholdIsSet)
                ) { snapshot in
                    let threshold = snapshot.rings.splitThreshold ?? 0
                    let split = SteeringChange.headerSplit(
                        before: snapshot.rings.headerSplit ?? .unknown, after: .on)
                    return snapshot.changesBeforeSplit + [split]
                        + (threshold > 0 ? [] : [.splitThreshold(before: threshold, after: 1)])
                }
            },
            ValidationCase(
                "bind", "good", "a valid request is accepted, and the queue reports the binding",
                needs: .binding
            ) { run throws(DevmemError) in
                let fixture = try run.fixture(.quiet)
                let holders = try queues(ofInterface: run.interface.index).filter {
                    $0.type == .rx && fixture.queues.contains($0.id)
                }
                return verdict(
                    unless: difference(
                        "the dma-buf that queue \(queueList(fixture.queues)) reports",
                        holders.map(\.dmabufID), [fixture.bound.id]))
            },
        ]
    }

    /// A case for a request with invalid queues.
    private static func refused(
        _ name: String, _ what: String, _ expected: ExpectedRefusal...,
        queues:
            @escaping @Sendable (borrowing NetlinkMessage, ValidationRun) throws(DevmemError) ->
            Void
    ) -> ValidationCase {
        ValidationCase(
            "bind", name, "\(what) is refused", needs: [.privilege, .bindReceive, .udmabuf]
        ) { run throws(DevmemError) in
            let memory = try run.makeMemory()
            let number = memory.descriptor.rawValue
            return ExpectedRefusal.verdict(on: "the request", anyOf: expected) {
                () throws(DevmemError) in
                try bind(to: run.interface.index, descriptor: number) {
                    message throws(DevmemError) in
                    try queues(message, run)
                }
            }
        }
    }

    private static func pageSize(
        _ name: String, _ what: String, _ size: UInt32, _ expected: ExpectedRefusal...
    ) -> ValidationCase {
        ValidationCase(
            "bind", name, "\(what) is refused",
            needs: [.privilege, .bindReceive, .pageSize, .udmabuf]
        ) { run throws(DevmemError) in
            let memory = try run.makeMemory()
            let number = memory.descriptor.rawValue
            return ExpectedRefusal.verdict(on: "the request", anyOf: expected) {
                () throws(DevmemError) in
                try bindLast(of: run, descriptor: number, pageSize: size)
            }
        }
    }
}

extension ReceiveFixture.Kind {
    /// A bound queue that no flow is steered to.
    static let quiet = ReceiveFixture.Kind(listeners: 0, memory: 1 << 20)
}

/// The size in bytes of memory that no payload is received into.
let smallMemory: UInt64 = 1 << 16

extension ValidationFacts {
    /// The index of the last receive queue.
    var lastQueue: UInt32 { snapshot.receiveQueues.map(\.id).max() ?? 0 }
}

extension NetlinkMessage {
    /// Adds a queue to a bind request; nil leaves an attribute out.
    func putQueue(id: UInt32?, type: UInt32?) throws(DevmemError) {
        try nest(NetdevNumber.Dmabuf.queues) { nest throws(DevmemError) in
            if let id { try nest.put(NetdevNumber.Queue.id, id) }
            if let type { try nest.put(NetdevNumber.Queue.type, type) }
        }
    }
}

/// Sends a bind-rx request that may be invalid in any way. A resulting binding is released at once.
func bind(
    to interface: UInt32, descriptor: Int32, pageSize: UInt32? = nil,
    queues: (borrowing NetlinkMessage) throws(DevmemError) -> Void
) throws(DevmemError) {
    let socket = try NetlinkSocket()
    let message = try NetlinkMessage(
        family: try socket.family(NetdevNumber.familyName),
        command: NetdevNumber.Command.bindRx, version: NetdevNumber.version)
    try message.put(NetdevNumber.Dmabuf.ifindex, interface)
    try message.put(NetdevNumber.Dmabuf.fd, UInt32(bitPattern: descriptor))
    if let pageSize { try message.put(NetdevNumber.Dmabuf.rxPageSize, pageSize) }
    try queues(message)
    _ = try socket.request(
        message, operation: .init(.bindReceive, "bind-rx"), names: NetdevNumber.bindNames)
}

/// Requests to bind the NIC's last queue.
func bindLast(
    of run: ValidationRun, descriptor: Int32, pageSize: UInt32? = nil
) throws(DevmemError) {
    try bind(to: run.interface.index, descriptor: descriptor, pageSize: pageSize) {
        message throws(DevmemError) in
        try message.putQueue(id: run.facts.lastQueue, type: QueueType.rx.rawValue)
    }
}

/// Changes the NIC's settings under a journal, sends a bind request, and restores the settings.
private func bindInState(
    _ run: ValidationRun, _ expected: ExpectedRefusal,
    changes: (NICSnapshot) throws(DevmemError) -> [SteeringChange]
) throws(DevmemError) -> CaseVerdict {
    try run.releaseFixture()
    let memory = try run.makeMemory()
    let number = memory.descriptor.rawValue
    var state = try SteeringTransaction(
        making: changes, on: run.interface, as: "devmemtcp validate", logger: run.logger)
    let queue = run.facts.freeQueues.last ?? run.facts.lastQueue
    let verdict = expected.verdict(on: "the request") { () throws(DevmemError) in
        try bind(to: run.interface.index, descriptor: number) { message throws(DevmemError) in
            try message.putQueue(id: queue, type: QueueType.rx.rawValue)
        }
    }
    try state.restore()
    return verdict
}

/// Calls `body` without CAP_NET_ADMIN, and restores the thread's capability afterwards.
private func withoutNetAdmin<Result>(_ body: () -> Result) throws(DevmemError) -> Result {
    let before = try ThreadCapabilities.current()
    var without = before
    without.effective.remove(.netAdmin)
    try without.apply()
    let result = body()
    try before.apply()
    return result
}
