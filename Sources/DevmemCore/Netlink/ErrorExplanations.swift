import Glibc
import SystemPackage

/// The meanings of rejected attributes, and of error numbers without a text, for one kind of request.
struct RefusedRequest {
    /// The operation of such an error.
    let kind: DevmemError.Operation.Kind
    /// For EINVAL that names an attribute, by the end of its dotted name.
    var attributes: KeyValuePairs<String, ErrorExplanation> = [:]
    let answers: [Errno: ErrorExplanation]
}

private let errorTooSmall = Errno(rawValue: KernelErrno.tooSmall)

private let notPrivileged = ErrorExplanation(
    "the process lacks CAP_NET_ADMIN, up to Linux 7.1 in the first network namespace", needsNetAdmin
)
private let noInterface = ErrorExplanation(
    "the interface is gone, or in another network namespace",
    "ip -brief link lists the interfaces")
private let goneOrDown = ErrorExplanation(
    "the interface is gone, in another network namespace, or down (mlx5)",
    "ip -brief link lists the interfaces; ip link set \(.nic) up")
private let isDown = ErrorExplanation("the interface is down", "ip link set \(.nic) up")
private let noRoomForRules = ErrorExplanation(
    "the NIC has no room for another rule of this kind",
    "ethtool -n \(.nic) lists the rules; delete those not needed")
private let notADmabuf = ErrorExplanation(
    "the descriptor is not a dma-buf", "pass the descriptor of a dma-buf")
private let noMemory = ErrorExplanation(
    "the kernel or the driver has no memory for the queue or the binding",
    .any("free some", "choose a smaller \(.memory)", "bind fewer queues"))

