/*
 * load_h1.h - HTTP/1.1 on a link: the next request is sent when the answer before is whole.
 */
#ifndef BENCH_LOAD_H1_H
#define BENCH_LOAD_H1_H

#include "load_link.h"
#include "load_options.h"

/* Borrows opt. */
const struct link_ops *h1_ops(const struct options *opt);

#endif
