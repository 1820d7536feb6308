/// The way in which payload is received into device memory.
public enum ReceiveEngine: String, Codable, Sendable {
    /// By recvmsg(2), from queues that a netlink request has bound.
    case socket
    /// By zero-copy receive of io_uring, which has the queues, each with a dma-buf of its own.
    case ioUring = "io_uring"
}

/// Which engine to receive with.
public enum ReceiveEngineChoice: String, CaseIterable, Codable, Sendable {
    /// io_uring where kernel, privilege and request allow it, which costs less; the socket
    /// elsewhere.
    case automatic = "auto"
    /// The socket.
    case socket
    /// io_uring, or an error.
    case ioUring = "io_uring"
}
