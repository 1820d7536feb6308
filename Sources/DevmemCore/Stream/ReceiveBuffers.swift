/// The buffers passed to recvmsg(2), for payload outside device memory and for control messages.
package struct ReceiveBuffers: ~Copyable {
    /// The most bytes of the stream that one call receives, those in device memory included.
    static let dataSize = 1 << 20
    /// Room for about 1600 fragments, more than 1 MiB in packets of 1500 bytes needs.
    static let controlSize = 64 << 10

    package let data: UnsafeMutableRawBufferPointer
    let control: UnsafeMutableRawBufferPointer

    package init() {
        data = .allocate(byteCount: Self.dataSize, alignment: 4096)
        control = .allocate(byteCount: Self.controlSize, alignment: 16)
    }

    deinit {
        data.deallocate()
        control.deallocate()
    }
}

/// A buffer for the control messages of an error queue.
package struct ReceiveControl: ~Copyable {
    package let bytes: UnsafeMutableRawBufferPointer

    package init() {
        bytes = .allocate(byteCount: 512, alignment: 16)
    }

    deinit {
        bytes.deallocate()
    }
}
