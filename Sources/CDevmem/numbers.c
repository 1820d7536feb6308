/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compares the numbers that CDevmem's headers repeat with those of the installed headers of the
 * kernel, CUDA and ROCm, if they have them. A version below is that of a kernel whose headers certainly do.
 */
#include "CDevmem.h"

#include <linux/if.h>
#include <linux/io_uring.h>
#include <linux/version.h>

#define SAME(name) _Static_assert(cdm_##name == name, #name)

SAME(IFF_UP);
SAME(IFF_LOOPBACK);
SAME(IFF_LOWER_UP);

_Static_assert(offsetof(struct ethtool_rx_flow_spec, h_ext) ==
	       offsetof(struct ethtool_rx_flow_spec, h_u) + sizeof(union ethtool_flow_union),
	       "ethtool_rx_flow_spec.h_ext");
_Static_assert(offsetof(struct ethtool_rx_flow_spec, m_ext) ==
	       offsetof(struct ethtool_rx_flow_spec, m_u) + sizeof(union ethtool_flow_union),
	       "ethtool_rx_flow_spec.m_ext");

/* Addresses, ports and class have the same offsets in rules for TCP and for any protocol. */
#define SAME_PLACE(one, its, other, their) \
	_Static_assert(offsetof(struct one, its) == offsetof(struct other, their), #one "." #its)

SAME_PLACE(ethtool_tcpip4_spec, ip4src, ethtool_usrip4_spec, ip4src);
SAME_PLACE(ethtool_tcpip4_spec, ip4dst, ethtool_usrip4_spec, ip4dst);
SAME_PLACE(ethtool_tcpip4_spec, psrc, ethtool_usrip4_spec, l4_4_bytes);
SAME_PLACE(ethtool_tcpip4_spec, tos, ethtool_usrip4_spec, tos);
SAME_PLACE(ethtool_tcpip6_spec, ip6src, ethtool_usrip6_spec, ip6src);
SAME_PLACE(ethtool_tcpip6_spec, ip6dst, ethtool_usrip6_spec, ip6dst);
SAME_PLACE(ethtool_tcpip6_spec, psrc, ethtool_usrip6_spec, l4_4_bytes);
SAME_PLACE(ethtool_tcpip6_spec, tclass, ethtool_usrip6_spec, tclass);

#ifdef RXH_XFRM_NO_CHANGE
SAME(RXH_XFRM_NO_CHANGE);
_Static_assert(offsetof(struct ethtool_rxfh, input_xfrm) == cdm_ethtool_rxfh_input_xfrm,
	       "ethtool_rxfh.input_xfrm");
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#include <linux/netdev.h>
SAME(NETDEV_FAMILY_VERSION);
SAME(NETDEV_CMD_PAGE_POOL_GET);
SAME(NETDEV_CMD_QUEUE_GET);
SAME(NETDEV_CMD_NAPI_GET);
SAME(NETDEV_CMD_QSTATS_GET);
SAME(NETDEV_CMD_BIND_RX);
SAME(NETDEV_A_DEV_IFINDEX);
SAME(NETDEV_A_PAGE_POOL_ID);
SAME(NETDEV_A_PAGE_POOL_IFINDEX);
SAME(NETDEV_A_PAGE_POOL_NAPI_ID);
SAME(NETDEV_A_PAGE_POOL_INFLIGHT);
SAME(NETDEV_A_PAGE_POOL_INFLIGHT_MEM);
SAME(NETDEV_A_PAGE_POOL_DETACH_TIME);
SAME(NETDEV_A_PAGE_POOL_DMABUF);
SAME(NETDEV_A_NAPI_IFINDEX);
SAME(NETDEV_A_NAPI_ID);
SAME(NETDEV_A_NAPI_IRQ);
SAME(NETDEV_A_NAPI_PID);
SAME(NETDEV_A_QUEUE_ID);
SAME(NETDEV_A_QUEUE_IFINDEX);
SAME(NETDEV_A_QUEUE_TYPE);
SAME(NETDEV_A_QUEUE_NAPI_ID);
SAME(NETDEV_A_QUEUE_DMABUF);
SAME(NETDEV_A_QSTATS_IFINDEX);
SAME(NETDEV_A_QSTATS_QUEUE_TYPE);
SAME(NETDEV_A_QSTATS_QUEUE_ID);
SAME(NETDEV_A_QSTATS_SCOPE);
SAME(NETDEV_A_QSTATS_RX_PACKETS);
SAME(NETDEV_A_QSTATS_TX_WAKE);
SAME(NETDEV_A_DMABUF_IFINDEX);
SAME(NETDEV_A_DMABUF_QUEUES);
SAME(NETDEV_A_DMABUF_FD);
SAME(NETDEV_A_DMABUF_ID);
SAME(NETDEV_QUEUE_TYPE_RX);
SAME(NETDEV_QUEUE_TYPE_TX);
SAME(NETDEV_QSTATS_SCOPE_QUEUE);

SAME(ETHTOOL_MSG_RSS_GET);
SAME(ETHTOOL_A_RSS_HEADER);
SAME(ETHTOOL_A_RSS_CONTEXT);
SAME(ETHTOOL_A_RSS_HFUNC);
SAME(ETHTOOL_A_RSS_INDIR);
SAME(ETHTOOL_A_RSS_HKEY);
SAME(ETHTOOL_A_RSS_INPUT_XFRM);
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 18, 0)
SAME(NETDEV_CMD_BIND_TX);
SAME(NETDEV_A_NAPI_THREADED);
SAME(NETDEV_A_PAGE_POOL_IO_URING);
SAME(NETDEV_A_QUEUE_IO_URING);
SAME(NETDEV_A_QUEUE_XSK);
SAME(ETHTOOL_MSG_RSS_SET);
SAME(ETHTOOL_MSG_RSS_CREATE_ACT);
SAME(ETHTOOL_MSG_RSS_DELETE_ACT);
SAME(ETHTOOL_A_RINGS_HDS_THRESH);
SAME(ETHTOOL_A_RINGS_HDS_THRESH_MAX);
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 1, 0)
SAME(NETDEV_CMD_QUEUE_CREATE);
SAME(NETDEV_A_QUEUE_LEASE);
SAME(NETDEV_A_LEASE_IFINDEX);
SAME(NETDEV_A_LEASE_QUEUE);
SAME(NETDEV_A_LEASE_NETNS_ID);
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 3, 0)
SAME(NETDEV_A_DMABUF_RX_PAGE_SIZE);
#endif

