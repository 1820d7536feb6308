/// A refusal that the kernel or a driver explains in a text, where others share its error number. Only
/// this type knows these texts; each raw value is one, or its part without figures.
///
/// They are texts of `netdev_nl_bind_rx_doit`, `netdev_nl_bind_tx_doit` and
/// `netdev_nl_queue_create_doit` of net/core/netdev-genl.c, of devmem.c, netdev_rx_queue.c,
/// netdev_queues.c and dev.c beside it, of drivers/net/netkit.c, and of net/ethtool/{rings,common}.c;
/// `needsHardwareGRO` is one of `mlx5e_ethtool_set_tcp_data_split` of mlx5's en_ethtool.c.
package enum Refusal: String, CaseIterable, Sendable {
    case pageSizeOutOfRange = "integer out of range"
    case pageSizeNotPowerOfTwo = "rx-page-size must be a power of 2"
    case differentDMADevices = "DMA device mismatch between queue"
    case noDMA = "Device doesn't support DMA"
    case cannotAttach = "Failed to bind dmabuf to device"
    case cannotMap = "Failed to map dmabuf attachment"
    case extentNotAligned = "not aligned to niov size"
    case splitIsOff = "tcp-data-split is disabled"
    case thresholdIsSet = "hds-thresh is not zero"
    case hasXDP = "unable to custom memory provider to device with XDP program"
    case queueHasMemory = "designated queue already memory provider bound"
    case queueHasAFXDP = "designated queue already in use by AF_XDP"
    case pageSizeUnsupported = "device does not support: rx_page_size"
    case queueIsLeased = "rx queue leased to a virtual netdev"
    case queueIsVirtual = "rx queue belongs to a virtual netdev"
    case noSuchQueue = "rx queue index out of range"
    case cannotSend = "Driver does not support netmem TX"
    case noDeviceToSend = "No DMA-capable device found for netmem TX"
    case sizeNotPages = "TX dma-buf size must be a multiple of PAGE_SIZE"
    case splitHeldByMemory = "can't disable tcp-data-split while device has memory provider enabled"
    case thresholdHeldByMemory =
        "can't set non-zero hds_thresh while device is memory provider enabled"
    case channelsHeldByMemory = "requested channel counts are too low for existing memory provider"
    case channelsHeldByTable = "requested channel counts are too low for existing indirection table"
    case channelsHeldByRules = "requested channel counts are too low for existing ntuple filter"
    case xdpHeldByMemory = "unable to install XDP to device using memory provider"
    case upperXDPHeldByMemory = "unable to propagate XDP to device using memory provider"
    case singleBufferXDP = "tcp-data-split can not be enabled with single buffer XDP"
    case noSplitSetting = "setting TCP data split is not supported"
    case noThresholdSetting = "setting hds-thresh is not supported"
    case needsHardwareGRO = "GRO HW"
    case lesseeIsNIC = "Device is not a virtual device"
    case lesseeTakesNoQueues = "Device does not support queue creation"
    case lesseeIsHostEnd = "netkit can only lease against the peer device"
    case lesseeIsFull = "netkit maximum queue limit reached"
    case lessorIsVirtual = "Lease device is a virtual device"
    case lessorIsGone = "Lease device has been removed from the system"
    case lessorCannotLease = "Lease device does not support queue management operations"
    case twoLessors = "Leasing queues from different devices not supported"
    case leasedToAnother = "Device queue in use due to queue leasing"
    case leaseHeldByAFXDP = "Device queue in use by AF_XDP"
    case leaseHeldByMemory = "Device queue in use by memory provider"
    /// Any other text about a memory provider; the last, because the others are more specific.
    case memoryInUse = "memory provider"

    /// Recognizes a refusal by the error's text; nil if only the error number identifies it.
    package init?(_ error: DevmemError) {
        guard let message = error.message,
            let refusal = Self.allCases.first(where: { message.contains($0.rawValue) })
        else { return nil }
        self = refusal
    }

    /// Whether the only reason is that a queue is bound.
    package var isForBoundMemory: Bool {
        switch self {
        case .queueHasMemory, .splitHeldByMemory, .thresholdHeldByMemory,
            .channelsHeldByMemory, .xdpHeldByMemory, .upperXDPHeldByMemory, .leaseHeldByMemory,
            .memoryInUse:
            true
        default: false
        }
    }

    /// What it means, and what to do about it.
    var explanation: ErrorExplanation {
        switch self {
        case .pageSizeOutOfRange:
            .init(
                "the value is out of the kernel's range; a receive page is at least one page",
                "give a page size of at least the system's (getconf PAGE_SIZE)")
        case .pageSizeNotPowerOfTwo:
            .init("the receive page size is not a power of two", "choose 4K, 8K or 16K")
        case .differentDMADevices:
            .init(
                "the queues belong to different PCI functions of a NIC with several",
                "choose queues of one function, as steering does by itself, or every second one")
        case .noDMA:
            .init(
                "no device behind the interface does DMA, as with netdevsim, or netkit without a "
                    + "leased queue",
                "name the physical NIC, or lease a queue to the virtual one")
        case .cannotAttach:
            .init(
                "the exporter of the dma-buf does not let this NIC attach to it",
                "choose memory that the NIC can reach; GPU and NIC may need to share a PCIe switch")
        case .cannotMap:
            .init(
                "the dma-buf cannot be mapped for this NIC: no peer-to-peer path, or no room in the "
                    + "IOMMU or swiotlb",
                .any("choose memory near the NIC", "choose a smaller \(.memory)"))
        case .extentNotAligned:
            .init(
                "an extent of the dma-buf does not begin or end at a multiple of the receive page size",
                "choose a smaller receive page, or memory of huge pages")
        case .splitIsOff:
            .init(
                "no user has turned header split on; the driver's default does not count",
                "ethtool -G \(.nic) tcp-data-split on, or let steering do it")
        case .thresholdIsSet:
            .init(
                "packets up to the threshold would not be split",
                "ethtool -G \(.nic) hds-thresh 0, or let steering do it")
        case .hasXDP:
            .init(
                "an XDP program wants to read packets, and device memory cannot be read",
                "end its holder, or ip link set \(.nic) xdp off")
        case .queueHasMemory:
            .init(
                "device memory or io_uring zero-copy receive has the queue",
                "end its holder, or choose another queue; \(AdvisedCommand(.checkHost)) tells which are free"
            )
        case .queueHasAFXDP:
            .init("an AF_XDP socket has the queue", "end its holder, or choose another queue")
        case .pageSizeUnsupported:
            .init(
                "the driver fills single pages only; mlx5 and bnxt support larger ones",
                "leave the receive page size out")
        case .queueIsLeased:
            .init(
                "a container's netkit interface has the queue",
                "choose another queue, or bind through that interface")
        case .queueIsVirtual:
            .init(
                "the queue is a virtual interface's and leads to no hardware",
                "bind a queue that is leased, or the physical NIC")
        case .noSuchQueue:
            .init(
                "the queue does not exist, or no longer does",
                "choose an existing one; ethtool -l counts them")
        case .cannotSend:
            .init(
                "the driver cannot send from device memory, though it may receive into it",
                "use another NIC for sending; \(AdvisedCommand(.checkHost)) tells what is known of the driver"
            )
        case .noDeviceToSend:
            .init(
                "the interface has no queue of a physical NIC to send through",
                "lease a queue to it, or name the physical NIC")
        case .sizeNotPages:
            .init(
                "the dma-buf ends inside a page", "choose a \(.memory) that is a multiple of 4096")
        case .splitHeldByMemory:
            .init("a queue is still bound", "end its holder, then change header split")
        case .thresholdHeldByMemory:
            .init("a queue is still bound", "end its holder, then change the threshold")
        case .channelsHeldByMemory:
            .init(
                "a bound queue would be removed, or is the last one",
                "end its holder, or keep more channels than its number")
        case .channelsHeldByTable:
            .init(
                "the RSS table names queues that would be removed",
                "ethtool -X \(.nic) default, then try again")
        case .channelsHeldByRules:
            .init(
                "a flow rule leads to a queue that would be removed",
                "delete it: ethtool -n \(.nic) lists, ethtool -N \(.nic) delete N")
        case .xdpHeldByMemory, .upperXDPHeldByMemory:
            .init(
                "an XDP program cannot read device memory",
                "end the holder of the bound queues first")
        case .singleBufferXDP:
            .init(
                "the XDP program accepts only packets in one buffer",
                "detach it: ip link set \(.nic) xdp off")
        case .noSplitSetting:
            .init(
                "the driver has no setting for header split",
                "device memory needs a NIC with header split")
        case .noThresholdSetting:
            .init(
                "the driver has no threshold to set", "leave it; such a driver splits every packet")
        case .needsHardwareGRO:
            .init(
                "the driver splits headers only while it has hardware GRO",
                "ethtool -K \(.nic) rx-gro-hw on")
        case .lesseeIsNIC, .lesseeTakesNoQueues:
            .init(
                "queues can be leased to netkit interfaces only",
                "name the container's end of a netkit pair")
        case .lesseeIsHostEnd:
            .init(
                "the interface is the host's end of the netkit pair",
                "name the other end, which is the container's")
        case .lesseeIsFull:
            .init(
                "the netkit interface was made for fewer queues",
                "make one for more: ip link add ... type netkit peer ... numrxqueues N, one more than "
                    + "queues to lease")
        case .lessorIsVirtual:
            .init("the queue is a virtual interface's", "name a queue of a physical NIC")
        case .lessorIsGone:
            .init("the NIC is gone", "ip -brief link lists the interfaces")
        case .lessorCannotLease:
            .init(
                "the driver cannot restart single queues, without which none can be leased",
                "use a NIC whose driver can: mlx5, gve, bnxt and fbnic")
        case .twoLessors:
            .init(
                "the netkit interface has queues of another NIC",
                "make a netkit pair for each NIC")
        case .leasedToAnother:
            .init(
                "a virtual interface has the queue",
                "choose another queue; \(AdvisedCommand(.showAll)) lists NICs and their queues")
        case .leaseHeldByAFXDP:
            .init("an AF_XDP socket has the queue", "end its holder, or choose another queue")
        case .leaseHeldByMemory:
            .init(
                "device memory or io_uring zero-copy receive has the queue",
                "end its holder, or choose another queue")
        case .memoryInUse:
            .init("device memory or io_uring zero-copy receive is in use", "end its holder")
        }
    }
}
