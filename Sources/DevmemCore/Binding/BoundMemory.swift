/// A dma-buf, or several, and the ids of its bindings, shared by all threads that receive into it or send from
/// it.
///
/// `BoundNIC` controls when it is unbound; the memory exists as long as this object.
public final class BoundMemory: Sendable {
    /// The dma-buf.
    public let dmabuf: DmabufMemory
    /// The id of the receive binding, if there is one.
    public let receiveID: UInt32?
    /// The id of the transmit binding, if there is one.
    public let transmitID: UInt32?

    /// The queues that receive into the dma-bufs by io_uring, if any do.
    let zerocopy: ZerocopyQueues?
    /// The capabilities that a thread which receives may still need, but not in effect.
    package var capabilities: CapabilitySet { zerocopy?.capabilities ?? [] }

    init(
        _ dmabuf: consuming DmabufMemory, receiveID: UInt32?, transmitID: UInt32?,
        zerocopy: ZerocopyQueues? = nil
    ) {
        self.dmabuf = dmabuf
        self.zerocopy = zerocopy
        self.receiveID = receiveID
        self.transmitID = transmitID
    }

    /// The binding id in the control messages of received payload. It is 0 without a binding; the
    /// kernel's ids start at 1 (net/core/devmem.c).
    package var id: UInt32 { receiveID ?? 0 }
}
