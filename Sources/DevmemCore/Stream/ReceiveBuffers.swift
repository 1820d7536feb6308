/// The memory that recvmsg writes to, with one owner: payload that is not in device memory, and
/// control messages.
package struct ReceiveBuffers: ~Copyable {
    /// One call takes at most this many bytes of the stream, those in device memory included.
    static let dataSize = 1 << 20
    /// Room for about 1600 fragments, more than a megabyte of packets of 1500 bytes makes.
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

/// Room for the control messages of an error queue, with one owner.
package struct ReceiveControl: ~Copyable {
    package let bytes: UnsafeMutableRawBufferPointer

    package init() {
        bytes = .allocate(byteCount: 512, alignment: 16)
    }

    deinit {
        bytes.deallocate()
    }
}
