/* SPDX-License-Identifier: GPL-2.0 */
/* What the headers of older kernels lack. No other file asks for the version. */
#ifndef LAB_MLX5_COMPAT_H
#define LAB_MLX5_COMPAT_H

#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
#define MLX5_PTYS_CONNECTOR_TYPE_PORT_DA	7
#else
/* The driver asks for all the capabilities behind device memory. */
#define CX_KNOWS_DEVMEM
#endif

#endif
