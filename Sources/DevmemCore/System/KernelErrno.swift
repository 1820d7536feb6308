import CDevmem
package import SystemPackage

/// Kernel-internal error numbers that nevertheless reach programs (include/linux/errno.h).
package enum KernelErrno {
    /// ENOTSUPP.
    static let notSupported = Int32(CDM_ENOTSUPP)
    /// ETOOSMALL: recvmsg(2) has no room for the control messages.
    package static let tooSmall = Int32(CDM_ETOOSMALL)
}

/// Returns the C library's text for an error number, or our own for kernel-internal ones.
package func describe(_ errno: Errno) -> String {
    switch errno.rawValue {
    case KernelErrno.tooSmall: "control buffer too small (errno \(errno.rawValue))"
    case KernelErrno.notSupported: "not supported (errno \(errno.rawValue))"
    default: errno.description
    }
}
