// SPDX-License-Identifier: GPL-2.0
/* A software NIC for trying device memory TCP without hardware: module
 * parameters, and one platform device per wire.
 */
#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/platform_device.h>

#include "labnic.h"

#ifdef CONFIG_HIGHMEM
#error "labnic copies through the direct map, which must hold all memory"
#endif

static unsigned int wires = 1;
module_param(wires, uint, 0444);
MODULE_PARM_DESC(wires, "Wires, each with two ends (1 to 16)");

static unsigned int queues = 8;
module_param(queues, uint, 0444);
MODULE_PARM_DESC(queues, "RX and TX queues of each end (1 to 256)");

static char *manners = "labnic";
module_param(manners, charp, 0444);
MODULE_PARM_DESC(manners, "Driver to behave as: labnic, bnxt, fbnic, gve or mlx5");

unsigned int labnic_rss_entries;
module_param_named(rss_entries, labnic_rss_entries, uint, 0444);
MODULE_PARM_DESC(rss_entries, "Entries of RSS tables (up to 4096; 0: as the manners have)");

unsigned int labnic_ntuple_channels;
module_param_named(ntuple_channels, labnic_ntuple_channels, uint, 0444);
MODULE_PARM_DESC(ntuple_channels, "With bnxt's manners, the channels beyond which ntuple turns off (0: none)");

static unsigned int dma_devices = 1;
module_param(dma_devices, uint, 0444);
MODULE_PARM_DESC(dma_devices, "DMA devices that the queues of an end use in turn (1 to 4)");

static bool relay;
module_param(relay, bool, 0444);
MODULE_PARM_DESC(relay, "End b of each wire receives packets that another NIC can send on");

DEFINE_STATIC_KEY_FALSE(labnic_relays);

static const struct labnic_manners *labnic_manners;

static struct platform_device *labnic_devices[LABNIC_MAX_WIRES];
/* The devices besides the wire's own. */
static struct platform_device *labnic_dma_devices[LABNIC_MAX_DMA_DEVICES - 1];

struct labnic_wire {
	struct labnic_port	*end[2];
};

/* With a narrower mask the core would use bounce buffers, and the copy would
 * go to these.
 */
static int labnic_prepare_dma(struct device *dev)
{
	int err = dma_coerce_mask_and_coherent(dev, DMA_BIT_MASK(64));

	if (!err)
		dma_set_max_seg_size(dev, UINT_MAX);
	return err;
}

/* As with mlx5's Socket Direct, neighbouring queues may have different ones. */
struct device *labnic_dma_device(const struct labnic_port *end,
				 unsigned int queue)
{
	unsigned int which = queue % dma_devices;

	return which ? &labnic_dma_devices[which - 1]->dev : end->parent;
}

static int labnic_probe(struct platform_device *pdev)
{
	struct device *parent = &pdev->dev;
	struct labnic_wire *wire;
	struct net_device *dev;
	int i, err;

	err = labnic_prepare_dma(parent);
	if (err)
		return err;

	wire = devm_kzalloc(parent, sizeof(*wire), GFP_KERNEL);
	if (!wire)
		return -ENOMEM;

	for (i = 0; i < 2; i++) {
		dev = labnic_port_create(parent, labnic_manners, queues,
					 pdev->id, 'a' + i);
		if (IS_ERR(dev)) {
			err = PTR_ERR(dev);
			goto err_destroy;
		}
		wire->end[i] = netdev_priv(dev);
	}
	wire->end[0]->peer = wire->end[1];
	wire->end[1]->peer = wire->end[0];

	for (i = 0; i < 2; i++) {
		err = register_netdev(wire->end[i]->dev);
		if (err)
			goto err_unregister;
		labnic_faults_create(wire->end[i]);
	}
	platform_set_drvdata(pdev, wire);
	return 0;

err_unregister:
	while (i--) {
		labnic_faults_remove(wire->end[i]);
		unregister_netdev(wire->end[i]->dev);
	}
	i = 2;
err_destroy:
	while (i--)
		labnic_port_destroy(wire->end[i]);
	return err;
}

