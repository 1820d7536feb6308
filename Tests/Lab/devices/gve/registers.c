// SPDX-License-Identifier: GPL-2.0
/* Registers: status, reset, and the address of the admin queue. */
#include <linux/log2.h>

#include "gve.h"

static u32 gve_register(struct lab_device *dev, u32 offset)
{
	return lab_read(dev, GVE_BAR_REGISTERS, offset);
}

static void gve_register_set(struct lab_device *dev, u32 offset, u32 value)
{
	lab_write(dev, GVE_BAR_REGISTERS, offset, value);
}

void gve_doorbell_clear(struct lab_device *dev, u32 index)
{
	iowrite32(0, dev->bar[GVE_BAR_DOORBELLS] + 4 * index);
}

static u32 gve_status(struct lab_device *dev)
{
	const struct gve *gve = gve_of(dev);

	if (!gve->running)
		return GVE_IS_RESET;
	return (dev->link ? GVE_LINK_UP : 0) | (gve->broken ? GVE_WANTS_RESET : 0);
}

void gve_status_changed(struct lab_device *dev)
{
	gve_register_set(dev, GVE_DEVICE_STATUS, gve_status(dev));
	if (gve_of(dev)->configured)
		gve_manage(dev);
}

/* The flag that the device is reset is written last: once the driver reads it, it frees its
 * memory and starts again.
 */
void gve_registers_reset(struct lab_device *dev)
{
	memset_io(dev->bar[GVE_BAR_DOORBELLS], 0, dev->kind->bar_size[GVE_BAR_DOORBELLS]);
	gve_register_set(dev, GVE_MAX_TX_QUEUES, lab_queues);
	gve_register_set(dev, GVE_MAX_RX_QUEUES, lab_queues);
	gve_register_set(dev, GVE_DRIVER_STATUS, 0);
	gve_register_set(dev, GVE_ADMIN_DOORBELL, 0);
	gve_register_set(dev, GVE_ADMIN_COUNTER, 0);
	/* The status says that the registers above hold. */
	smp_wmb();
	gve_register_set(dev, GVE_DEVICE_STATUS, gve_status(dev));
}

void gve_reset(struct lab_device *dev)
{
	struct gve *gve = gve_of(dev);

	gve_notify_close(dev);
	memset(gve, 0, sizeof(*gve));
	gve->mtu = gve_mtu;
	gve_rss_reset(gve);
	gve_registers_reset(dev);
}

/* The driver writes all of this before it reports that it runs. */
static bool gve_take_admin_queue(struct lab_device *dev)
{
	struct gve *gve = gve_of(dev);
	u32 len = gve_register(dev, GVE_ADMIN_LENGTH) >> 16;
	u64 address;

	address = (u64)gve_register(dev, GVE_ADMIN_BASE_HIGH) << 32 |
		  gve_register(dev, GVE_ADMIN_BASE_LOW);
	if (!is_power_of_2(len) || len < sizeof(struct gve_command))
		return false;
	gve->admin = lab_memory(dev, address, len);
	if (!gve->admin)
		return false;
	gve->admin_size = len / sizeof(struct gve_command);
	gve->running = true;
	return true;
}

bool gve_registers_poll(struct lab_device *dev)
{
	struct gve *gve = gve_of(dev);
	u32 driver = gve_register(dev, GVE_DRIVER_STATUS);

	/* What the driver wrote before its status is seen from here on. */
	smp_rmb();
	if (driver & GVE_DRIVER_RESETS) {
		gve_reset(dev);
		return true;
	}
	if (gve->running || !(driver & GVE_DRIVER_RUNS) || !gve_take_admin_queue(dev))
		return false;
	gve_status_changed(dev);
	return true;
}
