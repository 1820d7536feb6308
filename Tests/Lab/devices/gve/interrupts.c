// SPDX-License-Identifier: GPL-2.0
/* Interrupts: one for each notification block, raised once each time the driver arms it,
 * and one for management, raised when the device's status changes.
 */
#include <linux/bitfield.h>

#include "gve.h"

/* The management vector is the one that no block uses. */
static u32 gve_management_vector(const struct gve *gve)
{
	return gve->first_vector ? 0 : gve->n_notify;
}

bool gve_notify_open(struct lab_device *dev, u32 blocks, u32 first_vector)
{
	struct gve *gve = gve_of(dev);
	u32 i;

	gve->n_notify = blocks;
	gve->first_vector = first_vector;
	memset(gve->notify, 0, sizeof(gve->notify));
	for (i = 0; i <= blocks; i++) {
		if (!lab_vector_open(dev, i)) {
			gve_notify_close(dev);
			return false;
		}
	}
	return true;
}

void gve_notify_close(struct lab_device *dev)
{
	struct gve *gve = gve_of(dev);
	u32 i;

	for (i = 0; i <= gve->n_notify; i++)
		lab_vector_close(dev, i);
	gve->n_notify = 0;
	gve->throttled = false;
}

void gve_manage(struct lab_device *dev)
{
	lab_interrupt(dev, gve_management_vector(gve_of(dev)));
}

/* One write arms the block and sets its interval. */
static void gve_notify_look(struct lab_device *dev, u32 id)
{
	struct gve_notify *notify = &gve_of(dev)->notify[id];
	u32 bell;

	if (!gve_doorbell(dev, GVE_DOORBELL_IRQ(id)))
		return;
	bell = swab32(lab_take(dev, GVE_BAR_DOORBELLS, 4 * GVE_DOORBELL_IRQ(id)));
	if (bell & GVE_IRQ_ENABLE)
		notify->armed = true;
	if (FIELD_GET(GVE_IRQ_INTERVAL, bell) != GVE_IRQ_NO_INTERVAL)
		notify->interval_us = 2 * FIELD_GET(GVE_IRQ_TWO_MICROSECONDS, bell);
}

/* An event before the driver arms the block is not lost. */
void gve_notify_raise(struct lab_device *dev)
{
	struct gve *gve = gve_of(dev);
	u32 i;

	gve->throttled = false;
	for (i = 0; i < gve->n_notify; i++) {
		struct gve_notify *notify = &gve->notify[i];
		ktime_t now;

		gve_notify_look(dev, i);
		if (!notify->due || !notify->armed || gve->broken)
			continue;
		now = ktime_get();
		if (ktime_before(now, notify->not_before)) {
			gve->throttled = true;
			continue;
		}
		notify->due = false;
		notify->armed = false;
		notify->not_before = ktime_add_us(now, notify->interval_us);
		lab_interrupt(dev, gve->first_vector + i);
	}
}