static void labnic_remove(struct platform_device *pdev)
{
	struct labnic_wire *wire = platform_get_drvdata(pdev);
	int i;

	for (i = 0; i < 2; i++) {
		labnic_faults_remove(wire->end[i]);
		unregister_netdev(wire->end[i]->dev);
	}
	/* Each end reads the other's state until both are unregistered. */
	for (i = 0; i < 2; i++)
		labnic_port_destroy(wire->end[i]);
}

static const struct platform_device_id labnic_ids[] = {
	{ LABNIC_NAME },
	{}
};

/* Its name is that of the manners' driver, because tools read it in sysfs. It
 * matches devices by their names, which are always labnic's.
 */
static struct platform_driver labnic_driver = {
	.probe		= labnic_probe,
	.remove		= labnic_remove,
	.id_table	= labnic_ids,
	.driver		= {
		.suppress_bind_attrs	= true,
	},
};

static void labnic_devices_remove(void)
{
	int i;

	for (i = 0; i < LABNIC_MAX_WIRES; i++)
		if (labnic_devices[i])
			platform_device_unregister(labnic_devices[i]);
	for (i = 0; i < ARRAY_SIZE(labnic_dma_devices); i++)
		if (labnic_dma_devices[i])
			platform_device_unregister(labnic_dma_devices[i]);
}

static int labnic_dma_devices_create(void)
{
	struct platform_device *pdev;
	int i, err;

	for (i = 0; i + 1 < dma_devices; i++) {
		pdev = platform_device_register_simple(LABNIC_NAME "-dma", i,
						       NULL, 0);
		if (IS_ERR(pdev))
			return PTR_ERR(pdev);
		labnic_dma_devices[i] = pdev;
		err = labnic_prepare_dma(&pdev->dev);
		if (err)
			return err;
	}
	return 0;
}

static int __init labnic_check_range(const char *what, unsigned int value,
				     unsigned int from, unsigned int to)
{
	if (value >= from && value <= to)
		return 0;
	pr_err("%s: %s must be %u to %u\n", LABNIC_NAME, what, from, to);
	return -EINVAL;
}

static int __init labnic_check_parameters(void)
{
	int err;

	err = labnic_check_range("wires", wires, 1, LABNIC_MAX_WIRES) ?:
	      labnic_check_range("queues", queues, 1, LABNIC_MAX_QUEUES) ?:
	      labnic_check_range("rss_entries", labnic_rss_entries, 0,
				 LABNIC_MAX_INDIR_SIZE) ?:
	      labnic_check_range("dma_devices", dma_devices, 1,
				 LABNIC_MAX_DMA_DEVICES);
	if (err)
		return err;
	labnic_manners = labnic_manners_find(manners);
	if (labnic_manners)
		return 0;
	pr_err("%s: there are no manners '%s'\n", LABNIC_NAME, manners);
	return -EINVAL;
}

static int __init labnic_init(void)
{
	struct platform_device *pdev;
	int i, err;

	err = labnic_check_parameters();
	if (err)
		return err;
	labnic_ethtool_setup(labnic_manners);
	labnic_queue_setup(labnic_manners);
	if (relay)
		static_branch_enable(&labnic_relays);

	labnic_driver.driver.name = labnic_manners->driver;

	labnic_faults_root_create();
	err = platform_driver_register(&labnic_driver);
	if (err)
		goto err_root;

	err = labnic_dma_devices_create();
	if (err)
		goto err_devices;

	for (i = 0; i < wires; i++) {
		pdev = platform_device_register_simple(LABNIC_NAME, i, NULL, 0);
		if (IS_ERR(pdev)) {
			err = PTR_ERR(pdev);
			goto err_devices;
		}
		labnic_devices[i] = pdev;
		/* The bus ignores a failed probe; here it is an error. */
		if (!platform_get_drvdata(pdev)) {
			err = -ENODEV;
			goto err_devices;
		}
	}
	return 0;

err_devices:
	labnic_devices_remove();
	platform_driver_unregister(&labnic_driver);
err_root:
	labnic_faults_root_remove();
	return err;
}

static void __exit labnic_exit(void)
{
	labnic_devices_remove();
	platform_driver_unregister(&labnic_driver);
	labnic_faults_root_remove();
}

module_init(labnic_init);
module_exit(labnic_exit);

MODULE_DESCRIPTION("Software NIC for device memory TCP");
MODULE_VERSION(LABNIC_VERSION);
MODULE_LICENSE("GPL");
