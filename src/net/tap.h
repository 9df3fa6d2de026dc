/*
 * tap.h - the enclave's network interface. Source: nitro-attestation.md 6.1, steps 3 to 5.
 */
#ifndef NET_TAP_H
#define NET_TAP_H

#include <stdint.h>

#include "core/err.h"

/* What gvproxy expects, and what it is. */
#define TAP_NAME	"tap0"
#define TAP_ADDRESS	"192.168.127.2"
#define TAP_MASK	"255.255.255.0"
#define TAP_GATEWAY	"192.168.127.1"
#define TAP_RESOLV_CONF "/run/resolvconf/resolv.conf"

enum { TAP_MAC_BYTES = 6, TAP_MTU = 1500, TAP_MTU_MIN = 576, TAP_MTU_MAX = 65521 };
extern const uint8_t tap_mac[TAP_MAC_BYTES];

/*
 * Makes tap0 with its address, MTU and hardware address, up, as the default route. *fd reads and
 * writes one frame a call, without waiting; the interface lives as long as it is open. Needs
 * CAP_NET_ADMIN. Errors: SYSTEM (what names the step; errno is kept)
 */
MUST_USE struct err tap_open(int *fd, uint16_t mtu);
/*
 * Writes the resolver's file (mode 0644, its directory is made). Where it is TAP_RESOLV_CONF,
 * /etc/resolv.conf must be a link to it, and is made one where nothing is there.
 * Errors: SYSTEM (the same), REFUSED (/etc/resolv.conf is something else)
 */
MUST_USE struct err tap_resolver(const char *path);

#endif
