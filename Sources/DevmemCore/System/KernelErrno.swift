import CDevmem
package import SystemPackage

/// Error numbers that are the kernel's own and yet reach programs (include/linux/errno.h).
package enum KernelErrno {
    /// ENOTSUPP.
    static let notSupported = Int32(CDM_ENOTSUPP)
    /// ETOOSMALL: recvmsg(2) has no room for the control messages.
    package static let tooSmall = Int32(CDM_ETOOSMALL)
}

/// The C library's text for an error number, and one for those of the kernel's own.
package func describe(_ errno: Errno) -> String {
    switch errno.rawValue {
    case KernelErrno.tooSmall: "control buffer too small (errno \(errno.rawValue))"
    case KernelErrno.notSupported: "not supported (errno \(errno.rawValue))"
    default: errno.description
    }
}
