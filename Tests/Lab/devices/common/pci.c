// SPDX-License-Identifier: GPL-2.0
/* A PCI root bus of our own, with the devices of all wires on it. Configuration space
 * is our memory; the BARs are in RAM that the kernel does not use, so a
 * driver may map them. No access is trapped: the wires' threads poll them.
 */
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/irq.h>
#include <linux/msi.h>
#include <linux/unaligned.h>

#include "device.h"
#include "pci.h"

#define LAB_PCI_DOMAIN	0x1ab0
#define LAB_MSIX_CAP	0x40

static struct pci_bus *lab_bus;
static struct pci_sysdata lab_sysdata;
static struct resource lab_window = { .name = LAB_NAME, .flags = IORESOURCE_MEM };
static struct resource lab_bus_number = { .name = LAB_NAME " bus", .flags = IORESOURCE_BUS };

/* Configuration space. Drivers access it with interrupts disabled, so no lock is taken. */

static struct lab_device *lab_find(unsigned int devfn)
{
	return PCI_FUNC(devfn) ? NULL : lab_device_at(PCI_SLOT(devfn));
}

static int lab_config_read(struct pci_bus *bus, unsigned int devfn, int where, int size,
			   u32 *value)
{
	struct lab_device *dev = lab_find(devfn);
	int i;

	if (!dev || where + size > (int)sizeof(dev->config)) {
		*value = ~0U >> (32 - 8 * size);
		return PCIBIOS_SUCCESSFUL;
	}
	*value = 0;
	for (i = 0; i < size; i++)
		*value |= (u32)dev->config[where + i] << (8 * i);
	return PCIBIOS_SUCCESSFUL;
}

