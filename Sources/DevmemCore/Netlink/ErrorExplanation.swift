import SystemPackage

/// What a refusal of the kernel means, and what to do about it.
package struct ErrorExplanation: Equatable, Sendable {
    /// What the kernel's words or error number stand for.
    package var meaning: String
    /// What to do.
    package var advice: String

    init(_ meaning: String, _ advice: String) {
        self.meaning = meaning
        self.advice = advice
    }
}

/// Explains a refused request of device memory TCP. Pure: only the error is looked at.
///
/// The kernel's text decides where it has one, as several refusals share an error number; then the
/// number, which means something else for each request.
///
/// - Parameter error: as thrown by the core.
/// - Returns: the explanation; nil where nothing is known beyond the error itself.
package func explain(_ error: DevmemError) -> ErrorExplanation? {
    if let message = error.message,
        let row = texts.first(where: { message.contains($0.fragment) })
    {
        return row.answer
    }
    guard let errno = error.errno,
        let request = requests.first(where: { error.call.hasPrefix($0.prefix) })
    else { return nil }
    if errno == .invalidArgument, let attribute = error.attribute,
        let row = request.attributes.first(where: { attribute.hasSuffix($0.name) })
    {
        return row.answer
    }
    return request.answers.first { $0.errno == errno }?.answer
}

/// The same error with the advice of its explanation, unless it carries some or has none.
func explained(_ error: DevmemError) -> DevmemError {
    explain(error).map { error.advising($0.advice) } ?? error
}

/// An extack text of the kernel, or the part of it that holds no figures.
private typealias TextRow = (fragment: String, answer: ErrorExplanation)

