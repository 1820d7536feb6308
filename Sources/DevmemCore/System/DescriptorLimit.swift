import Glibc

/// Checks that this process may open as many descriptors as an operation needs, so that it fails at
/// its start rather than halfway.
///
/// - Throws: `DevmemError` of kind `invalid` with EMFILE.
package func requireDescriptors(_ needed: UInt64, to call: String) throws(DevmemError) {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0,
        UInt64(limit.rlim_cur) < needed
    else { return }
    throw DevmemError(
        .invalid, call: call, errno: .tooManyOpenFiles,
        message: "this may need \(needed) descriptors, and the limit is \(limit.rlim_cur)",
        advice: "ulimit -n \(needed), or LimitNOFILE=\(needed) of the unit, allows more")
}

/// Raises this process's limit on descriptors to the hard limit. Child processes inherit it.
///
/// - Returns: the new limit.
@discardableResult
package func raiseDescriptorLimit() -> UInt64 {
    var limit = rlimit()
    let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    guard getrlimit(resource, &limit) == 0 else { return 0 }
    limit.rlim_cur = limit.rlim_max
    setrlimit(resource, &limit)
    getrlimit(resource, &limit)
    return UInt64(limit.rlim_cur)
}
