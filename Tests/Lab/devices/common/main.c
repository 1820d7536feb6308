// SPDX-License-Identifier: GPL-2.0
/* Loads and unloads wires with a device at each end, to which the kernel's own
 * drivers bind.
 */
#include <linux/ioport.h>
#include <linux/module.h>

#include "device.h"
#include "knobs.h"
#include "memory.h"
#include "pci.h"
#include "wire.h"

static char *near = "gve";
module_param(near, charp, 0444);
MODULE_PARM_DESC(near, "the device at the near end of each wire: gve or mlx5");
static char *far;
module_param(far, charp, 0444);
MODULE_PARM_DESC(far, "the device at the far end of each wire (default: the same)");
static unsigned int wires = 1;
module_param(wires, uint, 0444);
MODULE_PARM_DESC(wires, "wires, each with two ends (1 to 3)");
unsigned int lab_queues = 8;
module_param_named(queues, lab_queues, uint, 0444);
MODULE_PARM_DESC(queues, "queues of each end, the maximum and the default (1 to 16)");
unsigned long lab_pci_base = 0x70000000;
module_param_named(addr, lab_pci_base, ulong, 0444);
MODULE_PARM_DESC(addr, "RAM reserved for the devices' registers with memmap=SIZE$ADDR, 1 MiB for each end");
unsigned int lab_hold_ms = 40;
module_param_named(hold_ms, lab_hold_ms, uint, 0644);
MODULE_PARM_DESC(hold_ms, "how long a packet waits for receive buffers before it is dropped");
unsigned int lab_poll_us = 200;
module_param_named(poll_us, lab_poll_us, uint, 0644);
MODULE_PARM_DESC(poll_us, "the least time between polls of a wire while there is traffic");
unsigned int lab_idle_ms = 50;
module_param_named(idle_ms, lab_idle_ms, uint, 0644);
MODULE_PARM_DESC(idle_ms, "the longest time between polls of an idle wire");

static const struct lab_kind *lab_kind_named(const char *name)
{
	static const struct lab_kind *const kinds[] = { &lab_gve, &lab_mlx5 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(kinds[i]->name, name))
			return kinds[i];
	pr_err(LAB_NAME ": unknown device '%s'\n", name);
	return NULL;
}

static bool lab_parameters_are_right(void)
{
	unsigned long size = 2 * wires * LAB_WINDOW;

	if (!wires || wires > LAB_MAX_WIRES || !lab_queues || lab_queues > LAB_MAX_QUEUES) {
		pr_err(LAB_NAME ": wires are 1 to %u, queues 1 to %u\n", LAB_MAX_WIRES,
		       LAB_MAX_QUEUES);
		return false;
	}
	if (!IS_ALIGNED(lab_pci_base, LAB_WINDOW) ||
	    region_intersects(lab_pci_base, size, IORESOURCE_SYSTEM_RAM, IORES_DESC_NONE) !=
		    REGION_DISJOINT) {
		pr_err(LAB_NAME ": %#lx is no reserved memory; boot with memmap=%luM$%#lx\n",
		       lab_pci_base, size / SZ_1M, lab_pci_base);
		return false;
	}
	return true;
}

static void lab_wires_end(void)
{
	unsigned int i;

	for (i = 0; i < wires; i++)
		if (lab_wires[i])
			lab_wire_stop(lab_wires[i]);
}

static void lab_wires_destroy(void)
{
	unsigned int i;

	for (i = 0; i < wires; i++)
		lab_wire_destroy(i);
}

static int lab_wires_create(const struct lab_kind *a, const struct lab_kind *b)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < wires && !err; i++)
		err = lab_wire_create(i, a, b);
	return err;
}

static int lab_wires_start(void)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < wires && !err; i++)
		err = lab_wire_start(lab_wires[i]);
	return err;
}

static void lab_folders_create(void)
{
	struct lab_device *dev;
	unsigned int slot;

	lab_knobs_create();
	for (slot = 0; (dev = lab_device_at(slot)); slot++)
		lab_knobs_add(dev);
}

static int __init lab_load(void)
{
	const struct lab_kind *a = lab_kind_named(near), *b = far ? lab_kind_named(far) : a;
	int err;

	if (!a || !b || !lab_parameters_are_right())
		return -EINVAL;
	err = lab_memory_create();
	if (err)
		return err;
	err = lab_wires_create(a, b);
	if (err)
		goto no_wires;
	err = lab_pci_create(2 * wires);
	if (err)
		goto no_wires;
	err = lab_wires_start();
	if (err)
		goto no_threads;
	lab_folders_create();
	lab_pci_publish();
	return 0;

no_threads:
	lab_pci_remove();
	lab_wires_end();
	lab_pci_forget();
no_wires:
	lab_wires_destroy();
	lab_memory_destroy();
	return err;
}

static void __exit lab_unload(void)
{
	lab_pci_remove();
	lab_knobs_remove();
	lab_wires_end();
	lab_pci_forget();
	lab_wires_destroy();
	lab_memory_destroy();
}

module_init(lab_load);
module_exit(lab_unload);
MODULE_DESCRIPTION("Software devices for the kernel's own gve and mlx5 drivers");
MODULE_LICENSE("GPL");
