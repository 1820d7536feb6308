/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LAB_PCI_H
#define LAB_PCI_H

#include <linux/types.h>

/* Where the reserved memory begins; a module parameter. */
extern unsigned long lab_pci_base;

/* Makes the bus and finds the devices on it; no driver sees them yet. */
int lab_pci_create(unsigned int devices);
/* Lets drivers probe. */
void lab_pci_publish(void);
/* Drivers leave here, and need the devices' answers to do so. */
void lab_pci_remove(void);
/* Lets go of the functions, once no device uses them any more. */
void lab_pci_forget(void);

#endif
