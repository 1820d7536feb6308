/// A dma-buf and the ids of its bindings, for all threads that receive into it or send from it.
///
/// `BoundNIC` decides when it is unbound; the memory itself stays while anyone refers to it.
public final class BoundMemory: Sendable {
    /// The dma-buf.
    public let dmabuf: DmabufMemory
    /// The kernel's id of the binding for receiving, if there is one.
    public let receiveID: UInt32?
    /// The kernel's id of the binding for sending, if there is one.
    public let transmitID: UInt32?

    init(_ dmabuf: consuming DmabufMemory, receiveID: UInt32?, transmitID: UInt32?) {
        self.dmabuf = dmabuf
        self.receiveID = receiveID
        self.transmitID = transmitID
    }

    /// The id that the control messages of received payload carry. Without a binding it is 0, which
    /// no binding has (net/core/devmem.c numbers them from 1).
    package var id: UInt32 { receiveID ?? 0 }
}
