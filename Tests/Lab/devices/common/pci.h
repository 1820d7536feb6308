/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LAB_PCI_H
#define LAB_PCI_H

#include <linux/types.h>

/* The start of the reserved memory; a module parameter. */
extern unsigned long lab_pci_base;

/* Creates the bus and scans it; no driver sees the devices yet. */
int lab_pci_create(unsigned int devices);
/* Lets drivers bind. */
void lab_pci_publish(void);
/* Unbinds the drivers, which need the devices to answer meanwhile. */
void lab_pci_remove(void);
/* Releases the functions, once no device uses them. */
void lab_pci_forget(void);

#endif
