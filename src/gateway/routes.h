/*
 * routes.h - which paths exist, for whom, and what answers them. Source: interfaces.md section 4.
 */
#ifndef GATEWAY_ROUTES_H
#define GATEWAY_ROUTES_H

#include "http/exchange.h"

/* For struct server_options; ctx is a struct loop. */
extern const struct exchange_ops routes_ops;

#endif