/// The texts of `netdev_nl_bind_rx_doit`, `netdev_nl_bind_tx_doit` and
/// `netdev_nl_queue_create_doit` of net/core/netdev-genl.c, of devmem.c, netdev_rx_queue.c,
/// netdev_queues.c and dev.c beside it, of net/ethtool/{rings,common}.c and drivers/net/netkit.c.
private let texts: [TextRow] = [
    (
        "integer out of range",
        ErrorExplanation(
            "the value is outside of what the kernel takes; a receive page is at least one page",
            "give a page size of at least the system's (getconf PAGE_SIZE)")
    ),
    (
        "rx-page-size must be a power of 2",
        ErrorExplanation("the receive page size is no power of two", "choose 4K, 8K, 16K or so")
    ),
    (
        "DMA device mismatch between queue",
        ErrorExplanation(
            "the queues belong to different PCI functions of a NIC with several",
            "choose queues of one function, as steering does by itself, or every second one")
    ),
    (
        "Device doesn't support DMA",
        ErrorExplanation(
            "the interface has no device behind it that does DMA, as netdevsim and netkit without "
                + "a leased queue",
            "name the physical NIC, or lease a queue to the virtual one")
    ),
    (
        "Failed to bind dmabuf to device",
        ErrorExplanation(
            "who made the dma-buf does not let this NIC attach to it",
            "choose memory that the NIC can reach; GPU and NIC may need to share a PCIe switch")
    ),
    (
        "Failed to map dmabuf attachment",
        ErrorExplanation(
            "the dma-buf cannot be mapped for this NIC: no peer-to-peer path, or no room in the "
                + "IOMMU or swiotlb",
            "choose memory near the NIC, or a smaller --memory")
    ),
    (
        "dmabuf sg entry",
        ErrorExplanation(
            "a piece of the dma-buf does not begin or end at a multiple of the receive page size",
            "choose a smaller receive page, or memory of huge pages")
    ),
    (
        "tcp-data-split is disabled",
        ErrorExplanation(
            "no user has turned header split on; the driver's default does not count",
            "ethtool -G IFACE tcp-data-split on, or let steering do it")
    ),
    (
        "hds-thresh is not zero",
        ErrorExplanation(
            "packets up to the threshold would not be split",
            "ethtool -G IFACE hds-thresh 0, or let steering do it")
    ),
    (
        "unable to custom memory provider to device with XDP program",
        ErrorExplanation(
            "an XDP program wants to read packets, and device memory cannot be read",
            "end its holder, or ip link set IFACE xdp off")
    ),
    (
        "designated queue already memory provider bound",
        ErrorExplanation(
            "device memory or io_uring zero-copy receive has the queue",
            "end its holder, or choose another queue; \(AdvisedCommand(.checkHost)) tells which are free"
        )
    ),
    (
        "designated queue already in use by AF_XDP",
        ErrorExplanation(
            "an AF_XDP socket has the queue", "end its holder, or choose another queue")
    ),
    (
        "device does not support: rx_page_size",
        ErrorExplanation(
            "the driver fills single pages only; mlx5 and bnxt know larger ones",
            "leave the receive page size out")
    ),
    (
        "rx queue leased to a virtual netdev",
        ErrorExplanation(
            "a container's netkit interface has the queue",
            "choose another queue, or bind through that interface")
    ),
    (
        "rx queue belongs to a virtual netdev",
        ErrorExplanation(
            "the queue is a virtual interface's and leads to no hardware",
            "bind a queue that is leased, or the physical NIC")
    ),
    (
        "rx queue index out of range",
        ErrorExplanation(
            "there is no such queue, or no longer", "choose an existing one; ethtool -l counts them"
        )
    ),
    (
        "Driver does not support netmem TX",
        ErrorExplanation(
            "the driver cannot send from device memory, though it may receive into it",
            "use another NIC for sending; \(AdvisedCommand(.checkHost)) tells what is known of the driver"
        )
    ),
    (
        "No DMA-capable device found for netmem TX",
        ErrorExplanation(
            "the interface has no queue of a physical NIC to send through",
            "lease a queue to it, or name the physical NIC")
    ),
    (
        "TX dma-buf size must be a multiple of PAGE_SIZE",
        ErrorExplanation(
            "the dma-buf ends inside a page", "choose a --memory that is a multiple of 4096")
    ),
    (
        "Device is not a virtual device",
        ErrorExplanation(
            "queues can be created on virtual interfaces only", "name a netkit interface")
    ),
    (
        "Device does not support queue creation",
        ErrorExplanation(
            "this kind of virtual interface takes no queues", "make a netkit interface")
    ),
    (
        "Device must have at least one real queue",
        ErrorExplanation(
            "the virtual interface has no receive queue of its own",
            "make it with at least one: ip link add numrxqueues")
    ),
    (
        "Lease device is a virtual device",
        ErrorExplanation(
            "a queue is leased from hardware, and this interface is virtual",
            "name the physical NIC")
    ),
    (
        "Lease device has been removed",
        ErrorExplanation("the NIC is going away", "try again when it is back")
    ),
    (
        "Lease device does not support queue management operations",
        ErrorExplanation(
            "the NIC's driver cannot restart single queues",
            "use a NIC with queue management: mlx5, bnxt, gve or fbnic")
    ),
    (
        "Leasing queues from different devices not supported",
        ErrorExplanation(
            "a virtual interface leases from one NIC only", "make a second one for the other NIC")
    ),
    (
        "Device queue in use by AF_XDP",
        ErrorExplanation("an AF_XDP socket has the queue", "lease another, or end its holder")
    ),
    (
        "Device queue in use due to queue leasing",
        ErrorExplanation(
            "it is leased already", "lease another, or delete the interface that has it")
    ),
    (
        "Device queue in use by memory provider",
        ErrorExplanation(
            "device memory or io_uring zero-copy receive has the queue",
            "lease another, or end its holder")
    ),
    (
        "netkit can only lease against the peer device",
        ErrorExplanation(
            "of a netkit pair only the peer, the container's end, takes queues",
            "name the peer, or make the interface a single one")
    ),
    (
        "netkit maximum queue limit reached",
        ErrorExplanation(
            "the netkit interface has as many queues as it was made for",
            "make it with more: ip link add numrxqueues")
    ),
    (
        "can't disable tcp-data-split while device has memory provider enabled",
        ErrorExplanation(
            "a queue is still bound", "end who holds it, then change header split")
    ),
    (
        "can't set non-zero hds_thresh while device is memory provider enabled",
        ErrorExplanation("a queue is still bound", "end who holds it, then change the threshold")
    ),
    (
        "too low for existing memory provider setting",
        ErrorExplanation(
            "a bound queue would go, or is the last one",
            "end who holds it, or keep more channels than its number")
    ),
    (
        "too low for existing indirection table",
        ErrorExplanation(
            "RSS leads flows to queues that would go", "ethtool -X IFACE default, then try again")
    ),
    (
        "too low for existing ntuple filter settings",
        ErrorExplanation(
            "a flow rule leads to a queue that would go",
            "delete it: ethtool -n IFACE lists, ethtool -N IFACE delete N")
    ),
    (
        "XDP to device using memory provider",
        ErrorExplanation(
            "an XDP program cannot read device memory", "end who holds the bound queues first")
    ),
    (
        "tcp-data-split can not be enabled with single buffer XDP",
        ErrorExplanation(
            "the XDP program takes packets in one buffer only",
            "detach it: ip link set IFACE xdp off")
    ),
    (
        "setting TCP data split is not supported",
        ErrorExplanation(
            "the driver has no setting for header split",
            "device memory needs a NIC with header split")
    ),
    (
        "setting hds-thresh is not supported",
        ErrorExplanation(
            "the driver has no threshold to set", "leave it; such a driver splits every packet")
    ),
]
