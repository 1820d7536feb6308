// SPDX-License-Identifier: GPL-2.0
/* Health: a counter that the driver watches, and a buffer that describes the failure.
 *
 * A device that has failed requests a reset from the driver and does nothing more. The driver
 * writes a reset request; the device then reports that its interface is disabled, and the
 * driver sets it up again.
 */
#include <linux/jiffies.h>

#include "mlx5.h"

#define CX_BEAT_MS	200
#define CX_QUEUE_LOG_SIZE	5	/* 32 commands of 64 bytes */
#define CX_QUEUE_LOG_STRIDE	6
#define CX_QUEUE_FORM		(CX_QUEUE_LOG_SIZE << 4 | CX_QUEUE_LOG_STRIDE)
#define CX_STATE_MASK		(7 << MLX5_NIC_IFC_OFFSET)
#define CX_FIRMWARE_MAJOR	16
#define CX_FIRMWARE_MINOR	35
#define CX_FIRMWARE_SUB		4030
#define CX_COMMAND_REVISION	5
#define CX_SECONDS		BIT(29)	/* the unit of a timeout */

unsigned int cx_command_seconds = 60;
module_param_named(mlx5_command_seconds, cx_command_seconds, uint, 0444);
MODULE_PARM_DESC(mlx5_command_seconds, "the driver's timeout for a command, as the device reports it");

u32 cx_segment_read(struct lab_device *dev, size_t offset)
{
	return lab_read(dev, 0, offset);
}

void cx_segment_write(struct lab_device *dev, size_t offset, u32 value)
{
	lab_write(dev, 0, offset, value);
}

#define CX_SEGMENT_SET(field, value) \
	cx_segment_write(dev, offsetof(struct mlx5_init_seg, field), value)

/* The driver may write at the same time. */
static u32 cx_register_change(struct lab_device *dev, size_t offset, u32 clear, u32 set)
{
	u32 *at = (u32 __force *)(dev->bar[0] + offset);
	u32 old = READ_ONCE(*at), value;

	for (;;) {
		u32 seen;

		value = (be32_to_cpu((__force __be32)old) & ~clear) | set;
		seen = cmpxchg(at, old, (__force u32)cpu_to_be32(value));
		if (seen == old)
			return value;
		old = seen;
	}
}

u32 cx_queue_register(struct lab_device *dev)
{
	const size_t offset = offsetof(struct mlx5_init_seg, cmdq_addr_l_sz);
	u32 value = cx_segment_read(dev, offset);

	if ((value & 0xff) == CX_QUEUE_FORM)
		return value;
	return cx_register_change(dev, offset, 0xff, CX_QUEUE_FORM);
}

static void cx_health_buffer(struct lab_device *dev, u8 syndrome)
{
	struct health_buffer __iomem *health =
		&((struct mlx5_init_seg __iomem *)dev->bar[0])->health;

	iowrite8(syndrome ? BIT(MLX5_RFR_BIT_OFFSET) : 0, &health->rfr_severity);
	iowrite8(syndrome, &health->synd);
}

void cx_health_start(struct lab_device *dev)
{
	CX_SEGMENT_SET(fw_rev, CX_FIRMWARE_MINOR << 16 | CX_FIRMWARE_MAJOR);
	CX_SEGMENT_SET(cmdif_rev_fw_sub, CX_COMMAND_REVISION << 16 | CX_FIRMWARE_SUB);
	CX_SEGMENT_SET(cmdq_addr_l_sz, CX_QUEUE_FORM);
	CX_SEGMENT_SET(initializing, BIT(MLX5_FW_RESET_SUPPORTED_OFFSET));
	CX_SEGMENT_SET(health.fw_ver, CX_FIRMWARE_MAJOR << 24 | CX_FIRMWARE_MINOR << 16 |
				      CX_FIRMWARE_SUB);
	CX_SEGMENT_SET(cmd_q_init_to, CX_SECONDS | 2);
	cx_command_seconds = clamp(cx_command_seconds, 1U, 3600U);
	CX_SEGMENT_SET(cmd_exec_to, CX_SECONDS | cx_command_seconds);
}

void cx_health_beat(struct lab_device *dev)
{
	const size_t offset = offsetof(struct mlx5_init_seg, health_counter);
	struct cx_state *cx = cx_of(dev);

	if (time_before(jiffies, cx->beat + msecs_to_jiffies(CX_BEAT_MS)))
		return;
	cx->beat = jiffies;
	cx_segment_write(dev, offset, cx_segment_read(dev, offset) + 1);
}

/* The device no longer accesses the driver's memory, which the driver frees without notice as
 * soon as it sees the state of the device.
 */
void cx_break_down(struct lab_device *dev)
{
	struct cx_state *cx = cx_of(dev);

	cx->broken = true;
	cx->enabled = false;
	cx_objects_reset(dev);
	cx_command_reset(dev);
	cx_health_buffer(dev, MLX5_INITIAL_SEG_HEALTH_SYNDROME_FW_INTERNAL_ERR);
}

bool cx_health_check(struct lab_device *dev)
{
	const size_t offset = offsetof(struct mlx5_init_seg, cmdq_addr_l_sz);
	struct cx_state *cx = cx_of(dev);
	u32 state = (cx_queue_register(dev) & CX_STATE_MASK) >> MLX5_NIC_IFC_OFFSET;

	if (state == MLX5_INITIAL_SEG_NIC_INTERFACE_SW_RESET) {
		/* Firmware restarts; its interface is disabled until the driver sets it up. */
		cx_objects_reset(dev);
		cx_command_reset(dev);
		cx_health_buffer(dev, 0);
		cx->broken = false;
		cx->enabled = false;
		cx_register_change(dev, offset, CX_STATE_MASK,
				   MLX5_INITIAL_SEG_NIC_INTERFACE_DISABLED <<
					   MLX5_NIC_IFC_OFFSET);
		return true;
	}
	return cx->broken || state == MLX5_INITIAL_SEG_NIC_INTERFACE_DISABLED;
}