#define SAME_SIZE(name) _Static_assert(sizeof(struct cdm_##name) == sizeof(struct name), #name)

SAME(IORING_SETUP_CQSIZE);
SAME(IORING_SETUP_R_DISABLED);
SAME(IORING_SETUP_SUBMIT_ALL);
SAME(IORING_SETUP_CQE32);
SAME(IORING_SETUP_SINGLE_ISSUER);
SAME(IORING_SETUP_DEFER_TASKRUN);
SAME(IORING_ENTER_GETEVENTS);
SAME(IORING_REGISTER_ENABLE_RINGS);
SAME(IORING_OFF_SQ_RING);
SAME(IORING_OFF_SQES);
SAME(IORING_OP_ASYNC_CANCEL);
SAME(IORING_RECV_MULTISHOT);
SAME(IORING_CQE_F_MORE);
SAME_SIZE(io_uring_sqe);
SAME_SIZE(io_sqring_offsets);
SAME_SIZE(io_cqring_offsets);
SAME_SIZE(io_uring_params);

#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 3, 0)
#include <linux/io_uring/query.h>
SAME(IORING_SETUP_NO_SQARRAY);
SAME(IORING_REGISTER_ZCRX_IFQ);
SAME(IORING_REGISTER_ZCRX_CTRL);
SAME(IORING_OP_RECV_ZC);
SAME(IORING_ZCRX_AREA_SHIFT);
SAME(IORING_ZCRX_AREA_DMABUF);
SAME(ZCRX_CTRL_FLUSH_RQ);
SAME(ZCRX_CTRL_EXPORT);
SAME(ZCRX_REG_IMPORT);
SAME(ZCRX_FEATURE_RX_PAGE_SIZE);
SAME(IORING_REGISTER_QUERY);
SAME(IO_URING_QUERY_ZCRX);
SAME_SIZE(io_uring_query_hdr);
SAME_SIZE(io_uring_query_zcrx);
SAME_PLACE(cdm_zcrx_ctrl, zcrx_fd, zcrx_ctrl, zc_export.zcrx_fd);
SAME_PLACE(cdm_io_uring_sqe, zcrx_ifq_idx, io_uring_sqe, zcrx_ifq_idx);
SAME_PLACE(cdm_io_uring_zcrx_area_reg, dmabuf_fd, io_uring_zcrx_area_reg, dmabuf_fd);
SAME_PLACE(cdm_io_uring_zcrx_ifq_reg, rx_buf_len, io_uring_zcrx_ifq_reg, rx_buf_len);
SAME_SIZE(io_uring_region_desc);
SAME_SIZE(io_uring_zcrx_rqe);
SAME_SIZE(io_uring_zcrx_offsets);
SAME_SIZE(io_uring_zcrx_area_reg);
SAME_SIZE(io_uring_zcrx_ifq_reg);
SAME_SIZE(zcrx_ctrl);
#endif