/// The requests of device memory TCP, by the operations of the core's errors.
let requests: [RefusedRequest] = [
    // netdev_nl_queue_create_doit of the kernel's net/core, netkit_queue_create of drivers/net.
    RefusedRequest(
        kind: .leaseQueue,
        answers: [
            .notPermitted: .init(
                "the process lacks CAP_NET_ADMIN in the first user namespace", needsNetAdmin),
            .operationNotSupportedByDevice: goneOrDown,
            .outOfRange: .init(
                "there is no such receive queue", "choose an existing one; ethtool -l counts them"),
        ]),
    // netdev_nl_bind_rx_doit, net_devmem_bind_dmabuf, netif_mp_open_rxq of the kernel's net/core.
    RefusedRequest(
        kind: .bindReceive,
        attributes: [
            "fd": notADmabuf, "ifindex": noInterface,
            "queues.id": .init(
                "there is no such receive queue",
                "choose an existing one; ethtool -l counts them"),
            "queues.type": .init("only receive queues can be bound", "choose receive queues"),
            "queues": .init("no queue is named", "choose receive queues"),
            "rx-page-size": .init(
                "the kernel or the driver does not support this receive page size",
                "choose a power of two from one page on, or leave it out"),
        ],
        answers: [
            .notPermitted: notPrivileged,
            .operationNotSupportedByDevice: goneOrDown,
            .notSupportedOnSocket: .init(
                "the driver cannot restart single queues, not as the NIC is set up (mlx5: PTP "
                    + "time stamps on a port of their own, XDP, HTB), not with this firmware "
                    + "(bnxt), or this kernel cannot bind",
                "see dmesg for the driver's message; otherwise the NIC's driver or this kernel cannot "
                    + "bind device memory"),
            .resourceTemporarilyUnavailable: .init(
                "the NIC is in a reset, or not up yet (gve)",
                "ip link set \(.nic) up; then try again"),
            .invalidArgument: .init(
                "an attribute is wrong: no such queue, not a dma-buf, or a page size that "
                    + "the driver does not support",
                "choose existing queues and no page size; ethtool -l counts queues"),
            .badFileDescriptor: notADmabuf,
            .fileExists: .init(
                "the queue is bound already, or an XDP program is attached",
                "the queue has a memory provider or the NIC an XDP program; end its holder"),
            .resourceBusy: .init(
                "an AF_XDP socket or a virtual interface has the queue",
                "end the AF_XDP or lease holder, or choose another queue"),
            .noData: .init(
                "the driver took its buffers from elsewhere and ignored device memory",
                "the driver has no device memory receive"),
            .argListTooLong: .init(
                "the driver's page pool has pages of another size", "leave the page size out"),
            .outOfRange: .init(
                "no such queue, one that cannot stop (queue 0 of gve), or a page size outside "
                    + "the driver's range",
                "choose an existing queue; ethtool -l counts them"),
            .noMemory: noMemory,
            .ioError: .init(
                "the driver could not restart the queue", "see dmesg for the driver's message"),
            .networkDown: isDown,
        ]),
    // netdev_nl_bind_tx_doit.
    RefusedRequest(
        kind: .bindTransmit,
        attributes: ["fd": notADmabuf, "ifindex": noInterface],
        answers: [
            .operationNotSupportedByDevice: noInterface,
            .notSupportedOnSocket: .init(
                "driver or kernel cannot send from device memory",
                "Linux 6.16 can with gve, later ones with mlx5, bnxt and fbnic"),
            .invalidArgument: .init(
                "the descriptor is not a dma-buf, or its size is not a multiple of a page",
                "pass a dma-buf of whole pages"),
            .badFileDescriptor: notADmabuf, .noMemory: noMemory,
        ]),
    // tcp_recvmsg_locked and tcp_recvmsg_dmabuf of net/ipv4/tcp.c.
    RefusedRequest(
        kind: .receive,
        answers: [
            .connectionReset: .init("the connection was cut", peerGaveUp),
            .badAddress: .init(
                "device memory arrived in a call without MSG_SOCK_DEVMEM or without room for "
                    + "linear bytes",
                "on kernels before 6.18 this stands for any failure of device memory"),
            .operationNotSupportedByDevice: .init(
                "a packet held ordinary or io_uring memory beside device memory",
                "a packet held device memory of another kind"),
            .noMemory: .init("no memory for another token", "return tokens sooner"),
            errorTooSmall: .init(
                "no control message fits",
                "give recvmsg a control buffer of 40 bytes or more"
            ),
        ]),
    // sock_devmem_dontneed of net/core/sock.c.
    RefusedRequest(
        kind: .returnTokens,
        answers: [
            .invalidArgument: .init(
                "too many token ranges, or an incomplete one", "return at most 128 per call"),
            .badFileDescriptor: .init("the socket is not a TCP socket", "use a TCP socket"),
            .noMemory: .init("no memory to read the tokens", "free some"),
            .badAddress: .init("the tokens cannot be read", "pass readable memory"),
        ]),
    // tcp_sendmsg_locked, net_devmem_get_binding and zerocopy_fill_skb_from_devmem.
    RefusedRequest(
        kind: .send,
        answers: [
            .invalidArgument: .init(
                "the id is not a binding for sending, zero-copy is not on, or the route's device "
                    + "has no scatter-gather",
                "the binding is gone, or the NIC cannot send scattered memory"),
            .badAddress: .init("an offset is outside the dma-buf", "keep offsets below its size"),
            .operationNotSupportedByDevice: .init(
                "the route leads out of another device than the bound one, as with VLAN or bond",
                .any(
                    "the route to the peer does not lead through the NIC that the dma-buf is bound to; "
                        + "ip route get shows it", "\(.pin) forces it")),
            .noRouteToHost: .init(
                "the route is gone", "the route to the peer is gone"),
            .noBufferSpace: .init(
                "too many sends wait for their completion",
                "sysctl -w net.core.optmem_max=1048576"),
            .messageTooLong: .init("more than 1024 extents in one call", "send fewer at once"),
            .connectionReset: .init("the connection was cut", readerGaveUp),
            .brokenPipe: .init("the connection is closed", readerGaveUp),
        ]),
    // ethtool_set_rxnfc of net/ethtool/ioctl.c and the drivers behind it: bnxt_srxclsrlins of
    // bnxt_ethtool.c, mlx5e_ethtool_flow_replace of en_fs_ethtool.c, fbnic_set_cls_rule_ins of
    // fbnic_ethtool.c, gve_add_flow_rule of gve_flow_rule.c and gve_adminq_parse_err. No text comes
    // with the number.
    RefusedRequest(
        kind: .addFlowRule,
        answers: [
            .fileExists: .init(
                "a rule with the same match exists already",
                "ethtool -n \(.nic) lists the rules; choose another port or address, or "
                    + "delete that rule"),
            .noSpace: noRoomForRules, .noMemory: noRoomForRules,
            .resourceBusy: .init("the driver is busy with another change", "try again"),
            .resourceTemporarilyUnavailable: .init(
                "the NIC is in a reset, or the interface is down",
                "ip link set \(.nic) up; then try again"),
            .timedOut: .init("the NIC does not answer", "try again; see dmesg"),
            Errno(rawValue: ETIME): .init("the NIC does not answer", "try again; see dmesg"),
            .permissionDenied: .init(
                "the NIC does not let this host add rules",
                "ask whoever administers the device"),
            .notPermitted: .init(
                "the process lacks CAP_NET_ADMIN, or flow rules are off (bnxt)",
                "run as root or with CAP_NET_ADMIN, and ethtool -K \(.nic) ntuple on"),
            .operationNotSupportedByDevice: goneOrDown, .networkDown: isDown,
            .invalidArgument: .init(
                "the NIC does not support such a rule, or not at that location",
                "match more fields, such as the peer's address; ethtool -n \(.nic) lists the "
                    + "rules"),
            .notSupportedOnSocket: .init(
                "the NIC does not support such a rule, or flow rules are off",
                "match more fields, such as the peer's address; ethtool -K \(.nic) ntuple on"),
        ]),
    // The same functions of the drivers.
    RefusedRequest(
        kind: .deleteFlowRule,
        answers: [
            .noSuchFileOrDirectory: .init(
                "the rule is gone already", "ethtool -n \(.nic) lists the rules"),
            .resourceTemporarilyUnavailable: .init("the NIC is in a reset", "try again"),
            .operationNotSupportedByDevice: goneOrDown, .networkDown: isDown,
        ]),
    // ethnl_rss_create_doit of net/ethtool/rss.c, ethtool_rxfh_context_set of ioctl.c and the drivers.
    RefusedRequest(
        kind: .addContext,
        answers: [
            .notSupportedOnSocket: .init(
                "the driver has no RSS contexts (gve), or not with this firmware",
                "spread flows another way: \(.spread) round-robin"),
            .noSpace: .init(
                "the NIC has no RSS context left",
                "spread flows another way: \(.spread) round-robin"),
            .resourceBusy: .init(
                "the NIC has no RSS context left",
                "spread flows another way: \(.spread) round-robin"),
            .resourceTemporarilyUnavailable: .init(
                "the interface is down (bnxt)", "ip link set \(.nic) up"),
            .operationNotSupportedByDevice: goneOrDown, .networkDown: isDown,
        ]),
    RefusedRequest(
        kind: .deleteContext,
        answers: [
            .resourceBusy: .init(
                "a flow rule leads to the context",
                "ethtool -n \(.nic) lists the rules; delete that rule first"),
            .operationNotSupportedByDevice: goneOrDown, .networkDown: isDown,
        ]),
    // ethtool_get_rxnfc and the drivers.
    RefusedRequest(
        kind: .readFlowRules,
        answers: [
            .messageTooLong: .init(
                "rules are added as fast as they are listed", "try again in a moment"),
            .operationNotSupportedByDevice: goneOrDown, .networkDown: isDown,
        ]),
    // ethnl_set_rings of net/ethtool/rings.c.
    RefusedRequest(
        kind: .setHeaderSplit,
        answers: [
            .notSupportedOnSocket: .init(
                "the driver does not let header split be turned on, or not now",
                "device memory needs a NIC with header split; see dmesg for the driver's message")
        ]),
    // dev_xdp_attach and xp_assign_dev.
    RefusedRequest(
        kind: .attachXDP,
        answers: [
            .resourceBusy: .init(
                "a queue is bound to device memory",
                "end its holder, then attach XDP or AF_XDP")
        ]),
]

private let peerGaveUp: Advice = "the peer closed the connection before its stream ended"
private let readerGaveUp: Advice = "the peer closed the connection before the stream ended"
