// SPDX-License-Identifier: GPL-2.0
/* Google's virtual NIC, gVNIC, as the in-tree gve driver uses it: only the DQO queue
 * format with raw addresses.
 */
#include <linux/if_vlan.h>
#include <linux/log2.h>
#include <linux/module.h>

#include "gve.h"

unsigned int gve_ring = 1024;
module_param(gve_ring, uint, 0444);
MODULE_PARM_DESC(gve_ring, "size of rings after probing, a power of two");
unsigned int gve_ring_max = 4096;
module_param(gve_ring_max, uint, 0444);
MODULE_PARM_DESC(gve_ring_max, "largest ring");
unsigned int gve_buffer = 4096;
module_param(gve_buffer, uint, 0444);
MODULE_PARM_DESC(gve_buffer, "largest receive buffer, 2048 or 4096");
unsigned int gve_header_buffer = 128;
module_param(gve_header_buffer, uint, 0444);
MODULE_PARM_DESC(gve_header_buffer, "size of header buffers; 0: no header split");
unsigned int gve_mtu = 8896;
module_param(gve_mtu, uint, 0444);
MODULE_PARM_DESC(gve_mtu, "largest MTU");
unsigned int gve_rules = 64;
module_param(gve_rules, uint, 0444);
MODULE_PARM_DESC(gve_rules, "places for flow rules, up to 1024; 0: no flow steering");
bool gve_rss_option;
module_param(gve_rss_option, bool, 0444);
MODULE_PARM_DESC(gve_rss_option, "offer the RSS option: the driver keeps no RSS state of its own");
unsigned int gve_speed = 100000;
module_param(gve_speed, uint, 0444);
MODULE_PARM_DESC(gve_speed, "link speed in Mbit/s");
unsigned int gve_fail_status = GVE_INTERNAL_ERROR;
module_param(gve_fail_status, uint, 0644);
MODULE_PARM_DESC(gve_fail_status, "the status of a command that a knob makes fail");

static bool gve_parameters_are_right(void)
{
	return is_power_of_2(gve_ring) && is_power_of_2(gve_ring_max) &&
	       gve_ring >= GVE_MIN_RX_RING && gve_ring <= gve_ring_max && gve_ring_max <= SZ_32K &&
	       (gve_buffer == SZ_2K || gve_buffer == SZ_4K) && gve_header_buffer < SZ_1K &&
	       gve_mtu >= ETH_MIN_MTU && gve_mtu <= GVE_TX_MAX_LEN - VLAN_ETH_HLEN &&
	       gve_rules <= GVE_MAX_RULES;
}

static int gve_start(struct lab_device *dev)
{
	if (!gve_parameters_are_right()) {
		pr_err(LAB_NAME ": a gve_ parameter is out of range\n");
		return -EINVAL;
	}
	gve_reset(dev);
	return 0;
}

static void gve_stop(struct lab_device *dev)
{
	gve_notify_close(dev);
}

static bool gve_poll(struct lab_device *dev)
{
	struct gve *gve = gve_of(dev);
	bool busy = gve_registers_poll(dev);

	if (!gve->running || gve->broken)
		return busy;
	busy |= gve_admin_poll(dev);
	busy |= gve_tx_poll(dev);
	gve_stats_poll(dev);
	return busy || gve->throttled;
}

static void gve_break_down(struct lab_device *dev)
{
	struct gve *gve = gve_of(dev);

	if (!gve->running)
		return;
	gve->broken = true;
	gve_status_changed(dev);
}

/* Two for each pair of queues, and one for management. */
static unsigned int gve_vectors(void)
{
	return 2 * lab_queues + 1;
}

const struct lab_kind lab_gve = {
	.name		= "gve",
	.vendor		= 0x1ae0,
	.device		= 0x0042,
	.subvendor	= 0x1ae0,
	.subdevice	= 0x0058,
	.class_revision	= PCI_CLASS_NETWORK_ETHERNET << 16 | 0x01,
	.bar_size	= {
		[GVE_BAR_REGISTERS]	= SZ_4K,
		[GVE_BAR_MSIX]		= SZ_4K,
		[GVE_BAR_DOORBELLS]	= SZ_4K,
	},
	.msix_bar	= GVE_BAR_MSIX,
	.msix_table	= 0,
	.msix_pba	= SZ_2K,
	.state_size	= sizeof(struct gve),
	.start		= gve_start,
	.stop		= gve_stop,
	.poll		= gve_poll,
	.raise		= gve_notify_raise,
	.receive	= gve_receive,
	.link_changed	= gve_status_changed,
	.break_down	= gve_break_down,
	.show		= gve_show,
	.vectors	= gve_vectors,
};