static int lab_config_write(struct pci_bus *bus, unsigned int devfn, int where, int size,
			    u32 value)
{
	struct lab_device *dev = lab_find(devfn);
	int i;

	if (!dev || where + size > (int)sizeof(dev->config))
		return PCIBIOS_SUCCESSFUL;
	for (i = 0; i < size; i++) {
		u8 mask = dev->writable[where + i];
		u8 byte = (dev->config[where + i] & ~mask) | ((value >> (8 * i)) & mask);

		WRITE_ONCE(dev->config[where + i], byte);
	}
	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops lab_pci_ops = { .read = lab_config_read, .write = lab_config_write };

static void lab_config_bars(struct lab_device *dev)
{
	u32 offset = 0;
	int i;

	/* The largest first would waste least memory, but a device's few BARs fit in any order. */
	for (i = 0; i < LAB_BARS; i++) {
		u32 size = dev->kind->bar_size[i];

		if (!size)
			continue;
		offset = ALIGN(offset, size);
		put_unaligned_le32(dev->window + offset, dev->config + PCI_BASE_ADDRESS_0 + 4 * i);
		put_unaligned_le32(~(size - 1), dev->writable + PCI_BASE_ADDRESS_0 + 4 * i);
		offset += size;
	}
}

static void lab_config_msix(struct lab_device *dev)
{
	const struct lab_kind *kind = dev->kind;
	u8 *cap = dev->config + LAB_MSIX_CAP;

	put_unaligned_le16(PCI_STATUS_CAP_LIST, dev->config + PCI_STATUS);
	dev->config[PCI_CAPABILITY_LIST] = LAB_MSIX_CAP;
	cap[PCI_CAP_LIST_ID] = PCI_CAP_ID_MSIX;
	put_unaligned_le16(kind->vectors() - 1, cap + PCI_MSIX_FLAGS);
	put_unaligned_le32(kind->msix_table | kind->msix_bar, cap + PCI_MSIX_TABLE);
	put_unaligned_le32(kind->msix_pba | kind->msix_bar, cap + PCI_MSIX_PBA);
	put_unaligned_le16(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL,
			   dev->writable + LAB_MSIX_CAP + PCI_MSIX_FLAGS);
}

static void lab_config_create(struct lab_device *dev)
{
	const struct lab_kind *kind = dev->kind;
	u8 *config = dev->config, *writable = dev->writable;

	put_unaligned_le16(kind->vendor, config + PCI_VENDOR_ID);
	put_unaligned_le16(kind->device, config + PCI_DEVICE_ID);
	put_unaligned_le32(kind->class_revision, config + PCI_CLASS_REVISION);
	put_unaligned_le16(kind->subvendor, config + PCI_SUBSYSTEM_VENDOR_ID);
	put_unaligned_le16(kind->subdevice, config + PCI_SUBSYSTEM_ID);
	put_unaligned_le16(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE,
			   writable + PCI_COMMAND);
	writable[PCI_CACHE_LINE_SIZE] = 0xff;
	writable[PCI_LATENCY_TIMER] = 0xff;
	writable[PCI_INTERRUPT_LINE] = 0xff;
	lab_config_bars(dev);
	lab_config_msix(dev);
}

/* Registers */

int lab_device_map(struct lab_device *dev)
{
	int i;

	dev->window = lab_pci_base + dev->slot * LAB_WINDOW;
	lab_config_create(dev);
	for (i = 0; i < LAB_BARS; i++) {
		u8 *address = dev->config + PCI_BASE_ADDRESS_0 + 4 * i;
		u32 size = dev->kind->bar_size[i];

		if (!size)
			continue;
		dev->bar[i] = ioremap(get_unaligned_le32(address), size);
		if (!dev->bar[i])
			return -ENOMEM;
		memset_io(dev->bar[i], 0, size);
	}
	return 0;
}

void lab_device_unmap(struct lab_device *dev)
{
	int i;

	for (i = 0; i < LAB_BARS; i++)
		if (dev->bar[i])
			iounmap(dev->bar[i]);
}

u32 lab_read(struct lab_device *dev, unsigned int bar, u32 offset)
{
	return ioread32be(dev->bar[bar] + offset);
}

void lab_write(struct lab_device *dev, unsigned int bar, u32 offset, u32 value)
{
	iowrite32be(value, dev->bar[bar] + offset);
}

u32 lab_take(struct lab_device *dev, unsigned int bar, u32 offset)
{
	/* The register is RAM, so the processor can exchange it. */
	return be32_to_cpu((__force __be32)xchg((u32 __force *)(dev->bar[bar] + offset), 0));
}

/* Interrupts */

static void __iomem *lab_msix_entry(struct lab_device *dev, unsigned int vector)
{
	const struct lab_kind *kind = dev->kind;

	return dev->bar[kind->msix_bar] + kind->msix_table + vector * PCI_MSIX_ENTRY_SIZE;
}

static bool lab_vector_masked(struct lab_device *dev, unsigned int vector)
{
	u16 flags = get_unaligned_le16(dev->config + LAB_MSIX_CAP + PCI_MSIX_FLAGS);

	return !(flags & PCI_MSIX_FLAGS_ENABLE) || flags & PCI_MSIX_FLAGS_MASKALL ||
	       ioread32(lab_msix_entry(dev, vector) + PCI_MSIX_ENTRY_VECTOR_CTRL) &
		       PCI_MSIX_ENTRY_CTRL_MASKBIT;
}

bool lab_vector_open(struct lab_device *dev, unsigned int vector)
{
	int virq;

	if (vector >= dev->kind->vectors() || !dev->pci || !dev->pci->msix_enabled)
		return false;
	virq = pci_irq_vector(dev->pci, vector);
	if (virq <= 0)
		return false;
	dev->vector[vector].virq = virq;
	dev->vector[vector].pending = false;
	return true;
}

void lab_vector_close(struct lab_device *dev, unsigned int vector)
{
	if (vector < dev->kind->vectors())
		dev->vector[vector].virq = 0;
}

/* If the driver is gone, the number may belong to somebody else. */
static bool lab_owns_irq(struct lab_device *dev, int virq)
{
	const struct msi_desc *desc;

	guard(rcu)();
	desc = irq_get_msi_desc(virq);
	return desc && desc->dev == &dev->pci->dev;
}

void lab_interrupt(struct lab_device *dev, unsigned int vector)
{
	struct lab_vector *v;

	if (vector >= dev->kind->vectors() || !dev->vector[vector].virq)
		return;
	v = &dev->vector[vector];
	v->pending = lab_vector_masked(dev, vector);
	if (v->pending)
		return;
	if (!lab_owns_irq(dev, v->virq)) {
		v->virq = 0;
		return;
	}
	v->raised++;
	/* It fails while the last one is not handled yet, which then tells the driver. */
	irq_inject_interrupt(v->virq);
}

void lab_vectors_unmasked(struct lab_device *dev)
{
	unsigned int i;

	for (i = 0; i < dev->kind->vectors(); i++)
		if (dev->vector[i].pending)
			lab_interrupt(dev, i);
}

/* The bus */

static int lab_find_functions(void)
{
	struct lab_device *dev;
	unsigned int slot;

	for (slot = 0; (dev = lab_device_at(slot)); slot++) {
		dev->pci = pci_get_slot(lab_bus, PCI_DEVFN(slot, 0));
		if (!dev->pci)
			return -ENODEV;
	}
	return 0;
}

void lab_pci_forget(void)
{
	struct lab_device *dev;
	unsigned int slot;

	for (slot = 0; (dev = lab_device_at(slot)); slot++) {
		pci_dev_put(dev->pci);
		dev->pci = NULL;
	}
}

int lab_pci_create(unsigned int devices)
{
	LIST_HEAD(resources);

	lab_window.start = lab_pci_base;
	lab_window.end = lab_pci_base + devices * LAB_WINDOW - 1;
	lab_sysdata.domain = LAB_PCI_DOMAIN;
	lab_sysdata.node = first_online_node;
	pci_add_resource(&resources, &lab_window);
	pci_add_resource(&resources, &lab_bus_number);
	pci_lock_rescan_remove();
	lab_bus = pci_scan_root_bus(NULL, 0, &lab_pci_ops, &lab_sysdata, &resources);
	if (lab_bus)
		pci_bus_claim_resources(lab_bus);
	pci_unlock_rescan_remove();
	if (!lab_bus) {
		pci_free_resource_list(&resources);
		return -EIO;
	}
	if (lab_find_functions()) {
		lab_pci_remove();
		lab_pci_forget();
		return -ENODEV;
	}
	return 0;
}

void lab_pci_publish(void)
{
	pci_lock_rescan_remove();
	pci_bus_add_devices(lab_bus);
	pci_unlock_rescan_remove();
}

void lab_pci_remove(void)
{
	pci_lock_rescan_remove();
	pci_stop_root_bus(lab_bus);
	pci_remove_root_bus(lab_bus);
	pci_unlock_rescan_remove();
}