#if __has_include(<cuda.h>)
#include <cuda.h>
#if CUDA_VERSION >= 12080
SAME(CUDA_SUCCESS);
SAME(CUDA_ERROR_INVALID_VALUE);
SAME(CUDA_ERROR_OUT_OF_MEMORY);
SAME(CUDA_ERROR_NOT_INITIALIZED);
SAME(CUDA_ERROR_STUB_LIBRARY);
SAME(CUDA_ERROR_NO_DEVICE);
SAME(CUDA_ERROR_INVALID_DEVICE);
SAME(CUDA_ERROR_INVALID_CONTEXT);
SAME(CUDA_ERROR_INVALID_PTX);
SAME(CUDA_ERROR_NOT_FOUND);
SAME(CUDA_ERROR_ILLEGAL_ADDRESS);
SAME(CUDA_ERROR_LAUNCH_TIMEOUT);
SAME(CUDA_ERROR_MISALIGNED_ADDRESS);
SAME(CUDA_ERROR_LAUNCH_FAILED);
SAME(CUDA_ERROR_NOT_SUPPORTED);
SAME(CUDA_ERROR_SYSTEM_NOT_READY);
SAME(CUDA_ERROR_SYSTEM_DRIVER_MISMATCH);
SAME(CUDA_ERROR_UNKNOWN);
SAME(CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED);
SAME(CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WITH_CUDA_VMM_SUPPORTED);
SAME(CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_FLUSH_WRITES_OPTIONS);
SAME(CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WRITES_ORDERING);
SAME(CU_DEVICE_ATTRIBUTE_DMA_BUF_SUPPORTED);
SAME(CU_FLUSH_GPU_DIRECT_RDMA_WRITES_OPTION_HOST);
SAME(CU_GPU_DIRECT_RDMA_WRITES_ORDERING_OWNER);
SAME(CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TO_OWNER);
SAME(CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TARGET_CURRENT_CTX);
SAME(CU_MEM_ALLOCATION_TYPE_PINNED);
SAME(CU_MEM_LOCATION_TYPE_DEVICE);
SAME(CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
SAME(CU_MEM_ALLOC_GRANULARITY_RECOMMENDED);
SAME(CU_MEM_RANGE_HANDLE_TYPE_DMA_BUF_FD);
SAME(CU_MEM_RANGE_FLAG_DMA_BUF_MAPPING_TYPE_PCIE);
SAME(CU_STREAM_NON_BLOCKING);
SAME(CU_MEMHOSTREGISTER_PORTABLE);
SAME(CU_MEMHOSTALLOC_DEVICEMAP);
_Static_assert(sizeof(struct cdm_CUuuid) == sizeof(CUuuid), "CUuuid");
_Static_assert(sizeof(cdm_CUdevice) == sizeof(CUdevice), "CUdevice");
#define SAME_AS(name, field) \
	_Static_assert(sizeof(struct cdm_##name) == sizeof(name) && \
		       offsetof(struct cdm_##name, field) == offsetof(name, field), #name "." #field)
SAME_AS(CUmemLocation, id);
SAME_AS(CUmemAllocationProp, requestedHandleTypes);
SAME_AS(CUmemAllocationProp, location);
SAME_AS(CUmemAllocationProp, allocFlags);
SAME_AS(CUmemAllocationProp, allocFlags.gpuDirectRDMACapable);
SAME_AS(CUmemAccessDesc, flags);

/* The functions but those with pointers to the structures above. */
#define SAME_CALL(name) \
	_Static_assert(__builtin_types_compatible_p(__typeof__(&name), cdm_##name), #name)
SAME_CALL(cuInit);
SAME_CALL(cuDriverGetVersion);
SAME_CALL(cuGetErrorName);
SAME_CALL(cuGetErrorString);
SAME_CALL(cuDeviceGetCount);
SAME_CALL(cuDeviceGet);
SAME_CALL(cuDeviceGetName);
SAME_CALL(cuDeviceGetPCIBusId);
SAME_CALL(cuDeviceTotalMem);
SAME_CALL(cuDeviceGetAttribute);
SAME_CALL(cuFlushGPUDirectRDMAWrites);
SAME_CALL(cuDevicePrimaryCtxRetain);
SAME_CALL(cuDevicePrimaryCtxRelease);
SAME_CALL(cuCtxPushCurrent);
SAME_CALL(cuCtxPopCurrent);
SAME_CALL(cuMemGetInfo);
SAME_CALL(cuMemAlloc);
SAME_CALL(cuMemFree);
SAME_CALL(cuMemGetHandleForAddressRange);
SAME_CALL(cuMemRelease);
SAME_CALL(cuMemAddressReserve);
SAME_CALL(cuMemAddressFree);
SAME_CALL(cuMemMap);
SAME_CALL(cuMemUnmap);
SAME_CALL(cuMemHostRegister);
SAME_CALL(cuMemHostUnregister);
SAME_CALL(cuMemHostAlloc);
SAME_CALL(cuMemFreeHost);
SAME_CALL(cuMemHostGetDevicePointer);
SAME_CALL(cuModuleLoadData);
SAME_CALL(cuModuleUnload);
SAME_CALL(cuModuleGetFunction);
SAME_CALL(cuLaunchKernel);
SAME_CALL(cuStreamCreate);
SAME_CALL(cuStreamSynchronize);
SAME_CALL(cuStreamDestroy);
SAME_CALL(cuMemcpyDtoHAsync);
SAME_CALL(cuMemcpyHtoDAsync);
#endif
#endif

#if __has_include(<hip/hip_runtime_api.h>)
#define __HIP_PLATFORM_AMD__ 1
#include <hip/hip_runtime_api.h>
SAME(hipSuccess);
SAME(hipErrorInvalidValue);
SAME(hipErrorOutOfMemory);
SAME(hipErrorNoDevice);
SAME(hipErrorNotSupported);
SAME(hipStreamNonBlocking);
SAME(hipHostRegisterPortable);
SAME(hipMemcpyHostToDevice);
SAME(hipMemcpyDeviceToHost);
_Static_assert(sizeof(struct cdm_hipUUID) == sizeof(hipUUID), "hipUUID");
#define SAME_HIP_CALL(name) \
	_Static_assert(__builtin_types_compatible_p(__typeof__(&name), cdm_##name), #name)
SAME_HIP_CALL(hipInit);
SAME_HIP_CALL(hipGetErrorName);
SAME_HIP_CALL(hipGetErrorString);
SAME_HIP_CALL(hipGetDeviceCount);
SAME_HIP_CALL(hipDeviceGetName);
SAME_HIP_CALL(hipDeviceGetPCIBusId);
SAME_HIP_CALL(hipDeviceTotalMem);
SAME_HIP_CALL(hipGetDevice);
SAME_HIP_CALL(hipSetDevice);
SAME_HIP_CALL(hipMemGetInfo);
SAME_HIP_CALL(hipMalloc);
SAME_HIP_CALL(hipFree);
SAME_HIP_CALL(hipHostRegister);
SAME_HIP_CALL(hipHostUnregister);
SAME_HIP_CALL(hipStreamCreateWithFlags);
SAME_HIP_CALL(hipStreamSynchronize);
SAME_HIP_CALL(hipStreamDestroy);
SAME_HIP_CALL(hipMemcpyAsync);
#if HIP_VERSION_MAJOR >= 7
SAME(hipMemRangeHandleTypeDmaBufFd);
SAME_HIP_CALL(hipMemGetHandleForAddressRange);
#endif
#endif

#if __has_include(<hsa/hsa_ext_amd.h>)
#include <hsa/hsa_ext_amd.h>
SAME(HSA_STATUS_SUCCESS);
#if HSA_AMD_INTERFACE_VERSION_MAJOR > 1 || HSA_AMD_INTERFACE_VERSION_MINOR >= 6
SAME(HSA_AMD_SYSTEM_INFO_DMABUF_SUPPORTED);
_Static_assert(__builtin_types_compatible_p(__typeof__(&hsa_amd_portable_export_dmabuf),
					    cdm_hsa_amd_portable_export_dmabuf),
	       "hsa_amd_portable_export_dmabuf");
#endif
#endif
