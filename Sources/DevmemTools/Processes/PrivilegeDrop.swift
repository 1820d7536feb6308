package import DevmemCore
package import Logging

/// Drops the privileges that this process no longer needs once all is set up: capabilities of this
/// thread and those it creates, and system calls of the whole process.
///
/// - Parameters:
///   - kept: the capabilities that undoing takes.
///   - logger: says at level debug why there is no filter of system calls.
/// - Throws: `DevmemError` of kind `system` if capabilities cannot be dropped.
package func dropPrivileges(keeping kept: CapabilitySet, logger: Logger) throws(DevmemError) {
    try dropCapabilities(keeping: kept)
    filterSystemCalls(of: .process, logger)
}

/// Drops the privileges of this thread, which moves payload.
///
/// - Parameters:
///   - reserved: the capabilities that stay, but not in effect.
///   - logger: as for `dropPrivileges(keeping:logger:)`.
/// - Throws: `DevmemError` of kind `system` if capabilities cannot be dropped.
func dropThreadPrivileges(
    inReserve reserved: CapabilitySet, logger: Logger
) throws(DevmemError) {
    try dropCapabilities(inReserve: reserved)
    filterSystemCalls(of: .thread, logger)
}

/// Filters system calls where the kernel can; a kernel without the filter is no reason not to run.
private func filterSystemCalls(of scope: SystemCallFilter.Scope, _ logger: Logger) {
    do throws(DevmemError) {
        try SystemCallFilter.install(for: scope)
    } catch {
        logger.debug("\(error)")
    }
}

extension CapabilitySet {
    /// What restoring a NIC takes: its settings, and the journal, which may lie in another user's
    /// folder, as may the files that later connections write.
    package static let undoing: CapabilitySet = [.netAdmin, .dacOverride]
}
